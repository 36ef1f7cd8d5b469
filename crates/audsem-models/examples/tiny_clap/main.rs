//! Trains a tiny CLAP from scratch on synthetic sounds and writes it in the layout of the Hugging Face hub.
//!
//! `tiny_clap FOLDER [--steps N] [--seed N]`
//!
//! FOLDER gets `model/`, the checkpoint, and `sounds/`, a sound of each kind that was not trained on, with the list
//! `sounds.csv` of their captions.
//!
//! It hears the sixteen kinds of sounds it was trained on, and little else; it exists so that everything that takes a
//! CLAP can be run without a download. Sounds that it has not met decide whether it learned anything: it ends with an
//! error unless their own captions fit them better than the others.
#![allow(clippy::print_stdout, reason = "this is the program's output")]

mod sounds;
mod training;

use std::error::Error;
use std::path::{Path, PathBuf};

use audsem_core::files::write_atomically;
use audsem_core::hub::ModelDir;
use audsem_media::audio::{BitDepth, encode_flac};
use audsem_models::checkpoint::safetensors_bytes;
use audsem_models::clap::{AudioConfig, ClapEncoder, Config, Crop, FeatureConfig, FeatureExtractor, Features};
use audsem_models::nn::Params;
use audsem_models::roberta;
use audsem_models::tokenizer::{Tokenizer, train_byte_level_bpe};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde_json::{Value, json};

use sounds::{KINDS, Kind, RATE_HZ};
use training::Training;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Sounds of each kind to train on, and to test with.
const TRAINED: u64 = 20;
const HELD_OUT: u64 = 5;

/// Longest text, in tokens.
const MAX_TOKENS: usize = 32;

fn main() -> Outcome<()> {
    let (folder, steps, seed) = arguments()?;
    let features: FeatureConfig = serde_json::from_value(preprocessor())?;
    let extractor = FeatureExtractor::new(&features)?;
    let hear = |first: u64, count: u64| -> Outcome<Vec<Vec<Features>>> {
        let sound = |kind: &Kind, n| extractor.extract(&kind.sound(seed, n), Crop::Centre);
        let of_kind = |kind: &Kind| (first..first + count).map(|n| sound(kind, n)).collect::<Result<_, _>>();
        Ok(KINDS.par_iter().map(of_kind).collect::<Result<_, _>>()?)
    };
    let tokenizer = train_byte_level_bpe(KINDS.iter().flat_map(|kind| kind.captions), 400)?;
    let config = network(tokenizer.get_vocab_size(true));
    let encoder = Tokenizer::new(tokenizer.clone(), MAX_TOKENS)?;
    let params = Params::new(seed);
    let training = Training { config: &config, params: &params, encoder: &encoder, sounds: &hear(0, TRAINED)? };
    let loss = training.run(steps, seed)?;

    let mut settings = serde_json::to_value(&config)?;
    settings["architectures"] = json!(["ClapModel"]);
    settings["torch_dtype"] = json!("float32");
    let model = folder.join("model");
    write(&model, "config.json", &pretty(&settings)?)?;
    write(&model, "preprocessor_config.json", &pretty(&preprocessor())?)?;
    write(&model, "tokenizer.json", tokenizer.to_string(true).map_err(|e| e.to_string())?.as_bytes())?;
    write(&model, "model.safetensors", &safetensors_bytes(&params.vars())?)?;
    write_sounds(&folder, seed)?;

    let clap = ClapEncoder::open(&ModelDir::local(&model), &Device::Cpu, DType::F32, None)?;
    let report = test(&clap, &hear(TRAINED, HELD_OUT)?)?;
    println!("{}", serde_json::to_string(&json!({ "steps": steps, "loss": loss, "held_out": report }))?);
    if report["matching"].as_f64() <= report["others"].as_f64() || report["accuracy"].as_f64() < Some(0.5) {
        return Err("captions do not fit their sounds better than others\nhint: train longer, --steps 800".into());
    }
    Ok(())
}

