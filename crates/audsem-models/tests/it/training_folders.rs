//! Every folder that opens for inference opens for training, by any names of tensors and of adapters.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use audsem_core::hub::ModelDir;
use audsem_models::generate::CausalDecoder;
use audsem_models::multimodal::MultimodalNetwork;
use audsem_models::multimodal::audio_language::{AudioCheckpoint, AudioFamily, AudioLanguageNetwork};
use audsem_models::multimodal::trainable::{TrainableAudioModel, TrainingPlan, language_only};
use audsem_models::nn::LoraConfig;
use audsem_models::nn::lora::{Adapter, Modules, from_peft_name, to_peft_name};
use audsem_models::train::{TrainableModel, TrainingSequence};
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use crate::audio_language::{new_name, rewritten, tone};
use crate::golden::path;
use crate::training::{log_probs, open_folder, worst};

const CPU: &Device = &Device::Cpu;

/// The audio token of all goldens.
const AUDIO: u32 = 37;

fn adapters(targets: Modules) -> TrainingPlan {
    TrainingPlan::of_adapters(LoraConfig { r: 2, target_modules: targets, ..LoraConfig::default() }, 5)
}

fn queries() -> TrainingPlan {
    adapters((&["q_proj"][..]).into())
}

fn open(folder: &Path, plan: &TrainingPlan, adapter: Option<&Adapter>) -> TrainableAudioModel {
    open_folder(folder, plan, adapter, DType::F32).unwrap()
}

/// A question about a tone and an answer of two tokens.
fn sequence(model: &dyn TrainableModel) -> TrainingSequence {
    let sound = tone(3200);
    let vectors = model.audio_tokens(sound.len()).unwrap();
    let tokens = [&[3, 8][..], &vec![AUDIO; vectors], &[9, 5, 11]].concat();
    TrainingSequence { targets: vec![tokens.len() - 2, tokens.len() - 1], tokens, sounds: vec![Arc::from(sound)] }
}

fn scores(model: &TrainableAudioModel) -> Vec<f32> {
    log_probs(&model.score(&[sequence(model)], 1.0, true).unwrap())
}

/// What the inference form says of the first token of the answer.
fn inferred(folder: &Path) -> f32 {
    let checkpoint = AudioCheckpoint::open(folder.to_str().unwrap(), None).unwrap();
    let weights = checkpoint.weights(CPU, DType::F32).unwrap();
    let network = AudioLanguageNetwork::load(&weights.var_builder(), checkpoint.config()).unwrap();
    let sound = network.embed_audio(&tone(3200)).unwrap();
    let prompt = [&[3, 8][..], &vec![AUDIO; sound.dim(0).unwrap()], &[9]].concat();
    let logits = network.decoder(vec![vec![sound]]).prefill(&[&prompt]).unwrap().remove(0);
    candle_nn::ops::log_softmax(&Tensor::new(logits, CPU).unwrap(), 0).unwrap().to_vec1::<f32>().unwrap()[5]
}

/// The names of old checkpoints and of transformers 5, and the thinker in the full model with what else that has.
fn layouts(golden: &str, family: AudioFamily) -> Vec<tempfile::TempDir> {
    let own = |name: &str| family.tensor_name(name);
    let mut folders =
        vec![rewritten(golden, own, |json| json), rewritten(golden, |name| new_name(family, &own(name)), |json| json)];
    if family == AudioFamily::QwenOmni {
        let wrapped = |json: Value| json!({"model_type": "qwen2_5_omni", "thinker_config": json, "talker_config": {}});
        for rename in [&own as &dyn Fn(&str) -> String, &|name: &str| new_name(family, &own(name))] {
            let folder = rewritten(golden, |name| format!("thinker.{}", rename(name)), wrapped);
            let file = folder.path().join("model.safetensors");
            let mut tensors = candle_core::safetensors::load(&file, CPU).unwrap();
            for name in ["talker.codec_head.weight", "token2wav.dit.weight"] {
                tensors.insert(name.to_owned(), Tensor::zeros(3, DType::F32, CPU).unwrap());
            }
            candle_core::safetensors::save(&tensors, file).unwrap();
            folders.push(folder);
        }
    }
    folders
}

#[test]
fn every_folder_that_answers_can_be_trained() {
    for (golden, family) in [
        ("qwen2_audio_tiny", AudioFamily::Qwen2Audio),
        ("qwen2_audio_llama_tiny", AudioFamily::Qwen2Audio),
        ("training/llama", AudioFamily::Qwen2Audio),
        ("qwen2_5_omni_tiny", AudioFamily::QwenOmni),
    ] {
        for folder in layouts(golden, family) {
            let model = open(folder.path(), &queries(), None);
            assert!((scores(&model)[0] - inferred(folder.path())).abs() < 1e-5, "{golden}");
            let tower = model.vars().iter().filter(|(name, _)| name.starts_with("audio_tower.")).count();
            assert!(tower > 0 && tower < model.vars().len(), "queries of the tower and of the language model");
        }
    }
}

