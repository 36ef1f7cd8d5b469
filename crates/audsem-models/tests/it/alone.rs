//! What a network makes of a text or a sound is the same alone, in any company and on any number of threads, bit for bit.

use audsem_core::hub::ModelDir;
use audsem_core::testing::sounds::hashed;
use audsem_models::bert::{BertClassifier, Config};
use audsem_models::clap::{ClapEncoder, Crop, Features};
use audsem_models::nn::Params;
use audsem_models::sentence::SentenceEncoder;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use crate::golden::path;

fn bits(x: &Tensor) -> Vec<Vec<u32>> {
    let rows = x.to_vec2::<f32>().unwrap();
    rows.into_iter().map(|row| row.into_iter().map(f32::to_bits).collect()).collect()
}

/// Runs `network` on all items at once, in parts of every kind, and backwards, on one to three threads.
fn check<T: Copy + Sync>(what: &str, items: &[T], network: impl Fn(&[T]) -> Tensor + Sync) {
    let wanted = bits(&network(items));
    let backwards: Vec<T> = items.iter().rev().copied().collect();
    for threads in 1..=3 {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            for size in [1, 2, 3, 5, 7, 16, 33].into_iter().filter(|size| *size < items.len()).chain([items.len()]) {
                for (part, wanted) in items.chunks(size).zip(wanted.chunks(size)) {
                    assert!(bits(&network(part)) == wanted, "{what}: {size} at a time on {threads} threads");
                }
            }
            assert!(bits(&network(&backwards)).into_iter().rev().eq(wanted.iter().cloned()), "{what}: backwards");
        });
    }
}

fn texts() -> Vec<String> {
    let words = ["rain", "a dog barks", "door", "slams", "wind in the trees", "and", "birds"];
    (0..70)
        .map(|n| (0..=hashed(n) % 9).map(|i| words[(n + i * i) as usize % words.len()]).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn texts_and_sounds_of_clap() {
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (name, dtype) in [("clap_tiny", DType::F32), ("clap_tiny", DType::F16), ("clap_fused", DType::F32)] {
        let encoder = ClapEncoder::open(&ModelDir::local(&path(name)), &Device::Cpu, dtype, None).unwrap();
        // Half precision is slow on a CPU.
        let n = if dtype == DType::F32 { texts.len() } else { 12 };
        check(&format!("texts, {name}, {dtype:?}"), &texts[..n], |texts| encoder.embed_texts(texts).unwrap());
        let sound = |n: u32| {
            let samples: Vec<f32> = (0..24_000 * (n + 1)).map(|i| hashed(i ^ (n << 24)) as f32 / 2e9 - 1.0).collect();
            // Both with and without several views.
            encoder.extractor().extract(&samples, Crop::Centre).unwrap()
        };
        let sounds: Vec<Features> = [0, 3, 22, 1, 19, 24].map(sound).into();
        let sounds: Vec<&Features> = sounds.iter().collect();
        let n = if dtype == DType::F32 { sounds.len() } else { 2 };
        check(&format!("sounds, {name}, {dtype:?}"), &sounds[..n], |sounds| encoder.embed_features(sounds).unwrap());
    }
}

#[test]
fn sentences() {
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoder =
        SentenceEncoder::open(&ModelDir::local(&path("minilm_tiny")), &Device::Cpu, DType::F32, None).unwrap();
    check("sentences", &texts, |texts| encoder.embed_normalised(texts).unwrap());
}

/// Wide enough that general products take each of their ways.
#[test]
fn classes_of_texts() {
    let config = Config {
        vocab_size: 100,
        hidden_size: 96,
        num_hidden_layers: 1,
        num_attention_heads: 4,
        intermediate_size: 64,
        initializer_range: 0.2,
        ..Config::default()
    };
    let params = Params::new(3);
    BertClassifier::load(params.var_builder(DType::F32, &Device::Cpu), &config).unwrap();
    let tensors = params.vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect();
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let model = BertClassifier::load(vb, &config).unwrap().into_inference().unwrap();
    let ids: Vec<Vec<u32>> =
        (0..70).map(|n| (0..=hashed(n) % 11).map(|i| hashed(n * 100 + i) % 100).collect()).collect();
    let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    check("classes", &ids, |ids| model.logits(ids).unwrap());
}
