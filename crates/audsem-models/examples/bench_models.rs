//! Times the networks on the checkpoints of `bench/models.py` and compares with what PyTorch made of them.
//!
//! `bench_models FOLDER [REPEAT]` prints one JSON object: seconds (best of the repetitions) and the largest difference from
//! PyTorch's output.
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
use serde_json::json;

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

/// One network with its input.
struct Network<'a> {
    name: &'static str,
    forward: Box<dyn Fn() -> Outcome<Tensor> + 'a>,
}

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: bench_models FOLDER [REPEAT]")?;
    let (folder, repeat) = (Path::new(&folder), args.next().map_or(Ok(3), |n| n.parse())?);
    let inputs = candle_core::safetensors::load(folder.join("inputs.safetensors"), &Device::Cpu)?;
    let torch = candle_core::safetensors::load(folder.join("torch.safetensors"), &Device::Cpu)?;
    let texts = texts(&inputs)?;
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();

    let mut report = BTreeMap::new();
    for network in [clap_audio(folder, &inputs["mel"])?, bert_base(folder, &texts)?, minilm(folder, &texts)?] {
        let (seconds, result) = best(repeat, network.forward)?;
        let difference = difference(&result, &torch[network.name])?;
        report.insert(network.name, json!({"seconds": seconds, "max_difference": difference}));
    }
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn clap_audio<'a>(folder: &Path, mel: &'a Tensor) -> Outcome<Network<'a>> {
    let (dir, weights) = open(folder, "clap")?;
    let config: ClapConfig = dir.json("config.json")?;
    let tower = Clap::load(&weights.var_builder(), &config)?.audio().clone().into_inference()?;
    let longer = vec![false; mel.dim(0)?];
    Ok(Network { name: "clap audio", forward: Box::new(move || Ok(tower.pooled(mel, &longer)?)) })
}

fn bert_base<'a>(folder: &Path, texts: &'a [&'a [u32]]) -> Outcome<Network<'a>> {
    let (dir, weights) = open(folder, "bert-base")?;
    let config: BertConfig = dir.json("config.json")?;
    let network = BertClassifier::load(weights.var_builder(), &config)?.into_inference()?;
    Ok(Network { name: "bert-base", forward: Box::new(move || Ok(network.logits(texts)?)) })
}

fn minilm<'a>(folder: &Path, texts: &'a [&'a [u32]]) -> Outcome<Network<'a>> {
    let (dir, weights) = open(folder, "minilm")?;
    let config: BertConfig = dir.json("config.json")?;
    let network = Bert::load(weights.var_builder(), &config)?.into_inference()?;
    Ok(Network { name: "minilm", forward: Box::new(move || Ok(network.pooled(texts, Pooling::Mean)?)) })
}

fn texts(inputs: &HashMap<String, Tensor>) -> Outcome<Vec<Vec<u32>>> {
    let ids = inputs["ids"].to_dtype(DType::U32)?.to_vec2::<u32>()?;
    let lengths = inputs["lengths"].to_dtype(DType::U32)?.to_vec1::<u32>()?;
    Ok(ids.into_iter().zip(lengths).map(|(ids, n)| ids[..n as usize].to_vec()).collect())
}
