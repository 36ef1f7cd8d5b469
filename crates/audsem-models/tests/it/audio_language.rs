//! Opening audio language models of all families, whatever their tensors are called, and asking them.

use std::collections::HashMap;
use std::path::Path;

use audsem_models::generate::{CausalDecoder, GenerationConfig, StopReason};
use audsem_models::multimodal::MultimodalNetwork;
use audsem_models::multimodal::audio_language::{
    AudioFamily, AudioLanguageModel, AudioLanguageNetwork, AudioModelOptions, AudioQuestion,
};
use audsem_models::multimodal::processor::ChatTurn;
use audsem_models::nn::lora::{delta, to_peft_name};
use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use crate::golden::{max_abs, path};

const CPU: Device = Device::Cpu;

/// Writes a checkpoint as the golden's, with other names for tensors and another configuration.
pub(crate) fn rewritten(
    golden: &str,
    rename: impl Fn(&str) -> String,
    config: impl Fn(Value) -> Value,
) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tensors = candle_core::safetensors::load(path(golden).join("model.safetensors"), &CPU).unwrap();
    let tensors: HashMap<String, Tensor> = tensors.into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect();
    candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
    let json: Value = serde_json::from_slice(&std::fs::read(path(golden).join("config.json")).unwrap()).unwrap();
    std::fs::write(folder.path().join("config.json"), config(json).to_string()).unwrap();
    folder
}

/// Gives a folder the tokenizer of words that the golden of answers has, and its settings of generation.
pub(crate) fn with_words(folder: &Path) {
    for name in ["tokenizer.json", "generation_config.json"] {
        std::fs::copy(path("qwen2_audio_chat").join(name), folder.join(name)).unwrap();
    }
}

fn open(folder: &Path, options: &AudioModelOptions) -> AudioLanguageModel {
    AudioLanguageModel::open(folder.to_str().unwrap(), options).unwrap()
}

pub(crate) fn tone(samples: usize) -> Vec<f32> {
    (0..samples).map(|n| 0.3 * (n as f32 * 0.13).sin()).collect()
}

/// The logits behind a short prompt about a tone.
fn logits(network: &AudioLanguageNetwork) -> Tensor {
    let sound = network.embed_audio(&tone(3200)).unwrap();
    let prompt = [&[3, 8][..], &vec![37; sound.dim(0).unwrap()], &[9]].concat();
    let logits = network.decoder(vec![vec![sound]]).prefill(&[&prompt]).unwrap();
    Tensor::new(logits, &CPU).unwrap()
}

/// The names of transformers 5 in memory.
pub(crate) fn new_name(family: AudioFamily, name: &str) -> String {
    match family {
        AudioFamily::Qwen2Audio => match name.strip_prefix("language_model.model.") {
            Some(rest) => format!("model.language_model.{rest}"),
            None if name == "language_model.lm_head.weight" => "lm_head.weight".to_owned(),
            None => format!("model.{name}"),
        },
        AudioFamily::QwenOmni => match name.strip_prefix("model.") {
            Some(rest) => format!("model.language_model.{rest}"),
            None if name == "lm_head.weight" => name.to_owned(),
            None => format!("model.{name}"),
        },
    }
}

#[test]
fn all_names_of_tensors_are_one_network() {
    for (golden, family) in [
        ("qwen2_audio_tiny", AudioFamily::Qwen2Audio),
        ("qwen2_audio_llama_tiny", AudioFamily::Qwen2Audio),
        ("qwen2_5_omni_tiny", AudioFamily::QwenOmni),
    ] {
        let old = |name: &str| family.tensor_name(name);
        let wrapped = |json: Value| match family {
            AudioFamily::Qwen2Audio => json,
            AudioFamily::QwenOmni => json!({"model_type": "qwen2_5_omni", "thinker_config": json}),
        };
        let prefixed = |name: &str| match family {
            AudioFamily::Qwen2Audio => old(name),
            AudioFamily::QwenOmni => format!("thinker.{}", old(name)),
        };
        let folders = [
            rewritten(golden, old, |json| json),
            rewritten(golden, |name| new_name(family, &old(name)), |json| json),
            rewritten(golden, prefixed, wrapped),
        ];
        let all = folders.map(|folder| {
            with_words(folder.path());
            let model = open(folder.path(), &AudioModelOptions::default());
            assert_eq!(model.notes().len(), 2, "{:?}", model.notes());
            logits(model.network())
        });
        for other in &all[1..] {
            assert_eq!(max_abs(&all[0], other), 0.0, "{golden}");
        }
    }
}

