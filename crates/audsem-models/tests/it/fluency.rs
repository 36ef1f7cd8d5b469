//! FENSE's two models against aac-metrics (`fixtures/regen/fense.py`).

use audsem_core::hub::ModelDir;
use audsem_models::fluency::FluencyChecker;
use audsem_models::sentence::SentenceEncoder;
use candle_core::{DType, Device};
use serde::Deserialize;

use crate::golden::path;

#[derive(Deserialize)]
struct Goldens {
    captions: Vec<Caption>,
}

#[derive(Deserialize)]
struct Caption {
    candidate: String,
    references: Vec<String>,
    similarity: f64,
    error_probability: f64,
}

#[test]
fn captions_are_scored_as_by_aac_metrics() {
    let goldens: Goldens = serde_json::from_slice(&std::fs::read(path("fense.json")).unwrap()).unwrap();
    let sentences =
        SentenceEncoder::open(&ModelDir::local(&path("minilm_tiny")), &Device::Cpu, DType::F32, None).unwrap();
    let checker = FluencyChecker::open(&ModelDir::local(&path("fluency_tiny")), &Device::Cpu, DType::F32).unwrap();
    let candidates: Vec<&str> = goldens.captions.iter().map(|caption| caption.candidate.as_str()).collect();
    let found = checker.error_probabilities(&candidates).unwrap();
    for (caption, found) in goldens.captions.iter().zip(found) {
        assert!((f64::from(found) - caption.error_probability).abs() < 1e-5, "{}: {found}", caption.candidate);
        let texts: Vec<&str> =
            std::iter::once(&caption.candidate).chain(&caption.references).map(String::as_str).collect();
        let vectors = sentences.embed_normalised(&texts).unwrap().to_vec2::<f32>().unwrap();
        let cosine = |other: &Vec<f32>| vectors[0].iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
        let mean = vectors[1..].iter().map(cosine).map(f64::from).sum::<f64>() / caption.references.len() as f64;
        assert!((mean - caption.similarity).abs() < 1e-5, "{}: {mean}", caption.candidate);
    }
}

#[test]
fn a_checkpoint_without_a_head_is_refused() {
    let problem = FluencyChecker::open(&ModelDir::local(&path("minilm_tiny")), &Device::Cpu, DType::F32).unwrap_err();
    assert!(problem.to_string().contains("embeddings"), "{problem}");
}
