//! Which network a folder holds, and what its tensors are called.

use candle_nn::VarBuilder;
use serde_json::Value;

use crate::audio::whisper::SpeechEncoderConfig;
use crate::error::{Error, Result};
use crate::language::LanguageConfig;
use crate::multimodal::qwen2_5_omni::OmniThinkerConfig;
use crate::multimodal::qwen2_audio::Qwen2AudioConfig;

/// Beginnings of names in transformers 5, and in checkpoints of Qwen2-Audio.
const QWEN2_AUDIO_NAMES: [(&str, &str); 4] = [
    ("model.language_model.", "language_model.model."),
    ("model.audio_tower.", "audio_tower."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
    ("lm_head.", "language_model.lm_head."),
];

/// Beginnings of names in transformers 5, and in checkpoints of the thinker.
const QWEN_OMNI_NAMES: [(&str, &str); 3] =
    [("model.language_model.", "model."), ("model.audio_tower.", "audio_tower."), ("model.visual.", "visual.")];

/// A family of audio language models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AudioFamily {
    /// Qwen2-Audio, with any encoder of Whisper's kind and any language model of Qwen2's or Llama's.
    Qwen2Audio,
    /// The thinker of Qwen2.5-Omni, alone or in the full model.
    QwenOmni,
}

impl AudioFamily {
    /// The family that a `config.json` says it belongs to.
    ///
    /// # Errors
    /// It is that of another network.
    pub fn of(json: &Value) -> Result<Self> {
        match json["model_type"].as_str().unwrap_or_default() {
            "qwen2_audio" => Ok(Self::Qwen2Audio),
            "qwen2_5_omni" | "qwen2_5_omni_thinker" => Ok(Self::QwenOmni),
            other => {
                let supported = "qwen2_audio, qwen2_5_omni, qwen2_5_omni_thinker";
                Err(Error::unsupported("model_type", &other, supported))
            }
        }
    }

    /// The network's name of a tensor, or of a layer, that a file or an adapter calls `stored`. Files have a prefix where
    /// the thinker is a part of the full model, and transformers 5 has other names in memory.
    #[must_use]
    pub fn tensor_name(self, stored: &str) -> String {
        let renamed: &[(&str, &str)] = match self {
            Self::Qwen2Audio => &QWEN2_AUDIO_NAMES,
            Self::QwenOmni => &QWEN_OMNI_NAMES,
        };
        let stored = match self {
            Self::Qwen2Audio => stored,
            Self::QwenOmni => stored.strip_prefix("thinker.").unwrap_or(stored),
        };
        let found = renamed.iter().find_map(|(old, new)| Some(format!("{new}{}", stored.strip_prefix(old)?)));
        // The head has no dot behind it in the name of its layer.
        match (self, stored) {
            (Self::Qwen2Audio, "lm_head") => "language_model.lm_head".to_owned(),
            _ => found.unwrap_or_else(|| stored.to_owned()),
        }
    }

    /// The name that transformers 5 has in memory for a tensor, or for a layer, of the network: what PEFT looks for.
    #[must_use]
    pub fn library_name(self, name: &str) -> String {
        let renamed: &[(&str, &str)] = match self {
            Self::Qwen2Audio => &QWEN2_AUDIO_NAMES,
            Self::QwenOmni => &QWEN_OMNI_NAMES,
        };
        let found = renamed.iter().find_map(|(new, own)| Some(format!("{new}{}", name.strip_prefix(own)?)));
        match (self, name) {
            (Self::Qwen2Audio, "language_model.lm_head") => "lm_head".to_owned(),
            _ => found.unwrap_or_else(|| name.to_owned()),
        }
    }

    /// Whether a tensor, by the network's name, is of no use to the network: the vision tower, the talker and the maker of
    /// waves of Qwen2.5-Omni, and frequencies that old files carry.
    #[must_use]
    pub fn is_ignored(self, name: &str) -> bool {
        let is_other = match self {
            Self::Qwen2Audio => false,
            Self::QwenOmni => {
                ["visual.", "talker.", "token2wav."].iter().any(|part| name.starts_with(part))
                    || [
                        "audio_tower.audio_bos_eos_token.weight",
                        "audio_tower.positional_embedding.positional_embedding",
                    ]
                    .contains(&name)
            }
        };
        is_other || name.ends_with("rotary_emb.inv_freq")
    }

    /// The family's name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Qwen2Audio => "Qwen2-Audio",
            Self::QwenOmni => "Qwen2.5-Omni",
        }
    }
}

/// The configuration of an audio language model of any family.
#[derive(Debug, Clone)]
pub enum AudioLanguageConfig {
    /// That of Qwen2-Audio.
    Qwen2Audio(Box<Qwen2AudioConfig>),
    /// That of the thinker of Qwen2.5-Omni.
    QwenOmni(Box<OmniThinkerConfig>),
}

