//! How far CLAP's vectors in half precision lie from those in f32.

use audsem_core::hub::ModelDir;
use audsem_models::clap::{AudioConfig, Clap, Config};
use audsem_models::roberta;
use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::clap::{NAMES, features, unpadded};
use crate::golden::{Goldens, max_abs, path};
use audsem_core::testing::sounds::hashed;

/// Most that a value of a unit vector may be off, and 1 minus its cosine with the exact one. Measured on the tiny
/// checkpoints: bf16 0.0042 and 6.5e-5, f16 0.0007 and 1.4e-6; on the wide towers below 0.0017 and 6.5e-5, 0.0003 and
/// 1.4e-6; on the same as deep as the published ones, in bf16, 0.0031 and 2.7e-4 (texts), 0.0016 and 4.9e-5 (sounds).
const LIMITS: [(DType, f32, f32); 2] = [(DType::BF16, 0.008, 2e-4), (DType::F16, 0.0015, 5e-6)];

/// Compares unit vectors (B, D).
fn check(what: &str, exact: &Tensor, got: &Tensor, largest: f32, angle: f32) {
    assert_eq!((exact.dtype(), got.dtype()), (DType::F32, DType::F32), "{what}");
    let cosines = (exact * got).unwrap().sum(1).unwrap().to_vec1::<f32>().unwrap();
    let lowest = cosines.into_iter().fold(1.0, f32::min);
    assert!(max_abs(exact, got) <= largest, "{what}: a value is off by {}", max_abs(exact, got));
    assert!(1.0 - lowest <= angle, "{what}: a cosine is {lowest}");
}

#[test]
fn vectors_in_half_precision_stay_near() {
    for name in NAMES {
        let goldens = Goldens::load(&format!("{name}.safetensors"));
        let (mel, longer) = features(name, &goldens);
        let texts = unpadded(&goldens.ids("text.ids"), &goldens.ids("text.mask"));
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        for (dtype, largest, angle) in LIMITS {
            let model = Clap::open(&ModelDir::local(&path(name)), &Device::Cpu, dtype).unwrap();
            let model = model.into_inference().unwrap();
            let audio = model.embed_audio(&mel, &longer).unwrap();
            check(&format!("{name}, sounds, {dtype:?}"), goldens.get("audio_embeds"), &audio, largest, angle);
            let text = model.embed_text(&texts).unwrap();
            check(&format!("{name}, texts, {dtype:?}"), goldens.get("text_embeds"), &text, largest, angle);
        }
    }
}

/// Random tensors that depend on their names alone, as large as new ones would be.
struct Noise;

impl SimpleBackend for Noise {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let seed = name.bytes().fold(0, |seed, byte| hashed(seed ^ u32::from(byte)));
        let (centre, spread) = match (name, init) {
            ("audio_model.audio_encoder.batch_norm.running_mean", _) => (-40.0, 8.0), // decibels
            ("audio_model.audio_encoder.batch_norm.running_var", _) => (500.0, 200.0),
            (_, Init::Randn { mean, stdev }) => (mean, stdev * 3f64.sqrt()),
            (_, Init::Const(value)) => (value, 0.2),
            (_, other) => panic!("{name}: {other:?}"),
        };
        let uniform = |n| f64::from(hashed(seed.wrapping_add(n))) / f64::from(1u32 << 31) - 1.0;
        let values: Vec<f32> = (0..shape.elem_count() as u32).map(|n| (centre + spread * uniform(n)) as f32).collect();
        Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("the shape of `{name}` is not known")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        false
    }
}

/// As wide as the published checkpoints, but shallow.
fn wide() -> Config {
    let depths = vec![1, 1, 2, 1];
    let audio = AudioConfig { patch_embeds_hidden_size: 128, hidden_size: 1024, depths, ..AudioConfig::default() };
    let text = roberta::Config { vocab_size: 500, num_hidden_layers: 2, ..roberta::Config::clap() };
    Config {
        // New towers are near the identity; this makes every branch count.
        audio_config: AudioConfig { initializer_factor: 2.0, ..audio },
        text_config: roberta::Config { initializer_range: 0.04, ..text },
        ..Config::default()
    }
}

#[test]
fn vectors_of_wide_towers_in_half_precision_stay_near() {
    let config = wide();
    let (mel, longer) = features("clap_tiny", &Goldens::load("clap_tiny.safetensors"));
    let embed = |dtype| {
        let vb = VarBuilder::from_backend(Box::new(Noise), dtype, Device::Cpu);
        let model = Clap::load(&vb, &config).unwrap().into_inference().unwrap();
        let texts: [&[u32]; 2] = [&[0, 17, 254, 3, 99, 2], &[0, 400, 2]];
        (model.embed_audio(&mel, &longer).unwrap(), model.embed_text(&texts).unwrap())
    };
    let (audio, text) = embed(DType::F32);
    for (dtype, largest, angle) in LIMITS {
        let got = embed(dtype);
        // A unit vector of 512 values instead of 24 has smaller ones.
        check(&format!("wide, sounds, {dtype:?}"), &audio, &got.0, largest / 3.0, angle);
        check(&format!("wide, texts, {dtype:?}"), &text, &got.1, largest / 3.0, angle);
    }
}
