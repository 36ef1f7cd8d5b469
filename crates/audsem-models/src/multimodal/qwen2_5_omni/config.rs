//! `config.json` of the thinker of Qwen2.5-Omni, or of the full model, of which the thinker is a part.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::audio::whisper::SpeechEncoderConfig;
use crate::error::{Error, Result};
use crate::language::LanguageConfig;
use crate::nn::Activation;

/// The names that configurations have for the thinker alone and for the full model.
const MODEL_TYPES: [&str; 2] = ["qwen2_5_omni_thinker", "qwen2_5_omni"];

/// Samples of the 300 seconds that are heard where no feature extractor says how many.
const LONGEST_SOUND: usize = 4_800_000;

/// Pairs of a head that turn by time, height and width, where a configuration does not say.
const SECTIONS: [usize; 3] = [16, 24, 24];

/// Sizes and settings of the thinker, without its vision tower.
#[derive(Debug, Clone)]
pub struct OmniThinkerConfig {
    /// The tower that hears.
    pub tower: OmniTowerConfig,
    /// The language model. With positions of text and sound, of which all three axes are equal, it is exactly Qwen2.
    pub language: LanguageConfig,
    /// Pairs of a head that turn by time, height and width.
    pub sections: [usize; 3],
    /// The token in whose places sounds are put.
    pub audio_token_id: u32,
    /// The tokens in whose places pictures and videos would be put.
    pub vision_token_ids: [u32; 2],
    /// The samples of a sound that are heard, at most.
    pub longest_sound: usize,
}

/// Shape of the audio tower.
#[derive(Debug, Clone, Copy)]
pub struct OmniTowerConfig {
    /// The layers, which are those of Whisper.
    pub encoder: SpeechEncoderConfig,
    /// Half as many frames as are heard together.
    pub window: usize,
    /// Width of the vectors that the language model reads.
    pub output: usize,
}

/// The keys that are read; absent ones have the defaults of `Qwen2_5OmniThinkerConfig`.
#[derive(Deserialize)]
struct Keys {
    #[serde(default)]
    audio_config: AudioKeys,
    text_config: Option<Map<String, Value>>,
    #[serde(default = "audio_token")]
    audio_token_index: u32,
    #[serde(default = "image_token")]
    image_token_index: u32,
    #[serde(default = "video_token")]
    video_token_index: u32,
    tie_word_embeddings: Option<bool>,
}

fn audio_token() -> u32 {
    151_646
}

fn image_token() -> u32 {
    151_655
}

fn video_token() -> u32 {
    151_656
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
    n_window: usize,
    output_dim: usize,
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
            n_window: 100,
            output_dim: 3584,
        }
    }
}

impl AudioKeys {
    fn tower(&self) -> Result<OmniTowerConfig> {
        let encoder = SpeechEncoderConfig {
            mels: self.num_mel_bins,
            positions: self.max_source_positions,
            dim: self.d_model,
            heads: self.encoder_attention_heads,
            layers: self.encoder_layers,
            intermediate: self.encoder_ffn_dim,
            activation: Activation::from_name("activation_function", &self.activation_function)?,
        };
        let tower = OmniTowerConfig { encoder, window: self.n_window, output: self.output_dim };
        tower.validate()?;
        Ok(tower)
    }
}

impl OmniTowerConfig {
    /// Refuses sizes that do not fit each other.
    ///
    /// # Errors
    /// The first such size.
    pub fn validate(&self) -> Result<()> {
        self.encoder.validate()?;
        Error::check_sizes(&[("n_window", self.window), ("output_dim", self.output)])?;
        if self.window > self.encoder.positions {
            let most = format!("at most max_source_positions {}", self.encoder.positions);
            return Err(Error::unsupported("n_window", &self.window, &most));
        }
        // The sinusoids are spread over half of the width, from the first to the last.
        if !self.encoder.dim.is_multiple_of(2) || self.encoder.dim < 4 {
            return Err(Error::unsupported("d_model", &self.encoder.dim, "an even number from 4"));
        }
        Ok(())
    }
}

impl OmniThinkerConfig {
    /// Reads the content of a `config.json`: that of the thinker, or that of the full model, which has it under
    /// `thinker_config`.
    ///
    /// # Errors
    /// The configuration is that of another network, a key has a wrong type, or a value that this network does not support.
    pub fn from_json(json: &Value) -> Result<Self> {
        let model_type = json["model_type"].as_str().unwrap_or_default();
        if !MODEL_TYPES.contains(&model_type) {
            return Err(Error::unsupported("model_type", &model_type, &MODEL_TYPES.join(", ")));
        }
        let thinker = if json["thinker_config"].is_object() { &json["thinker_config"] } else { json };
        let keys: Keys = serde_json::from_value(thinker.clone())
            .map_err(|error| Error::unsupported("config.json", &error.to_string(), "keys of Qwen2.5-Omni"))?;
        let mut text = keys.text_config.unwrap_or_default();
        let sections = take_sections(&mut text)?;
        let tied = keys.tie_word_embeddings.unwrap_or(false) || text.get("tie_word_embeddings") == Some(&json!(true));
        let language = language(text, tied)?;
        language.rotary.clone().with_sections(&sections)?;
        let tower = keys.audio_config.tower()?;
        if tower.output != language.hidden_size {
            let wanted = format!("hidden_size {}", language.hidden_size);
            return Err(Error::unsupported("output_dim", &tower.output, &wanted));
        }
        Ok(Self {
            tower,
            language,
            sections,
            audio_token_id: keys.audio_token_index,
            vision_token_ids: [keys.image_token_index, keys.video_token_index],
            longest_sound: LONGEST_SOUND,
        })
    }
}

