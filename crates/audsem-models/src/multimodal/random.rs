//! An audio language model with random weights: the configuration and the tokenizer of another, with a token for each tag of
//! answers.

use std::collections::BTreeMap;
use std::path::Path;

use audsem_core::answers::TAGS;
use audsem_core::files::write_atomically;
use audsem_core::hub::ModelDir;
use candle_core::{DType, Device, Tensor};
use candle_nn::Init;
use serde_json::Value;
use tokenizers::AddedToken;

use super::audio_language::{AudioFamily, AudioLanguageConfig, AudioLanguageNetwork};
use super::processor::refused;
use crate::checkpoint::write_weights;
use crate::error::Result;
use crate::nn::Params;
use crate::tokenizer::Tokenizer;

/// Files that are taken over unchanged.
const SIDE_FILES: [&str; 7] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "generation_config.json",
];

/// Standard deviation of new weights where the configuration names none: that of transformers.
const DEVIATION: f64 = 0.02;

/// Whose configuration and tokenizer a model with random weights has.
#[derive(Debug, Clone, Copy)]
pub struct RandomModel<'a> {
    /// Folder or id of the other model, which needs no weights.
    pub model: &'a str,
    /// Folder or id of its tokenizer and chat template, where the model's folder lacks them.
    pub processor: Option<&'a str>,
    /// Seed of the weights.
    pub seed: u64,
}

impl RandomModel<'_> {
    /// Writes the model into a folder. `config.json` is written last, so that a folder without it is none.
    ///
    /// The six tags of answers become special tokens. The table of tokens grows where it has no spare rows for them, and
    /// never shrinks. Matrices are normal, biases zero, norms one, and the positions of the tower sines.
    ///
    /// # Errors
    /// There is no such model, its files are broken or those of another network, or the folder cannot be written.
    pub fn write(self, output: &Path) -> Result<()> {
        let dir = ModelDir::resolve(self.model, None)?;
        let processor = match self.processor {
            Some(name) => ModelDir::resolve(name, None)?,
            None => dir.clone(),
        };
        let (tokenizer, n_tokens) = with_tags(&processor)?;
        let (config, deviation) = configuration(dir.json("config.json")?, n_tokens)?;
        write_atomically(&output.join("tokenizer.json"), tokenizer.as_bytes())?;
        for name in SIDE_FILES {
            let found = match processor.optional(name)? {
                Some(path) => Some(path),
                None => dir.optional(name)?,
            };
            if let Some(path) = found {
                write_atomically(&output.join(name), &audsem_core::input::read_whole(&path)?)?;
            }
        }
        write_weights(output, &weights(&AudioLanguageConfig::from_json(&config)?, self.seed, deviation)?)?;
        Ok(write_atomically(&output.join("config.json"), format!("{config:#}\n").as_bytes())?)
    }
}

/// The tokenizer with a special token for each tag, and its number of tokens.
fn with_tags(dir: &ModelDir) -> Result<(String, usize)> {
    let mut tokenizer = crate::language::untruncated(Tokenizer::load(dir, usize::MAX, None)?.inner())?;
    let tags: Vec<AddedToken> =
        TAGS.iter().flat_map(|tag| [tag.open, tag.close]).map(|text| AddedToken::from(text, true)).collect();
    tokenizer.add_special_tokens(tags).map_err(refused)?;
    Ok((tokenizer.to_string(false).map_err(refused)?, tokenizer.get_vocab_size(true)))
}

/// The configuration for so many tokens, of the thinker alone where it is a part of a model; and the deviation of new weights.
fn configuration(mut json: Value, n_tokens: usize) -> Result<(Value, f64)> {
    if json["thinker_config"].is_object() {
        json = json["thinker_config"].take();
        json["model_type"] = "qwen2_5_omni_thinker".into();
        json["architectures"] = serde_json::json!(["Qwen2_5OmniThinkerForConditionalGeneration"]);
    }
    let read = AudioLanguageConfig::from_json(&json)?;
    let named = [&json["initializer_range"], &json["text_config"]["initializer_range"]];
    let deviation = named.into_iter().find_map(Value::as_f64).unwrap_or(DEVIATION);
    json["text_config"]["vocab_size"] = read.language().vocab_size.max(n_tokens).into();
    if read.family() == AudioFamily::Qwen2Audio {
        // transformers does not tie the head of Qwen2-Audio.
        json["text_config"]["tie_word_embeddings"] = false.into();
    }
    Ok((json, deviation))
}