impl AudioLanguageConfig {
    /// Reads the content of a `config.json`.
    ///
    /// # Errors
    /// The configuration is that of another network, a key has a wrong type, or a value that the network does not support.
    pub fn from_json(json: &Value) -> Result<Self> {
        Ok(match AudioFamily::of(json)? {
            AudioFamily::Qwen2Audio => Self::Qwen2Audio(Box::new(Qwen2AudioConfig::from_json(json)?)),
            AudioFamily::QwenOmni => Self::QwenOmni(Box::new(OmniThinkerConfig::from_json(json)?)),
        })
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> AudioFamily {
        match self {
            Self::Qwen2Audio(_) => AudioFamily::Qwen2Audio,
            Self::QwenOmni(_) => AudioFamily::QwenOmni,
        }
    }

    /// The language model.
    #[must_use]
    pub fn language(&self) -> &LanguageConfig {
        match self {
            Self::Qwen2Audio(config) => &config.language,
            Self::QwenOmni(config) => &config.language,
        }
    }

    /// The token in whose places sounds are put.
    #[must_use]
    pub fn audio_token(&self) -> u32 {
        match self {
            Self::Qwen2Audio(config) => config.audio_token_id,
            Self::QwenOmni(config) => config.audio_token_id,
        }
    }

    /// The layers that hear.
    #[must_use]
    pub fn encoder(&self) -> &SpeechEncoderConfig {
        match self {
            Self::Qwen2Audio(config) => &config.tower,
            Self::QwenOmni(config) => &config.tower.encoder,
        }
    }

    /// Tokens in whose places sounds, pictures or videos are put: a model that writes one of them says nothing with it.
    #[must_use]
    pub fn media_tokens(&self) -> Vec<u32> {
        match self {
            Self::Qwen2Audio(config) => vec![config.audio_token_id],
            Self::QwenOmni(config) => [&[config.audio_token_id], &config.vision_token_ids[..]].concat(),
        }
    }

    /// Mel bands that the tower reads.
    #[must_use]
    pub fn mels(&self) -> usize {
        match self {
            Self::Qwen2Audio(config) => config.tower.mels,
            Self::QwenOmni(config) => config.tower.encoder.mels,
        }
    }

    /// The samples of a sound that are heard, at most.
    #[must_use]
    pub fn longest_sound(&self) -> usize {
        match self {
            Self::Qwen2Audio(config) => config.longest_sound(),
            Self::QwenOmni(config) => config.longest_sound,
        }
    }

    /// The configuration for these weights, by the names of the network: see [`LanguageConfig::with_stored_head`].
    #[must_use]
    pub fn with_stored_head(mut self, vb: &VarBuilder<'_>) -> Self {
        match &mut self {
            Self::Qwen2Audio(config) => {
                config.language = config.language.with_stored_head(&vb.pp("language_model"));
            }
            Self::QwenOmni(config) => config.language = config.language.with_stored_head(vb),
        }
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn tensors_have_one_name_whoever_wrote_them() {
        let check = |family: AudioFamily, stored: &str, name: &str| assert_eq!(family.tensor_name(stored), name);
        for (stored, name) in [
            ("language_model.model.layers.0.mlp.up_proj.weight", "language_model.model.layers.0.mlp.up_proj.weight"),
            ("model.language_model.layers.0.mlp.up_proj.weight", "language_model.model.layers.0.mlp.up_proj.weight"),
            ("model.audio_tower.conv1.bias", "audio_tower.conv1.bias"),
            ("model.multi_modal_projector.linear.bias", "multi_modal_projector.linear.bias"),
            ("lm_head.weight", "language_model.lm_head.weight"),
            ("lm_head", "language_model.lm_head"),
            ("language_model.lm_head.weight", "language_model.lm_head.weight"),
        ] {
            check(AudioFamily::Qwen2Audio, stored, name);
        }
        for (stored, name) in [
            ("model.layers.3.input_layernorm.weight", "model.layers.3.input_layernorm.weight"),
            ("thinker.model.layers.3.input_layernorm.weight", "model.layers.3.input_layernorm.weight"),
            ("model.language_model.embed_tokens.weight", "model.embed_tokens.weight"),
            ("thinker.model.language_model.norm.weight", "model.norm.weight"),
            ("thinker.lm_head.weight", "lm_head.weight"),
            ("model.visual.merger.ln_q.weight", "visual.merger.ln_q.weight"),
            ("talker.model.layers.0.mlp.up_proj.weight", "talker.model.layers.0.mlp.up_proj.weight"),
        ] {
            check(AudioFamily::QwenOmni, stored, name);
        }
        for (family, name, library) in [
            (AudioFamily::Qwen2Audio, "language_model.model.norm.weight", "model.language_model.norm.weight"),
            (AudioFamily::Qwen2Audio, "audio_tower.layers.0.fc1", "model.audio_tower.layers.0.fc1"),
            (AudioFamily::Qwen2Audio, "language_model.lm_head", "lm_head"),
            (AudioFamily::QwenOmni, "model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj"),
            (AudioFamily::QwenOmni, "audio_tower.proj.bias", "model.audio_tower.proj.bias"),
            (AudioFamily::QwenOmni, "lm_head.weight", "lm_head.weight"),
        ] {
            assert_eq!(family.library_name(name), library);
            check(family, library, name);
            check(family, name, name);
        }
        let ignored = |stored: &str| AudioFamily::QwenOmni.is_ignored(&AudioFamily::QwenOmni.tensor_name(stored));
        for stored in ["thinker.visual.merger.ln_q.weight", "model.visual.x", "talker.x", "token2wav.x"] {
            assert!(ignored(stored), "{stored}");
        }
        assert!(!ignored("thinker.audio_tower.proj.weight") && !ignored("thinker.model.norm.weight"));
    }

    #[test]
    fn the_family_is_what_the_configuration_says() {
        for (model_type, family) in [
            ("qwen2_audio", AudioFamily::Qwen2Audio),
            ("qwen2_5_omni", AudioFamily::QwenOmni),
            ("qwen2_5_omni_thinker", AudioFamily::QwenOmni),
        ] {
            let config = AudioLanguageConfig::from_json(&json!({"model_type": model_type})).unwrap();
            assert_eq!(config.family(), family);
        }
        for other in [json!({"model_type": "whisper"}), json!({})] {
            assert!(AudioFamily::of(&other).unwrap_err().to_string().contains("model_type"));
        }
    }
}
