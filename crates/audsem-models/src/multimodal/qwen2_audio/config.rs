//! `config.json` of Qwen2-Audio.

use serde::Deserialize;
use serde_json::Value;

use crate::audio::whisper::SpeechEncoderConfig;
use crate::error::{Error, Result};
use crate::language::LanguageConfig;
use crate::multimodal::HOP_SAMPLES;
use crate::nn::Activation;

/// The name that configurations have for this network.
const MODEL_TYPE: &str = "qwen2_audio";

/// Sizes and settings of the network.
#[derive(Debug, Clone)]
pub struct Qwen2AudioConfig {
    /// The tower that hears.
    pub tower: SpeechEncoderConfig,
    /// The language model.
    pub language: LanguageConfig,
    /// The token in whose places sounds are put.
    pub audio_token_id: u32,
}

/// The keys that are read; absent ones have the defaults of `Qwen2AudioConfig`.
#[derive(Deserialize)]
struct Keys {
    model_type: Option<String>,
    #[serde(default)]
    audio_config: AudioKeys,
    text_config: Option<Value>,
    #[serde(alias = "audio_token_index")]
    audio_token_id: Option<u32>,
}

#[derive(Deserialize)]
#[serde(default)]
struct AudioKeys {
    num_mel_bins: usize,
    max_source_positions: usize,
    d_model: usize,
    encoder_attention_heads: usize,
    encoder_layers: usize,
    encoder_ffn_dim: usize,
    activation_function: String,
}

impl Default for AudioKeys {
    fn default() -> Self {
        Self {
            num_mel_bins: 128,
            max_source_positions: 1500,
            d_model: 1280,
            encoder_attention_heads: 20,
            encoder_layers: 32,
            encoder_ffn_dim: 5120,
            activation_function: "gelu".to_owned(),
        }
    }
}

impl Qwen2AudioConfig {
    /// Reads the content of a `config.json`.
    ///
    /// # Errors
    /// It is that of another network, a key has a wrong type, or a value that this network does not support.
    pub fn from_json(json: &Value) -> Result<Self> {
        let keys: Keys = serde_json::from_value(json.clone())
            .map_err(|error| Error::unsupported("config.json", &error.to_string(), "keys of Qwen2-Audio"))?;
        match keys.model_type.as_deref() {
            Some(MODEL_TYPE) => {}
            other => return Err(Error::unsupported("model_type", &other.unwrap_or_default(), MODEL_TYPE)),
        }
        let mut text = keys.text_config.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        if let Value::Object(text) = &mut text {
            text.entry("model_type").or_insert_with(|| "qwen2".into());
        }
        let audio = keys.audio_config;
        let tower = SpeechEncoderConfig {
            mels: audio.num_mel_bins,
            positions: audio.max_source_positions,
            dim: audio.d_model,
            heads: audio.encoder_attention_heads,
            layers: audio.encoder_layers,
            intermediate: audio.encoder_ffn_dim,
            activation: Activation::from_name("activation_function", &audio.activation_function)?,
        };
        tower.validate()?;
        let audio_token_id = keys.audio_token_id.unwrap_or(151_646);
        Ok(Self { tower, language: LanguageConfig::from_json(&text)?, audio_token_id })
    }

    /// The samples of a sound that are heard: all that the tower has positions for.
    #[must_use]
    pub fn longest_sound(&self) -> usize {
        2 * self.tower.positions * HOP_SAMPLES
    }
}