#[test]
fn a_network_of_another_kind_is_refused() {
    let refused = |config: Value| {
        let folder = rewritten("qwen2_audio_tiny", str::to_owned, |_| config.clone());
        with_words(folder.path());
        let path = folder.path().to_str().unwrap();
        AudioLanguageModel::open(path, &AudioModelOptions::default()).unwrap_err().to_string()
    };
    assert!(refused(json!({"model_type": "whisper"})).contains("model_type"));
    assert!(refused(json!({})).contains("qwen2_5_omni_thinker"));
}

/// The settings of features that the folder has are held, and those that the network does not have are refused.
#[test]
fn settings_of_features_are_read() {
    let folder = rewritten("qwen2_5_omni_tiny", str::to_owned, |json| json);
    with_words(folder.path());
    let write = |settings: &Value| {
        std::fs::write(folder.path().join("preprocessor_config.json"), settings.to_string()).unwrap();
        AudioLanguageModel::open(folder.path().to_str().unwrap(), &AudioModelOptions::default())
    };
    let model = write(&json!({"feature_size": 128, "chunk_length": 1})).unwrap();
    assert_eq!(model.network().embed_audio(&tone(40_000)).unwrap().dims(), [25, 24], "one second is heard");
    for (key, settings) in [
        ("feature_size", json!({"feature_size": 80})),
        ("sampling_rate", json!({"sampling_rate": 48_000})),
        ("dither", json!({"dither": 0.1})),
        ("chunk_length", json!({"chunk_length": 0})),
    ] {
        assert!(write(&settings).unwrap_err().to_string().contains(key), "{key}");
    }
}

/// An adapter of PEFT with the names of the full model, over the whole network: that of weights to which its products are
/// added.
#[test]
fn an_adapter_is_merged_by_any_name() {
    let base = rewritten("qwen2_5_omni_tiny", str::to_owned, |json| json);
    with_words(base.path());
    let wave = |rows: usize, columns: usize, shift: f64| {
        let values = Tensor::arange(0f32, (rows * columns) as f32, &CPU).unwrap();
        (values.affine(0.7, shift).unwrap().sin().unwrap() * 0.3).unwrap().reshape((rows, columns)).unwrap()
    };
    let layers = [("model.layers.1.self_attn.q_proj", 24, 24), ("audio_tower.layers.0.self_attn.v_proj", 16, 16)];
    let projections = layers.map(|(name, rows, columns)| (name, wave(2, columns, 0.1), wave(rows, 2, 0.5)));
    let adapter = |rename: &dyn Fn(&str) -> String, layers: &[(&str, Tensor, Tensor)]| {
        let folder = tempfile::tempdir().unwrap();
        let tensors = layers.iter().flat_map(|(name, a, b)| {
            [("lora_A", a), ("lora_B", b)]
                .map(|(kind, tensor)| (to_peft_name(&format!("{}.{kind}.weight", rename(name))), tensor.clone()))
        });
        let tensors: HashMap<String, Tensor> = tensors.collect();
        candle_core::safetensors::save(&tensors, folder.path().join("adapter_model.safetensors")).unwrap();
        let pattern = rename(layers[0].0);
        let settings = json!({
            "peft_type": "LORA", "r": 2, "lora_alpha": 3, "target_modules": ".*(q_proj|v_proj)",
            "alpha_pattern": {pattern: 5},
        });
        std::fs::write(folder.path().join("adapter_config.json"), settings.to_string()).unwrap();
        folder
    };
    let merged = {
        let folder = rewritten("qwen2_5_omni_tiny", str::to_owned, |json| json);
        with_words(folder.path());
        let file = folder.path().join("model.safetensors");
        let mut tensors = candle_core::safetensors::load(&file, &CPU).unwrap();
        for ((name, a, b), scale) in projections.iter().zip([2.5, 1.5]) {
            let wanted = format!("{name}.weight");
            let of_network = |stored: &&String| AudioFamily::QwenOmni.tensor_name(stored) == wanted;
            let stored = tensors.keys().find(of_network).unwrap().clone();
            let weight = tensors.get_mut(&stored).unwrap();
            *weight = (&*weight + delta(a, b, scale).unwrap()).unwrap();
        }
        candle_core::safetensors::save(&tensors, file).unwrap();
        logits(open(folder.path(), &AudioModelOptions::default()).network())
    };
    let with = |folder: &tempfile::TempDir| AudioModelOptions {
        adapter: Some(folder.path().to_str().unwrap().to_owned()),
        ..AudioModelOptions::default()
    };
    let plain = logits(open(base.path(), &AudioModelOptions::default()).network());
    assert!(max_abs(&plain, &merged) > 1e-3);
    let full = |name: &str| format!("thinker.{name}");
    let new = |name: &str| new_name(AudioFamily::QwenOmni, name);
    for rename in [&str::to_owned as &dyn Fn(&str) -> String, &full, &new] {
        let model = open(base.path(), &with(&adapter(rename, &projections)));
        assert!(max_abs(&logits(model.network()), &merged) < 1e-5);
        assert_eq!(model.adapter_fingerprint().unwrap().sha256.len(), 2);
    }
    let other = [("model.layers.7.self_attn.q_proj", projections[0].1.clone(), projections[0].2.clone())];
    let folder = adapter(&str::to_owned, &other);
    let options = with(&folder);
    let error = AudioLanguageModel::open(base.path().to_str().unwrap(), &options).unwrap_err().to_string();
    assert!(error.contains("unused (1): model.layers.7.self_attn.q_proj"), "{error}");
}

