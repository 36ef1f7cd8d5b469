//! Times one network of `bench/zoo.py`, which made its checkpoint and inputs, and writes what it gives.
//!
//! `bench_zoo NAME FOLDER REPEAT CED` prints one JSON object: the least seconds of each part of its work; outputs are
//! written to `FOLDER/ours.safetensors`. CED is the ONNX file of CED-tiny.
#![allow(clippy::print_stdout, reason = "this is the program's output")]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::audio::ast::Ast;
use audsem_models::audio::beats::Beats;
use audsem_models::audio::ced::CedTagger;
use audsem_models::audio::conette::Conette;
use audsem_models::audio::whisper::{SpeechEncoder, SpeechEncoderConfig};
use audsem_models::audio::yamnet::Yamnet;
use audsem_models::convert::{SourceFile, SourceNetwork};
use audsem_models::generate::CausalDecoder;
use audsem_models::language::{LanguageConfig, LanguageDecoder, LanguageNetwork};
use audsem_models::nn::Activation;
use audsem_models::text::Continuations;
use audsem_models::text::bart::Bart;
use audsem_models::vision::blip::Blip;
use audsem_models::vision::mobilenet_v2::MobileNetV2;
use audsem_models::vision::resnet::ResNet;
use audsem_models::vision::rt_detr::RtDetr;
use audsem_models::vision::siglip::{Config as SiglipConfig, SiglipTower};
use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::VarBuilder;
use serde::de::DeserializeOwned;
use serde_json::Value;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A part of a network's work: its result, and its seconds where not all that it does is to be measured.
type Part<'a> = Box<dyn Fn() -> Outcome<(Tensor, Option<f64>)> + 'a>;

/// A checkpoint with the inputs beside it.
struct Checkpoint {
    dir: ModelDir,
    inputs: HashMap<String, Tensor>,
}

impl Checkpoint {
    fn open(folder: &Path) -> Outcome<Self> {
        let inputs = candle_core::safetensors::load(folder.join("inputs.safetensors"), &Device::Cpu)?;
        Ok(Self { dir: ModelDir::local(folder), inputs })
    }

    fn config<T: DeserializeOwned>(&self) -> Outcome<T> {
        Ok(self.dir.json("config.json")?)
    }

    fn builder(&self) -> Outcome<VarBuilder<'static>> {
        Ok(Weights::open(&self.dir, &Device::Cpu, DType::F32)?.var_builder())
    }

    fn input(&self, name: &str) -> Tensor {
        self.inputs[name].clone()
    }

    /// Token ids, which torch stores as i64.
    fn tokens(&self, name: &str) -> Outcome<Vec<Vec<u32>>> {
        Ok(self.inputs[name].to_dtype(DType::U32)?.to_vec2()?)
    }
}

/// Work that is measured as a whole.
fn whole<'a>(work: impl Fn() -> Outcome<Tensor> + 'a) -> Part<'a> {
    Box::new(move || Ok((work()?, None)))
}

fn one(work: impl Fn() -> Outcome<Tensor> + 'static) -> Vec<(&'static str, Part<'static>)> {
    vec![("", whole(work))]
}