/// Tensors of a network by name.
fn weights(config: &AudioLanguageConfig, seed: u64, deviation: f64) -> Result<BTreeMap<String, Tensor>> {
    let shapes = Params::new(seed);
    AudioLanguageNetwork::load(&shapes.var_builder(DType::F32, &Device::Cpu), config)?;
    let params = Params::new(seed);
    let vb = params.var_builder(DType::F32, &Device::Cpu);
    let mut tensors = BTreeMap::new();
    for (name, var) in shapes.vars() {
        let init = match var.dims() {
            [_] if name.ends_with("bias") => Init::Const(0.0),
            [_] => Init::Const(1.0),
            _ => Init::Randn { mean: 0.0, stdev: deviation },
        };
        let tensor = match var.dims() {
            [positions, dim] if name.ends_with("audio_tower.embed_positions.weight") => sines(*positions, *dim)?,
            dims => vb.get_with_hints(dims, &name, init)?.detach(),
        };
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// Positions of Whisper's encoder: sines, then cosines, of wavelengths from 2π to 20,000π (Radford et al., 2022).
fn sines(positions: usize, dim: usize) -> Result<Tensor> {
    let half = dim / 2;
    let step = 10_000f64.ln() / (half.max(2) - 1) as f64;
    let angle = |position: usize, i: usize| position as f64 * (-step * i as f64).exp();
    let row = |position: usize| {
        let sine = (0..half).map(move |i| angle(position, i).sin() as f32);
        sine.chain((0..dim - half).map(move |i| angle(position, i).cos() as f32))
    };
    Ok(Tensor::from_vec((0..positions).flat_map(row).collect::<Vec<f32>>(), (positions, dim), &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::multimodal::audio_language::{AudioLanguageModel, AudioModelOptions};

    fn golden(name: &str) -> String {
        let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens");
        goldens.join(name).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_random_model_opens_and_has_a_token_for_each_tag() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["qwen2_audio_tiny", "qwen2_5_omni_tiny"] {
            let output = folder.path().join(name);
            let (model, processor) = (golden(name), golden("qwen2_audio_chat"));
            RandomModel { model: &model, processor: Some(&processor), seed: 1 }.write(&output).unwrap();
            let model = AudioLanguageModel::open(output.to_str().unwrap(), &AudioModelOptions::default()).unwrap();
            let tokenizer = model.processor().tokenizer();
            for tag in TAGS {
                let ids = tokenizer.encode([tag.open, tag.close].concat(), false).unwrap();
                let wanted = [tag.open, tag.close].map(|text| tokenizer.token_to_id(text).unwrap());
                assert_eq!(ids.get_ids(), wanted, "{name}");
            }
        }
    }

    #[test]
    fn a_table_grows_for_new_tokens_and_never_shrinks() {
        let base = serde_json::json!({"model_type": "qwen2_audio", "initializer_range": 0.1, "text_config": {"vocab_size": 100}});
        for (tokens, expected) in [(106, 106), (90, 100)] {
            let (json, deviation) = configuration(base.clone(), tokens).unwrap();
            assert_eq!((deviation, &json["text_config"]["vocab_size"]), (0.1, &expected.into()));
        }
        let omni =
            serde_json::json!({"model_type": "qwen2_5_omni", "thinker_config": {"text_config": {"vocab_size": 5}}});
        let (json, deviation) = configuration(omni, 9).unwrap();
        assert_eq!((deviation, &json["text_config"]["vocab_size"]), (DEVIATION, &9.into()));
        assert_eq!(json["model_type"], "qwen2_5_omni_thinker");
    }

    #[test]
    fn weights_have_the_deviation_and_positions_are_sines() {
        let json = serde_json::json!({
            "model_type": "qwen2_audio",
            "audio_config": {
                "num_mel_bins": 8, "d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2,
                "encoder_ffn_dim": 8, "max_source_positions": 30,
            },
            "text_config": {
                "vocab_size": 500, "hidden_size": 32, "intermediate_size": 16, "num_hidden_layers": 1,
                "num_attention_heads": 2, "num_key_value_heads": 1,
            },
        });
        let tensors = weights(&AudioLanguageConfig::from_json(&json).unwrap(), 3, 0.5).unwrap();
        let values =
            tensors["language_model.model.embed_tokens.weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let square = values.iter().map(|value| f64::from(value * value)).sum::<f64>() / values.len() as f64;
        assert!((square.sqrt() - 0.5).abs() < 0.01, "{square}");
        let positions = tensors["audio_tower.embed_positions.weight"].to_vec2::<f32>().unwrap();
        assert_eq!((positions.len(), positions[0][0], positions[0][8]), (30, 0.0, 1.0));
        assert!((positions[1][0] - 1f32.sin()).abs() < 1e-7 && (positions[1][15] - 1e-4f32.cos()).abs() < 1e-7);
        let ones = tensors["language_model.model.norm.weight"].to_vec1::<f32>().unwrap();
        assert!(ones.iter().all(|value| *value == 1.0));
    }
}
