//! What the tensors of an exported model are called, and the configuration that goes with it.

use candle_core::DType;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::multimodal::audio_language::AudioFamily;

/// The part of Qwen2.5-Omni that hears and writes.
const THINKER: &str = "thinker.";

/// Which tensors a model folder has, and what they are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TensorLayout {
    /// As the base has them
    #[default]
    Base,
    /// The thinker of Qwen2.5-Omni alone, without the prefix `thinker.`
    Thinker,
    /// The thinker of Qwen2.5-Omni with the prefix `thinker.`, as in the full model
    Prefixed,
}

impl TensorLayout {
    /// Refuses a layout that a family does not have.
    pub(super) fn check(self, family: AudioFamily) -> Result<()> {
        match (self, family) {
            (Self::Base, _) | (_, AudioFamily::QwenOmni) => Ok(()),
            (layout, family) => Err(Error::unsupported("--layout", &layout, &format!("base, for {}", family.name()))),
        }
    }

    /// The name of a tensor of the base; nothing if it is left out.
    pub(super) fn name(self, stored: &str) -> Option<String> {
        let is_other = stored.starts_with("talker.") || stored.starts_with("token2wav.");
        let plain = stored.strip_prefix(THINKER).unwrap_or(stored);
        match self {
            Self::Base => Some(stored.to_owned()),
            _ if is_other => None,
            Self::Thinker => Some(plain.to_owned()),
            Self::Prefixed => Some(format!("{THINKER}{plain}")),
        }
    }

    /// The content of `config.json`, made of that of the base.
    pub(super) fn config(self, base: &Value, dtype: DType) -> Value {
        let thinker = || if base["thinker_config"].is_object() { base["thinker_config"].clone() } else { base.clone() };
        let mut config = match self {
            Self::Base => base.clone(),
            Self::Thinker => {
                let mut thinker = thinker();
                thinker["model_type"] = "qwen2_5_omni_thinker".into();
                thinker["architectures"] = json!(["Qwen2_5OmniThinkerForConditionalGeneration"]);
                thinker
            }
            Self::Prefixed => json!({
                "architectures": ["Qwen2_5OmniModel"],
                "model_type": "qwen2_5_omni",
                "enable_audio_output": false,
                "thinker_config": thinker(),
            }),
        };
        let name = match dtype {
            DType::BF16 => "bfloat16",
            DType::F16 => "float16",
            _ => "float32",
        };
        // transformers 5 reads the one, older versions the other.
        config["dtype"] = name.into();
        config["torch_dtype"] = name.into();
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_called_as_is_asked() {
        for (layout, stored, name) in [
            (TensorLayout::Base, "thinker.model.norm.weight", Some("thinker.model.norm.weight")),
            (TensorLayout::Base, "talker.x", Some("talker.x")),
            (TensorLayout::Thinker, "thinker.model.norm.weight", Some("model.norm.weight")),
            (TensorLayout::Thinker, "model.norm.weight", Some("model.norm.weight")),
            (TensorLayout::Thinker, "talker.x", None),
            (TensorLayout::Prefixed, "model.norm.weight", Some("thinker.model.norm.weight")),
            (TensorLayout::Prefixed, "thinker.model.norm.weight", Some("thinker.model.norm.weight")),
            (TensorLayout::Prefixed, "token2wav.x", None),
        ] {
            assert_eq!(layout.name(stored).as_deref(), name, "{layout:?} {stored}");
        }
    }
}