/// The limit of the folder's feature extractor holds in training as well.
#[test]
fn settings_of_features_are_those_of_the_folder() {
    let folder = rewritten("qwen2_5_omni_tiny", str::to_owned, |json| json);
    let settings = json!({"feature_size": 128, "chunk_length": 1});
    std::fs::write(folder.path().join("preprocessor_config.json"), settings.to_string()).unwrap();
    let model = open(folder.path(), &queries(), None);
    assert_eq!(model.audio_tokens(40_000).unwrap(), 25, "one second is heard");
}

/// Writes an adapter to a folder, its tensors with other names.
fn write_adapter(adapter: &Adapter, rename: impl Fn(&str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in adapter.files().unwrap() {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let file = folder.path().join("adapter_model.safetensors");
    let tensors = candle_core::safetensors::load(&file, CPU).unwrap();
    let renamed =
        tensors.into_iter().map(|(name, tensor)| (to_peft_name(&rename(&from_peft_name(&name).unwrap())), tensor));
    candle_core::safetensors::save(&renamed.collect::<HashMap<_, _>>(), file).unwrap();
    folder
}

#[test]
fn training_goes_on_from_an_adapter_by_any_names() {
    let base = path("qwen2_5_omni_tiny");
    let model = open(&base, &queries(), None);
    for (n, (_, var)) in model.vars().iter().enumerate() {
        let wave = Tensor::arange(0f32, var.elem_count() as f32, var.device()).unwrap().affine(0.7, n as f64).unwrap();
        var.set(&(wave.sin().unwrap() * 0.3).unwrap().reshape(var.shape()).unwrap()).unwrap();
    }
    let (wanted, saved) = (scores(&model), model.adapter(None).unwrap());
    assert!(worst(&wanted, &scores(&open(&base, &queries(), None))) > 1e-3);
    let own = |name: &str| AudioFamily::QwenOmni.tensor_name(name);
    let full = |name: &str| format!("thinker.{}", own(name));
    for rename in [&str::to_owned as &dyn Fn(&str) -> String, &own, &full] {
        let folder = write_adapter(&saved, rename);
        let adapter = Adapter::open(&ModelDir::local(folder.path())).unwrap();
        let plan = TrainingPlan::of_adapters(adapter.config.clone(), 9);
        assert_eq!(scores(&open(&base, &plan, Some(&adapter))), wanted);
        // As inference opens it.
        let checkpoint = AudioCheckpoint::open(base.to_str().unwrap(), None).unwrap();
        let adapter = checkpoint.adapter(folder.path().to_str().unwrap()).unwrap();
        let plan = TrainingPlan::of_adapters(adapter.config.clone(), 9);
        assert_eq!(scores(&open(&base, &plan, Some(&adapter))), wanted);
    }
}

/// PEFT looks for layers by the names that transformers 5 has in memory: settings that mean others by these are saved as a
/// list of the layers.
#[test]
fn settings_are_saved_for_the_names_that_peft_looks_for() {
    let saved = |base: &str, plan: TrainingPlan| open(&path(base), &plan, None).adapter(None).unwrap();
    let short = saved("qwen2_5_omni_tiny", queries());
    assert_eq!(short.config, queries().adapters.unwrap());
    for (base, pattern) in
        [("qwen2_5_omni_tiny", r"model\.layers\..*q_proj"), ("qwen2_audio_tiny", r"language_model\.model\..*q_proj")]
    {
        let adapter = saved(base, adapters(Modules::Pattern(pattern.to_owned())));
        let layers = [0, 1].map(|n| format!("model.language_model.layers.{n}.self_attn.q_proj"));
        assert_eq!(adapter.layers(), layers);
        assert_eq!(adapter.config.target_modules, Modules::Names(layers.to_vec()));
    }
    let all = language_only(LoraConfig {
        target_modules: Modules::Pattern("all-linear".to_owned()),
        ..LoraConfig::default()
    });
    let adapter = saved("qwen2_audio_tiny", TrainingPlan::of_adapters(all.clone(), 1));
    assert_eq!(adapter.config, all, "neither the tower nor the head");
    assert_eq!(adapter.layers().len(), 2 * 7 + 1, "and the projector");
}
