//! Whisper against transformers.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::audio::whisper::{IGNORABLE, Whisper, WhisperConfig};
use audsem_models::generate::{CausalDecoder, GenerationConfig, GenerationRequest, generate};
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use crate::golden::{Goldens, path};

fn dir() -> ModelDir {
    ModelDir::local(&path("whisper_tiny"))
}

fn open() -> Whisper {
    let config: WhisperConfig = dir().json("config.json").unwrap();
    let weights = Weights::open(&dir(), &Device::Cpu, DType::F32).unwrap();
    let network = Whisper::load(&weights.var_builder(), &config).unwrap();
    weights.finish(|name| IGNORABLE.contains(&name)).unwrap();
    network
}

fn samples(goldens: &Goldens, n: usize) -> Vec<f32> {
    goldens.get(&format!("samples.{n}")).to_vec1().unwrap()
}

fn encoded(network: &Whisper, goldens: &Goldens) -> Vec<Tensor> {
    let encode = |n| network.encode(&network.features(&samples(goldens, n)).unwrap()).unwrap();
    (0..2).map(encode).collect()
}

#[test]
fn features_states_and_logits_are_those_of_transformers() {
    let (network, goldens) = (open(), Goldens::load("whisper_tiny.safetensors"));
    for n in 0..2 {
        let features = network.features(&samples(&goldens, n)).unwrap();
        assert_eq!(features.dims(), [1, 80, 3000]);
        goldens.check(&format!("features.{n}"), &features.narrow(2, 0, 120).unwrap(), 1e-4);
        let states = network.encode(&features).unwrap();
        assert_eq!(states.dims(), [1, 1500, 16]);
        goldens.check(&format!("states.{n}"), &states.narrow(1, 0, 200).unwrap(), 1e-4);
        goldens.check(&format!("last.{n}"), &states.narrow(1, 1499, 1).unwrap().squeeze(1).unwrap(), 1e-4);
        let prompt: Vec<u32> = goldens.ids(&format!("prompt.{n}")).to_vec1().unwrap();
        let mut decoder = network.decoder(vec![states.clone()]);
        let mut logits = vec![decoder.prefill(&[&prompt[..2]]).unwrap().remove(0)];
        logits.extend(prompt[2..].iter().map(|token| decoder.step(&[*token]).unwrap().remove(0)));
        let wanted = goldens.get(&format!("logits.{n}")).narrow(0, 1, prompt.len() - 1).unwrap();
        let difference = crate::golden::max_abs(&Tensor::new(logits, &Device::Cpu).unwrap(), &wanted);
        assert!(difference <= 1e-4, "logits.{n}: {difference:e}");
    }
}

/// The checkpoint's own rules: suppressed tokens, others at the beginning alone, and no time stamps.
fn rules() -> GenerationConfig {
    let mut settings: Value = dir().json("generation_config.json").unwrap();
    settings["max_new_tokens"] = json!(10);
    GenerationConfig::from_json(&settings.to_string()).unwrap()
}

fn texts(network: &Whisper, states: Vec<Tensor>, config: &GenerationConfig) -> Vec<Vec<u32>> {
    let request = GenerationRequest { prompt: vec![50, 51], seed: 0 };
    let requests = vec![request; states.len()];
    let generated = generate(&mut network.decoder(states), &requests, config).unwrap();
    generated.into_iter().map(|mut best| best.remove(0).tokens).collect()
}

#[test]
fn texts_are_those_of_transformers() {
    let (network, goldens) = (open(), Goldens::load("whisper_tiny.safetensors"));
    for (n, tokens) in texts(&network, encoded(&network, &goldens), &rules()).into_iter().enumerate() {
        assert_eq!(tokens, goldens.ids(&format!("greedy.{n}")).to_vec1::<u32>().unwrap(), "{n}");
    }
}

#[test]
fn a_text_depends_on_its_own_sound_alone() {
    let (network, goldens) = (open(), Goldens::load("whisper_tiny.safetensors"));
    let states = encoded(&network, &goldens);
    for num_beams in [1, 3] {
        let config = GenerationConfig { num_beams, ..rules() };
        let together = texts(&network, states.clone(), &config);
        let alone: Vec<_> = states.iter().map(|one| texts(&network, vec![one.clone()], &config).remove(0)).collect();
        assert_eq!(together, alone, "{num_beams} beams");
    }
}

#[test]
fn too_many_tokens_and_unknown_ones_are_refused() {
    let (network, goldens) = (open(), Goldens::load("whisper_tiny.safetensors"));
    let states = encoded(&network, &goldens).remove(0);
    let mut decoder = network.decoder(vec![states]);
    assert!(decoder.prefill(&[&[50; 33]]).unwrap_err().to_string().contains("33 tokens"));
    assert!(decoder.prefill(&[&[60]]).unwrap_err().to_string().contains("not in the vocabulary"));
    assert!(decoder.prefill(&[&[50], &[50]]).is_err());
    assert!(network.features(&[f32::NAN]).is_err() && network.features(&[]).is_err());
}