/// The logits behind the last of the tokens of each row, read one by one.
fn steps(decoder: &mut impl CausalDecoder, rows: &[Vec<u32>]) -> Outcome<(Tensor, Option<f64>)> {
    let begin = Instant::now();
    let mut logits = Vec::new();
    for n in 0..rows[0].len() {
        logits = decoder.step(&rows.iter().map(|row| row[n]).collect::<Vec<_>>())?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok((Tensor::new(logits, &Device::Cpu)?, Some(seconds)))
}

fn speech_encoder(checkpoint: &Checkpoint) -> Outcome<Vec<(&'static str, Part<'static>)>> {
    let config: Value = checkpoint.config()?;
    let size = |key: &str| config[key].as_u64().map_or(0, |n| n as usize);
    let shape = SpeechEncoderConfig {
        mels: size("num_mel_bins"),
        positions: size("max_source_positions"),
        dim: size("d_model"),
        heads: size("encoder_attention_heads"),
        layers: size("encoder_layers"),
        intermediate: size("encoder_ffn_dim"),
        activation: Activation::Gelu,
    };
    let (encoder, mel) = (SpeechEncoder::load(&checkpoint.builder()?, &shape)?, checkpoint.input("mel"));
    Ok(one(move || Ok(encoder.norm().forward(&encoder.states(&mel, shape.positions)?)?)))
}

fn qwen2(checkpoint: &Checkpoint) -> Outcome<Vec<(&'static str, Part<'static>)>> {
    let config = LanguageConfig::from_json(&checkpoint.config()?)?;
    let network: &'static LanguageNetwork =
        Box::leak(Box::new(LanguageNetwork::load(&checkpoint.builder()?, &config)?));
    let (prompt, tokens) = (checkpoint.tokens("prompt")?.remove(0), checkpoint.tokens("tokens")?);
    let copy = prompt.clone();
    let read = move || Ok(Tensor::new(LanguageDecoder::new(network).prefill(&[&copy])?, &Device::Cpu)?);
    let write = move || {
        let mut decoder = LanguageDecoder::new(network);
        decoder.prefill(&[&prompt])?;
        steps(&mut decoder, &tokens)
    };
    Ok(vec![("prompt of 512 tokens", whole(read)), ("64 tokens behind it", Box::new(write))])
}

fn bart(checkpoint: &Checkpoint) -> Outcome<Vec<(&'static str, Part<'static>)>> {
    let network = Bart::load(&checkpoint.builder()?, &checkpoint.config()?)?;
    let (states, tokens) = (checkpoint.input("states"), checkpoint.tokens("tokens")?.remove(0));
    Ok(one(move || {
        let mut decoder = Continuations::new(&network, network.encode(&states)?)?;
        decoder.prefill(&[&tokens[..1]])?;
        Ok(steps(&mut decoder, &[tokens[1..].to_vec()])?.0)
    }))
}

fn blip(checkpoint: &Checkpoint) -> Outcome<Vec<(&'static str, Part<'static>)>> {
    let network: &'static Blip = Box::leak(Box::new(Blip::load(&checkpoint.builder()?, &checkpoint.config()?)?));
    let (pixels, tokens) = (checkpoint.input("pixels"), checkpoint.tokens("tokens")?);
    let seen = RefCell::new(None);
    let picture = pixels.clone();
    let write = move || {
        let states = seen.borrow_mut().get_or_insert(network.see(&picture)?).clone();
        let mut decoder = network.decoder(states)?;
        let begin = Instant::now();
        decoder.prefill(&[&tokens[0][..1]])?;
        decoder.select(&[0; 4])?;
        let rows: Vec<Vec<u32>> = tokens.iter().map(|row| row[1..].to_vec()).collect();
        Ok((steps(&mut decoder, &rows)?.0, Some(begin.elapsed().as_secs_f64())))
    };
    let see = move || Ok(network.see(&pixels)?);
    Ok(vec![("vision tower, one picture", whole(see)), ("20 tokens of 4 beams", Box::new(write))])
}

/// The largest logit of each query, sorted.
fn rt_detr(checkpoint: &Checkpoint) -> Outcome<Vec<(&'static str, Part<'static>)>> {
    let (network, pixels) = (RtDetr::load(&checkpoint.builder()?, &checkpoint.config()?)?, checkpoint.input("pixels"));
    Ok(one(move || {
        let mut surest = network.forward(&pixels)?.logits.max(2)?.i(0)?.to_vec1::<f32>()?;
        surest.sort_by(f32::total_cmp);
        Ok(Tensor::new(surest, &Device::Cpu)?.unsqueeze(0)?)
    }))
}

fn ced(checkpoint: &Checkpoint, file: &Path) -> Outcome<Vec<(&'static str, Part<'static>)>> {
    let folder = checkpoint.dir.root().join("converted");
    SourceNetwork::Ced.convert(&SourceFile::open(file, None, None)?)?.write(&folder)?;
    let tagger = CedTagger::open(&ModelDir::local(&folder), &Device::Cpu, DType::F32)?;
    let samples = checkpoint.input("samples").i(0)?.to_vec1::<f32>()?;
    Ok(one(move || {
        let features = tagger.features(&samples)?;
        Ok(Tensor::new(tagger.probabilities(&[&features])?, &Device::Cpu)?)
    }))
}

/// A network that gives one tensor for one.
macro_rules! simple {
    ($checkpoint:ident, $input:literal, $network:expr, $forward:expr) => {{
        let (network, x) = ($network, $checkpoint.input($input));
        one(move || Ok($forward(&network, &x)?))
    }};
}

fn parts(name: &str, checkpoint: &Checkpoint, file: &Path) -> Outcome<Vec<(&'static str, Part<'static>)>> {
    if name == "ced" {
        return ced(checkpoint, file);
    }
    let vb = checkpoint.builder()?;
    Ok(match name {
        "ast" => simple!(checkpoint, "features", Ast::load(&vb, &checkpoint.config()?)?, Ast::forward),
        "beats" => simple!(checkpoint, "features", Beats::load(&vb, &checkpoint.config()?)?, Beats::forward),
        "yamnet" => simple!(checkpoint, "patches", Yamnet::load(&vb)?, Yamnet::forward),
        "conette" => simple!(checkpoint, "features", Conette::load(&vb, &checkpoint.config()?)?, Conette::frames),
        "whisper_tiny" | "whisper_large" => speech_encoder(checkpoint)?,
        "qwen2" => qwen2(checkpoint)?,
        "bart" => bart(checkpoint)?,
        "resnet" => simple!(checkpoint, "pixels", ResNet::load(&vb, &checkpoint.config()?)?, ResNet::forward),
        "mobilenet" => {
            simple!(checkpoint, "pixels", MobileNetV2::load(&vb, &checkpoint.config()?)?, MobileNetV2::forward)
        }
        "rt_detr" => rt_detr(checkpoint)?,
        "blip" => blip(checkpoint)?,
        "siglip" => {
            let config: SiglipConfig = checkpoint.config()?;
            let tower = SiglipTower::load(&vb, &config)?;
            simple!(checkpoint, "pixels", tower, SiglipTower::forward)
        }
        _ => return Err(format!("no network `{name}`").into()),
    })
}

/// Runs once unmeasured, then `repeat` times: the least seconds and the last result.
fn best(repeat: usize, work: &Part<'_>) -> Outcome<(f64, Tensor)> {
    let mut result = work()?.0;
    let mut least = f64::INFINITY;
    for _ in 0..repeat {
        let begin = Instant::now();
        let (again, seconds) = work()?;
        least = least.min(seconds.unwrap_or(begin.elapsed().as_secs_f64()));
        result = again;
    }
    Ok((least, result))
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, folder, repeat, file] = args.as_slice() else {
        return Err("usage: bench_zoo NAME FOLDER REPEAT CED".into());
    };
    let (folder, repeat) = (Path::new(folder), repeat.parse()?);
    let (mut seconds, mut outputs) = (BTreeMap::new(), HashMap::new());
    for (part, work) in parts(name, &Checkpoint::open(folder)?, Path::new(file))? {
        let (least, output) = best(repeat, &work)?;
        seconds.insert(part, least);
        outputs.insert(if part.is_empty() { "out" } else { part }, output.contiguous()?);
    }
    candle_core::safetensors::save(&outputs, folder.join("ours.safetensors"))?;
    println!("{}", serde_json::to_string(&seconds)?);
    Ok(())
}
