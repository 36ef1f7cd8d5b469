//! Times the networks on the checkpoints of `bench/models.py` and compares with what PyTorch made of them.
//!
//! `bench_models FOLDER [REPEAT]` prints one JSON object: seconds (best of the repetitions), the ratio to PyTorch
//! (above 1: faster) and the largest difference.
#![allow(clippy::print_stdout, reason = "this is the program's output")]

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::bert::{Bert, BertClassifier, Config as BertConfig};
use audsem_models::clap::{Clap, Config as ClapConfig};
use audsem_models::nn::text::Pooling;
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs once unmeasured, then `repeat` times: the least seconds and the last result.
fn best(repeat: usize, work: impl Fn() -> Outcome<Tensor>) -> Outcome<(f64, Tensor)> {
    let mut result = work()?;
    let mut least = f64::INFINITY;
    for _ in 0..repeat {
        let begin = Instant::now();
        result = work()?;
        least = least.min(begin.elapsed().as_secs_f64());
    }
    Ok((least, result))
}

fn difference(a: &Tensor, b: &Tensor) -> Outcome<f32> {
    Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()?)
}

fn open(folder: &Path, name: &str) -> Outcome<(ModelDir, Weights)> {
    let dir = ModelDir::local(&folder.join(name));
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32)?;
    Ok((dir, weights))
}

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: bench_models FOLDER [REPEAT]")?;
    let (folder, repeat) = (Path::new(&folder), args.next().map_or(Ok(3), |n| n.parse())?);
    let inputs = candle_core::safetensors::load(folder.join("inputs.safetensors"), &Device::Cpu)?;
    let torch = candle_core::safetensors::load(folder.join("torch.safetensors"), &Device::Cpu)?;
    let about: Value = serde_json::from_slice(&std::fs::read(folder.join("torch.json"))?)?;

    let (dir, weights) = open(folder, "clap")?;
    let config: ClapConfig = dir.json("config.json")?;
    let clap = Clap::load(&weights.var_builder(), &config)?;
    let audio = clap.audio().clone().into_inference()?;
    let mel = &inputs["mel"];
    let longer = vec![false; mel.dim(0)?];
    let mut measured = BTreeMap::new();
    measured.insert("clap audio", best(repeat, || Ok(audio.pooled(mel, &longer)?))?);

    let texts = texts(&inputs)?;
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let (dir, weights) = open(folder, "bert-base")?;
    let config: BertConfig = dir.json("config.json")?;
    let bert = BertClassifier::load(weights.var_builder(), &config)?.into_inference()?;
    measured.insert("bert-base", best(repeat, || Ok(bert.logits(&texts)?))?);
    let (dir, weights) = open(folder, "minilm")?;
    let config: BertConfig = dir.json("config.json")?;
    let minilm = Bert::load(weights.var_builder(), &config)?.into_inference()?;
    measured.insert("minilm", best(repeat, || Ok(minilm.pooled(&texts, Pooling::Mean)?))?);

    let mut report = serde_json::Map::new();
    for (name, (seconds, result)) in measured {
        let mut entry = serde_json::Map::new();
        entry.insert("seconds".to_owned(), json!(seconds));
        entry.insert("max_difference".to_owned(), json!(difference(&result, &torch[name])?));
        for (theirs, time) in about["seconds"].as_object().into_iter().flatten() {
            if theirs.starts_with(name) {
                entry.insert(format!("times as fast as {theirs}"), json!(time.as_f64().unwrap_or_default() / seconds));
            }
        }
        report.insert(name.to_owned(), Value::Object(entry));
    }
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn texts(inputs: &HashMap<String, Tensor>) -> Outcome<Vec<Vec<u32>>> {
    let ids = inputs["ids"].to_dtype(DType::U32)?.to_vec2::<u32>()?;
    let lengths = inputs["lengths"].to_dtype(DType::U32)?.to_vec1::<u32>()?;
    Ok(ids.into_iter().zip(lengths).map(|(ids, n)| ids[..n as usize].to_vec()).collect())
}
