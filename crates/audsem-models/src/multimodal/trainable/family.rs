//! Kinds of audio language models that can be trained.

use audsem_core::hub::ModelDir;
use candle_nn::VarBuilder;
use serde_json::Value;

use super::network::{LanguageNames, Network};
use super::tower::Qwen2AudioTower;
use crate::error::{Error, Result};
use crate::generate::CausalDecoder;
use crate::multimodal::MultimodalNetwork;
use crate::multimodal::qwen2_audio::{Qwen2Audio, Qwen2AudioConfig};
use crate::nn::lora::Adapter;
use crate::train::{PolicySnapshot, Sound};

/// A name with another beginning, if it begins so.
fn exchanged(name: &str, from: &str, to: &str) -> Option<String> {
    Some(format!("{to}{}", name.strip_prefix(from)?))
}

/// A kind of model with its configuration.
pub(super) enum ModelFamily {
    /// Qwen2-Audio.
    Qwen2Audio(Box<Qwen2AudioConfig>),
}

/// Where checkpoints of Qwen2-Audio have their language model.
const QWEN2_AUDIO: LanguageNames = LanguageNames { model: "language_model.model", head: "language_model.lm_head" };

/// How modules of Qwen2-Audio are called by transformers 5, and in checkpoints.
const QWEN2_AUDIO_RENAMED: [(&str, &str); 3] = [
    ("model.language_model.", "language_model.model."),
    ("model.audio_tower.", "audio_tower."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
];

/// Whether a tensor belongs to what maps the states of a tower to vectors of the language model.
pub(super) fn is_of_projector(name: &str) -> bool {
    ["multi_modal_projector.", "audio_tower.proj."].iter().any(|part| name.starts_with(part))
}

impl ModelFamily {
    /// Reads which kind of model a folder holds.
    ///
    /// # Errors
    /// The file is missing or broken, or the kind has no training form.
    pub(super) fn read(dir: &ModelDir) -> Result<Self> {
        let json: Value = dir.json("config.json")?;
        match json["model_type"].as_str() {
            Some("qwen2_audio") => Ok(Self::Qwen2Audio(Box::new(Qwen2AudioConfig::from_json(&json)?))),
            other => Err(Error::unsupported("model_type", &other, "qwen2_audio")),
        }
    }

    /// The training form.
    pub(super) fn network(&self, vb: &VarBuilder<'_>) -> Result<Network> {
        let Self::Qwen2Audio(config) = self;
        let tower = Box::new(Qwen2AudioTower::load(vb, config)?);
        Network::load(vb, tower, &config.language, (QWEN2_AUDIO, config.audio_token_id))
    }

    /// Tensors of checkpoints that are not asked for.
    pub(super) fn is_ignorable(&self, name: &str) -> bool {
        let Self::Qwen2Audio(config) = self;
        let is_head = config.language.tie_word_embeddings && name == "language_model.lm_head.weight";
        is_head || name.ends_with("rotary_emb.inv_freq")
    }

    /// An adapter with the names of tensors that checkpoints have, whichever version of transformers it was made with.
    pub(super) fn with_own_names(&self, adapter: Adapter) -> Adapter {
        let Self::Qwen2Audio(_) = self;
        adapter.with_tensor_names(|name| {
            let found = QWEN2_AUDIO_RENAMED.iter().find_map(|(new, old)| exchanged(name, new, old));
            found.unwrap_or_else(|| name.to_owned())
        })
    }

    /// An adapter with the names that modules have in transformers 5. PEFT finds the layers of a language model by the
    /// names of checkpoints as well, but misses those of a tower, with no more than a warning.
    pub(super) fn with_library_names(&self, adapter: Adapter) -> Adapter {
        let Self::Qwen2Audio(_) = self;
        adapter.with_tensor_names(|name| {
            let found = QWEN2_AUDIO_RENAMED.iter().find_map(|(new, old)| exchanged(name, old, new));
            found.unwrap_or_else(|| name.to_owned())
        })
    }

    /// The inference form.
    pub(super) fn policy(&self, vb: &VarBuilder<'_>) -> Result<Box<dyn PolicySnapshot>> {
        let Self::Qwen2Audio(config) = self;
        Ok(Box::new(Qwen2Audio::load(vb, config)?))
    }
}

impl PolicySnapshot for Qwen2Audio {
    fn decoder(&self, sounds: &[Vec<Sound>]) -> Result<Box<dyn CausalDecoder + '_>> {
        let heard =
            |sounds: &Vec<Sound>| sounds.iter().map(|sound| self.embed_audio(sound)).collect::<Result<Vec<_>>>();
        Ok(Box::new(MultimodalNetwork::decoder(self, sounds.iter().map(heard).collect::<Result<_>>()?)))
    }
}
