//! Models that are composed of a Whisper and a language model, against transformers, which opens them too.

use std::path::{Path, PathBuf};

use audsem_models::generate::CausalDecoder;
use audsem_models::language::{GgufFile, LanguageDecoder};
use audsem_models::multimodal::MultimodalNetwork;
use audsem_models::multimodal::audio_language::{AudioLanguageModel, AudioModelOptions, AudioQuestion};
use audsem_models::multimodal::compose::{ComposedModel, Composition};
use audsem_models::multimodal::processor::ChatTurn;
use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use crate::golden::{Goldens, max_abs, path};

fn compose(language_model: &str, output: &Path) -> ComposedModel {
    let name = |name: &str| path(name).to_str().unwrap().to_owned();
    let composition = Composition {
        audio_encoder: name("whisper_tiny"),
        language_model: name(language_model),
        output: output.to_owned(),
        seed: 7,
        dtype: DType::F32,
    };
    composition.compose().unwrap()
}

fn open(folder: &Path) -> AudioLanguageModel {
    let model = AudioLanguageModel::open(folder.to_str().unwrap(), &AudioModelOptions::default()).unwrap();
    assert!(model.notes().is_empty(), "a composed folder lacks nothing: {:?}", model.notes());
    model
}

/// A tone as the golden's script makes it.
fn question() -> AudioQuestion {
    let sound = (0..3200).map(|n| 0.3 * (n as f32 * 0.13).sin()).collect();
    AudioQuestion { turns: vec![ChatTurn::question(1, "What is heard?")], sounds: vec![sound], seed: 0 }
}

/// Of a GGUF file, whose table grows, and of a folder of shards whose head is tied: ids, logits, and the answer.
#[test]
fn transformers_reads_a_composed_model_as_we_do() {
    let goldens = Goldens::load("composed.safetensors");
    for (name, language_model) in [("gguf", "llama_tiny.gguf"), ("qwen2", "qwen2_tiny")] {
        let folder = tempfile::tempdir().unwrap();
        compose(language_model, folder.path());
        let model = open(folder.path());
        let prompt = model.prompt(&question()).unwrap().tokens;
        assert_eq!(prompt, goldens.ids(&format!("{name}.ids")).to_vec1::<u32>().unwrap(), "{name}");
        let sound = model.network().embed_audio(&question().sounds[0]).unwrap();
        goldens.check(&format!("{name}.vectors"), &sound, 1e-4);
        let logits = model.network().decoder(vec![vec![sound]]).prefill(&[&prompt]).unwrap();
        goldens.check(&format!("{name}.logits"), &Tensor::new(logits, &Device::Cpu).unwrap(), 1e-4);
        let answer = model.answer(&[question()], &model.greedy(8)).unwrap().remove(0).remove(0);
        assert_eq!(answer.tokens, goldens.ids(&format!("{name}.greedy")).to_vec1::<u32>().unwrap(), "{name}");
    }
}

/// Without a sound the composed model says what its language model says: no weight has changed.
#[test]
fn the_language_model_is_the_one_that_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let composed = compose("llama_tiny.gguf", folder.path());
    assert_eq!(composed.added_rows, composed.new_tokens.len());
    assert!(composed.new_tokens.contains_key("<|AUDIO|>") && !composed.new_tokens.contains_key("<|im_end|>"));
    let model = open(folder.path());
    let prompt: Vec<u32> = (20..60).collect();
    let ours = model.network().decoder(vec![Vec::new()]).prefill(&[&prompt]).unwrap().remove(0);
    let network = GgufFile::open(&path("llama_tiny.gguf")).unwrap().network(&Device::Cpu).unwrap();
    let theirs = LanguageDecoder::new(&network).prefill(&[&prompt]).unwrap().remove(0);
    let tensor = |logits: &[f32]| Tensor::new(logits, &Device::Cpu).unwrap();
    let difference = max_abs(&tensor(&ours[..theirs.len()]), &tensor(&theirs));
    // The file's weights are in blocks of 4 and 8 bits, and the inputs of few rows are rounded to 8 bits too.
    assert!(difference < 0.05, "{difference:e}");
}

#[test]
fn rows_that_no_token_has_are_used_before_the_table_grows() {
    let folder = tempfile::tempdir().unwrap();
    // The table of this model has five rows more than its tokenizer has tokens.
    let composed = compose("qwen2_tiny", folder.path());
    assert_eq!((composed.new_tokens.len(), composed.added_rows), (3, 0));
    let config: Value = serde_json::from_slice(&std::fs::read(folder.path().join("config.json")).unwrap()).unwrap();
    let before: Value = serde_json::from_slice(&std::fs::read(path("qwen2_tiny/config.json")).unwrap()).unwrap();
    assert_eq!(config["text_config"]["vocab_size"], before["vocab_size"]);
    assert_eq!(config["audio_token_index"], composed.new_tokens["<|AUDIO|>"]);
    assert_eq!(config["ignore_index"], -100, "ms-swift trains no model without it");
}

#[test]
fn the_same_parts_and_seed_give_the_same_bytes() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let files = |folder: &tempfile::TempDir| -> Vec<(PathBuf, Vec<u8>)> {
        compose("llama_tiny", folder.path());
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into()).collect();
        names.sort();
        names.into_iter().map(|name| (name.clone(), std::fs::read(folder.path().join(name)).unwrap())).collect()
    };
    let [first, second] = &folders;
    let (first, second) = (files(first), files(second));
    assert!(first.len() == 8 && first == second, "{:?}", first.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_composed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let try_with = |audio_encoder: &str, language_model: &str| {
        let name = |name: &str| path(name).to_str().unwrap().to_owned();
        let (audio_encoder, language_model) = (name(audio_encoder), name(language_model));
        let output = folder.path().join("out");
        let composition = Composition { audio_encoder, language_model, output, seed: 0, dtype: DType::F32 };
        composition.compose().unwrap_err().to_string()
    };
    assert!(try_with("llama_tiny", "llama_tiny").contains("of the audio encoder"));
    assert!(try_with("whisper_tiny", "mixtral_tiny").contains("qwen2, llama"));
    assert!(try_with("whisper_tiny", "whisper_tiny").contains("model_type"));
    assert!(!folder.path().join("out").exists());
    compose("qwen2_tiny", &folder.path().join("out"));
    assert!(try_with("whisper_tiny", "llama_tiny").contains("holds another model already"));
}
