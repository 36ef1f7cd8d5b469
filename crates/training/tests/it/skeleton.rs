//! The skeleton of a tiny model that hears: configuration and tokenizer, without weights.

use std::path::Path;

use audsem_core::files::write_atomically;
use audsem_models::tokenizer::train_byte_level_bpe;
use serde_json::{Value, json};

use crate::sounds;

/// The special tokens of both families, in the order of their ids behind those of texts.
const SPECIAL: [&str; 8] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|audio_bos|>",
    "<|AUDIO|>",
    "<|audio_eos|>",
    "<|IMAGE|>",
    "<|VIDEO|>",
];

/// Which family a skeleton is of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Qwen2Audio,
    OmniThinker,
}

/// Writes `config.json`, `tokenizer.json` and `tokenizer_config.json` of a model with some hundred thousand weights, whose
/// tokens are those of questions about [`sounds`].
pub(crate) fn write(folder: &Path, kind: Kind) {
    let (tokenizer, ids) = tokenizer();
    let settings = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "model_max_length": 2048,
    });
    let config = match kind {
        Kind::Qwen2Audio => qwen2_audio(ids),
        Kind::OmniThinker => omni_thinker(ids),
    };
    for (name, json) in [("config.json", config), ("tokenizer_config.json", settings), ("tokenizer.json", tokenizer)] {
        write_atomically(&folder.join(name), json.to_string().as_bytes()).expect("the folder can be written");
    }
}

/// A byte-level tokenizer, as Qwen2 has, with the first id of [`SPECIAL`].
fn tokenizer() -> (Value, usize) {
    let prelude = "system\nYou are a helpful assistant.\nuser\nAudio 1: \nassistant\n";
    let texts: Vec<String> = (0..4)
        .map(|kind| {
            format!("{prelude}{}\nIt is {}.\n{}", sounds::question(), sounds::KINDS[kind], sounds::option(kind))
        })
        .collect();
    let trained = train_byte_level_bpe(texts.iter().map(String::as_str), 400).expect("there are texts to learn from");
    let (first, text) = (trained.get_vocab_size(true), trained.to_string(false).expect("a tokenizer is plain data"));
    let mut json: Value = serde_json::from_str(&text).expect("a tokenizer is JSON");
    json["post_processor"] = Value::Null;
    let added = json["added_tokens"].as_array_mut().expect("a list");
    added.extend(SPECIAL.iter().enumerate().map(|(n, token)| {
        json!({
            "id": first + n, "content": token, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false,
        })
    }));
    (json, first)
}

fn id(first: usize, token: &str) -> usize {
    first + SPECIAL.iter().position(|other| *other == token).expect("a special token")
}

fn text_config(first: usize) -> Value {
    json!({
        "vocab_size": first + SPECIAL.len(), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
        "tie_word_embeddings": false, "eos_token_id": id(first, "<|im_end|>"), "pad_token_id": first,
    })
}

fn audio_config() -> Value {
    json!({
        "num_mel_bins": 80, "d_model": 48, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 96,
    })
}

fn qwen2_audio(first: usize) -> Value {
    let mut config = json!({
        "model_type": "qwen2_audio",
        "architectures": ["Qwen2AudioForConditionalGeneration"],
        "audio_token_index": id(first, "<|AUDIO|>"),
        // As published; ms-swift reads it.
        "ignore_index": -100,
        "initializer_range": 0.06,
        "audio_config": audio_config(),
        "text_config": text_config(first),
    });
    config["audio_config"]["model_type"] = "qwen2_audio_encoder".into();
    // Sounds of a second.
    config["audio_config"]["max_source_positions"] = 50.into();
    config["text_config"]["model_type"] = "qwen2".into();
    config
}

fn omni_thinker(first: usize) -> Value {
    let mut config = json!({
        "model_type": "qwen2_5_omni_thinker",
        "architectures": ["Qwen2_5OmniThinkerForConditionalGeneration"],
        "audio_token_index": id(first, "<|AUDIO|>"),
        "audio_start_token_id": id(first, "<|audio_bos|>"),
        "audio_end_token_id": id(first, "<|audio_eos|>"),
        "image_token_index": id(first, "<|IMAGE|>"),
        "video_token_index": id(first, "<|VIDEO|>"),
        "initializer_range": 0.06,
        "audio_config": audio_config(),
        "text_config": text_config(first),
    });
    config["audio_config"]["model_type"] = "qwen2_5_omni_audio_encoder".into();
    config["audio_config"]["n_window"] = 50.into();
    config["audio_config"]["output_dim"] = 64.into();
    config["text_config"]["model_type"] = "qwen2_5_omni_text".into();
    config["text_config"]["rope_parameters"] =
        json!({ "mrope_section": [4, 2, 2], "rope_theta": 1e6, "rope_type": "default" });
    config
}
