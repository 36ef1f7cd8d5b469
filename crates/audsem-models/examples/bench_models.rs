//! Times the networks on the checkpoints of `bench/models.py` and compares with what PyTorch made of them.
//!
//! `bench_models FOLDER [REPEAT]` prints one JSON object: seconds (best of the repetitions) with our fused layers and
//! with candle's own, which the differentiable form of a network is made of, and the largest difference of each from
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
use audsem_models::nn::Mode;
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

/// One network: its output with fused layers, and with candle's.
struct Network<'a> {
    name: &'static str,
    fused: Box<dyn Fn() -> Outcome<Tensor> + 'a>,
    candle: Box<dyn Fn() -> Outcome<Tensor> + 'a>,
}

/// Token ids (B, T) and mask (B, T) of texts, padded to the longest.
fn padded(texts: &[&[u32]]) -> Outcome<(Tensor, Tensor)> {
    let width = texts.iter().map(|ids| ids.len()).max().unwrap_or_default();
    let cell = |row: usize, column: usize| texts[row].get(column).copied();
    let rows = |value: &dyn Fn(Option<u32>) -> u32| -> Vec<u32> {
        (0..texts.len() * width).map(|n| value(cell(n / width, n % width))).collect()
    };
    let tensor = |values| Tensor::from_vec(values, (texts.len(), width), &Device::Cpu);
    Ok((tensor(rows(&|id| id.unwrap_or(0)))?, tensor(rows(&|id| u32::from(id.is_some())))?))
}

/// Applies a network to texts in batches of 32, as PyTorch's are.
fn in_batches(texts: &[&[u32]], network: impl Fn(&Tensor, &Tensor) -> Outcome<Tensor>) -> Outcome<Tensor> {
    let rows = texts.chunks(32).map(|batch| padded(batch).and_then(|(ids, mask)| network(&ids, &mask)));
    Ok(Tensor::cat(&rows.collect::<Outcome<Vec<_>>>()?, 0)?)
}

/// Mean of the states (B, T, D) of tokens that are no padding: (B, D).
fn mean(hidden: &Tensor, mask: &Tensor) -> Outcome<Tensor> {
    let weight = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
    Ok(hidden.broadcast_mul(&weight)?.sum(1)?.broadcast_div(&weight.sum(1)?)?)
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
        let (seconds, result) = best(repeat, network.fused)?;
        let (candle_seconds, candle_result) = best(repeat, network.candle)?;
        let expected = &torch[network.name];
        let entry = json!({
            "seconds": seconds,
            "seconds of candle's layers": candle_seconds,
            "max_difference": difference(&result, expected)?,
            "max_difference of candle's layers": difference(&candle_result, expected)?,
        });
        report.insert(network.name, entry);
    }
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn clap_audio<'a>(folder: &Path, mel: &'a Tensor) -> Outcome<Network<'a>> {
    let (dir, weights) = open(folder, "clap")?;
    let config: ClapConfig = dir.json("config.json")?;
    let clap = Clap::load(&weights.var_builder(), &config)?;
    let (fused, candle) = (clap.audio().clone().into_inference()?, clap.audio().clone());
    let longer = vec![false; mel.dim(0)?];
    let is_longer = longer.clone();
    Ok(Network {
        name: "clap audio",
        fused: Box::new(move || Ok(fused.pooled(mel, &is_longer)?)),
        candle: Box::new(move || Ok(candle.pooled(mel, &longer)?)),
    })
}

fn bert_base<'a>(folder: &Path, texts: &'a [&'a [u32]]) -> Outcome<Network<'a>> {
    let (dir, weights) = open(folder, "bert-base")?;
    let config: BertConfig = dir.json("config.json")?;
    let candle = BertClassifier::load(weights.var_builder(), &config)?;
    let fused = candle.clone().into_inference()?;
    Ok(Network {
        name: "bert-base",
        fused: Box::new(move || Ok(fused.logits(texts)?)),
        candle: Box::new(move || in_batches(texts, |ids, mask| Ok(candle.forward(ids, Some(mask), Mode::Infer)?))),
    })
}

fn minilm<'a>(folder: &Path, texts: &'a [&'a [u32]]) -> Outcome<Network<'a>> {
    let (dir, weights) = open(folder, "minilm")?;
    let config: BertConfig = dir.json("config.json")?;
    let candle = Bert::load(weights.var_builder(), &config)?;
    let fused = candle.clone().into_inference()?;
    let states = move |ids: &Tensor, mask: &Tensor| mean(&candle.forward(ids, Some(mask), None, Mode::Infer)?, mask);
    Ok(Network {
        name: "minilm",
        fused: Box::new(move || Ok(fused.pooled(texts, Pooling::Mean)?)),
        candle: Box::new(move || in_batches(texts, &states)),
    })
}

fn texts(inputs: &HashMap<String, Tensor>) -> Outcome<Vec<Vec<u32>>> {
    let ids = inputs["ids"].to_dtype(DType::U32)?.to_vec2::<u32>()?;
    let lengths = inputs["lengths"].to_dtype(DType::U32)?.to_vec1::<u32>()?;
    Ok(ids.into_iter().zip(lengths).map(|(ids, n)| ids[..n as usize].to_vec()).collect())
}