fn arguments() -> Outcome<(PathBuf, usize, u64)> {
    let usage = "usage: tiny_clap FOLDER [--steps N] [--seed N]";
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or(usage)?);
    let (mut steps, mut seed) = (400, 0);
    while let Some(flag) = args.next() {
        let number: u64 = args.next().ok_or(usage)?.parse()?;
        match flag.as_str() {
            "--steps" => steps = usize::try_from(number)?,
            "--seed" => seed = number,
            _ => return Err(usage.into()),
        }
    }
    Ok((folder, steps, seed))
}

/// Ten seconds in 126 frames of 80 ms, 32 bands.
fn preprocessor() -> Value {
    json!({
        "feature_extractor_type": "ClapFeatureExtractor", "feature_size": 32, "sampling_rate": RATE_HZ,
        "hop_length": 3840, "fft_window_size": 4096, "frequency_min": 50, "frequency_max": 14000, "max_length_s": 10,
        "truncation": "rand_trunc", "padding": "repeatpad", "padding_value": 0.0, "return_attention_mask": false,
    })
}

fn network(vocab_size: usize) -> Config {
    let audio_config = AudioConfig {
        num_mel_bins: 32,
        spec_size: 64,
        patch_size: 8,
        patch_stride: [8, 8],
        depths: vec![1, 1],
        num_attention_heads: vec![4, 8],
        patch_embeds_hidden_size: 64,
        hidden_size: 128,
        mlp_ratio: 2.0,
        initializer_factor: 4.0,
        ..AudioConfig::default()
    };
    let text_config = roberta::Config {
        vocab_size,
        hidden_size: 64,
        num_hidden_layers: 1,
        num_attention_heads: 4,
        intermediate_size: 128,
        max_position_embeddings: MAX_TOKENS + 2,
        initializer_range: 0.1,
        ..roberta::Config::clap()
    };
    Config { audio_config, text_config, projection_dim: 64, ..Config::default() }
}

/// How well captions fit sounds of their kind, and of others; and how often a sound's kind is the one that fits best.
fn test(clap: &ClapEncoder, sounds: &[Vec<Features>]) -> Outcome<Value> {
    let all: Vec<&Features> = sounds.iter().flatten().collect();
    let audio = clap.embed_features(&all)?;
    let captions: Vec<&str> = KINDS.iter().map(|kind| kind.captions[0]).collect();
    let cosines: Vec<Vec<f32>> = audio.matmul(&clap.embed_texts(&captions)?.t()?)?.to_vec2()?;
    let (mut matching, mut others, mut right) = (0.0, 0.0, 0);
    for (n, row) in cosines.iter().enumerate() {
        let own = n / HELD_OUT as usize;
        let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]));
        right += usize::from(best == Some(own));
        matching += row[own];
        others += (row.iter().sum::<f32>() - row[own]) / (row.len() - 1) as f32;
    }
    let mean = |sum: f32| f64::from(sum / cosines.len() as f32);
    let accuracy = right as f64 / cosines.len() as f64;
    Ok(json!({ "sounds": cosines.len(), "accuracy": accuracy, "matching": mean(matching), "others": mean(others) }))
}

/// A sound of each kind that was not trained on, and what they are.
fn write_sounds(folder: &Path, seed: u64) -> Outcome<()> {
    let mut list = "path,key,text\n".to_owned();
    for (n, kind) in KINDS.iter().enumerate() {
        let name = format!("sounds/{n:02}.flac");
        let flac = encode_flac(&kind.sound(seed, TRAINED), 1, RATE_HZ, BitDepth::Sixteen)?;
        write(folder, &name, &flac)?;
        list.push_str(&format!("{name},synthetic {n:02},{}\n", kind.captions[0]));
    }
    write(folder, "sounds.csv", list.as_bytes())
}

fn pretty(value: &Value) -> Outcome<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Outcome<()> {
    write_atomically(&folder.join(name), bytes)?;
    Ok(())
}

/// Features of sounds as (B, 1, T, F).
fn stacked(sounds: &[&Features]) -> candle_core::Result<Tensor> {
    let frames = sounds.first().map_or(0, |sound| sound.frames);
    let values: Vec<f32> = sounds.iter().flat_map(|sound| sound.mel.iter().copied()).collect();
    let mels = values.len() / (sounds.len() * frames).max(1);
    Tensor::from_vec(values, (sounds.len(), 1, frames, mels), &Device::Cpu)
}