/// Greedy, with beams and with seeds; a question among others is the question alone, and another sound gives other scores.
#[test]
fn questions_are_answered_by_all_strategies() {
    let folder = rewritten("qwen2_5_omni_tiny", str::to_owned, |json| json);
    with_words(folder.path());
    let model = open(folder.path(), &AudioModelOptions::default());
    let question = |samples: usize, seed| AudioQuestion {
        turns: vec![ChatTurn::question(1, "What is heard ?")],
        sounds: vec![tone(samples)],
        seed,
    };
    let questions = [question(3200, 1), question(9600, 2)];
    let sampled = GenerationConfig { do_sample: true, temperature: 2.0, top_k: 0, ..model.greedy(6) };
    let beams = GenerationConfig { num_beams: 5, num_return_sequences: 2, ..model.greedy(6) };
    for config in [model.greedy(6), sampled, beams] {
        let together = model.answer(&questions, &config).unwrap();
        for (question, answers) in questions.iter().zip(&together) {
            assert_eq!(answers.len(), config.num_return_sequences);
            assert_eq!(answers, &model.answer(std::slice::from_ref(question), &config).unwrap()[0]);
            assert!(answers.iter().all(|answer| answer.tokens.len() <= 6 && !answer.text.contains("<|im_end|>")));
        }
    }
    // 512 positions are what the network has.
    let prompt = model.prompt(&questions[0]).unwrap().tokens.len();
    let answer = &model
        .answer(&questions[..1], &GenerationConfig { eos_token_id: Vec::new(), ..model.greedy(9999) })
        .unwrap()[0][0];
    assert_eq!((answer.tokens.len(), answer.finish), (512 - prompt, StopReason::MaxLength));
    let longest = model.answer(&[question(400_000, 0)], &model.greedy(1)).unwrap_err().to_string();
    assert!(longest.contains("1 to 511"), "{longest}");
    let config = GenerationConfig { num_beams: 2, ..model.greedy(3) };
    let score = |samples| model.answer(&[question(samples, 0)], &config).unwrap()[0][0].score.unwrap();
    assert!((score(3200) - score(9600)).abs() > 1e-4);
}