/// Takes `mrope_section` out of the settings of rotary positions, and the second name of their kind, which old files have
/// beside the first.
fn take_sections(text: &mut Map<String, Value>) -> Result<[usize; 3]> {
    let mut sections = SECTIONS;
    for key in ["rope_scaling", "rope_parameters"] {
        let Some(Value::Object(rope)) = text.get_mut(key) else { continue };
        if let Some(found) = rope.remove("mrope_section") {
            let wrong = || Error::unsupported("mrope_section", &found, "three whole numbers");
            sections = serde_json::from_value(found.clone()).map_err(|_| wrong())?;
        }
        let second = rope.remove("type");
        let kind = rope.entry("rope_type").or_insert_with(|| second.unwrap_or_else(|| "default".into()));
        if *kind == "mrope" {
            *kind = "default".into();
        }
    }
    Ok(sections)
}

/// The language model as Qwen2, with the defaults of `Qwen2_5OmniTextConfig`.
fn language(mut text: Map<String, Value>, tied: bool) -> Result<LanguageConfig> {
    let defaults = json!({
        "vocab_size": 152_064, "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "max_position_embeddings": 32_768, "rope_theta": 1e6,
    });
    for (key, value) in defaults.as_object().into_iter().flatten() {
        let entry = text.entry(key).or_insert(Value::Null);
        if entry.is_null() {
            *entry = value.clone();
        }
    }
    text.insert("model_type".to_owned(), "qwen2".into());
    text.insert("tie_word_embeddings".to_owned(), tied.into());
    LanguageConfig::from_json(&Value::Object(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn absent_keys_have_the_sizes_of_the_7b_model() {
        let config = OmniThinkerConfig::from_json(&json!({"model_type": "qwen2_5_omni_thinker"})).unwrap();
        let language = &config.language;
        let sizes = [language.vocab_size, language.hidden_size, language.num_hidden_layers, language.head_dim];
        assert_eq!(sizes, [152_064, 3584, 28, 128]);
        assert_eq!((config.tower.encoder.layers, config.tower.window, config.sections), (32, 100, [16, 24, 24]));
        assert_eq!((config.audio_token_id, config.vision_token_ids), (151_646, [151_655, 151_656]));
        // The first pair turns by one radian per position, the last by theta to the power of −126/128.
        let last = language.rotary.frequencies()[63];
        assert!((f64::from(last) - 1e6f64.powf(-126.0 / 128.0)).abs() < 1e-12, "{last}");
    }

    #[test]
    fn the_thinker_is_found_in_the_full_model_with_settings_of_old_and_new_files() {
        let rope = [
            json!({"rope_theta": 5e5, "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"}}),
            json!({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default", "mrope_section": [1, 1, 2]}}),
            json!({"rope_theta": 5e5, "rope_scaling": {"mrope_section": [1, 1, 2], "type": "mrope"}}),
        ];
        for mut text in rope {
            let sizes = json!({"hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1});
            text.as_object_mut().unwrap().extend(sizes.as_object().unwrap().clone());
            let audio = json!({"d_model": 8, "encoder_attention_heads": 2, "output_dim": 16});
            let thinker = json!({"model_type": "qwen2_5_omni_thinker", "text_config": text, "audio_config": audio});
            let full = json!({"model_type": "qwen2_5_omni", "thinker_config": thinker, "talker_config": {}});
            for json in [thinker.clone(), full] {
                let config = OmniThinkerConfig::from_json(&json).unwrap();
                assert_eq!(config.sections, [1, 1, 2], "{json}");
                let slowest = f64::from(config.language.rotary.frequencies()[3]);
                assert!((slowest - 5e5f64.powf(-0.75)).abs() < 1e-9, "{json}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (key, json) in [
            ("model_type", json!({"model_type": "qwen2"})),
            ("mrope_section", json!({"text_config": {"rope_scaling": {"mrope_section": [64]}}})),
            ("output_dim", json!({"audio_config": {"output_dim": 100}})),
            ("n_window", json!({"audio_config": {"n_window": 2000}})),
            ("d_model", json!({"audio_config": {"d_model": 9, "encoder_attention_heads": 3}})),
            ("sections", json!({"text_config": {"rope_scaling": {"mrope_section": [16, 24, 25]}}})),
        ] {
            let mut full = json!({"model_type": "qwen2_5_omni_thinker"});
            full.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
            let error = OmniThinkerConfig::from_json(&full).unwrap_err().to_string();
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}
