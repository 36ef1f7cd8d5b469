//! Families of audio language models in training.

use candle_nn::VarBuilder;

use super::network::{LanguageNames, Network};
use super::tower::{HearingTower, Qwen2AudioTower};
use crate::error::Result;
use crate::generate::CausalDecoder;
use crate::multimodal::MultimodalNetwork;
use crate::multimodal::audio_language::{AudioLanguageConfig, AudioLanguageNetwork};
use crate::multimodal::qwen2_5_omni::OmniHearing;
use crate::train::{PolicySnapshot, Sound};

/// Where Qwen2-Audio has its language model.
const QWEN2_AUDIO: LanguageNames = LanguageNames { model: "language_model.model", head: "language_model.lm_head" };

/// Where the thinker of Qwen2.5-Omni has its language model.
const QWEN_OMNI: LanguageNames = LanguageNames { model: "model", head: "lm_head" };

/// The positions of towers, which are constants.
const POSITIONS: &str = "audio_tower.embed_positions.weight";

/// Whether a tensor belongs to what maps the states of a tower to vectors of the language model.
pub(super) fn is_of_projector(name: &str) -> bool {
    ["multi_modal_projector.", "audio_tower.proj."].iter().any(|part| name.starts_with(part))
}

/// Whether a tensor is one that can be trained.
pub(super) fn is_weight(name: &str) -> bool {
    name != POSITIONS
}

/// The training form of the network that a configuration describes, which says what the weights below `vb` hold.
///
/// # Errors
/// A tensor is missing or of another shape, or the network has no training form.
pub(super) fn network(vb: &VarBuilder<'_>, config: &AudioLanguageConfig) -> Result<Network> {
    let (tower, names, vision_tokens): (Box<dyn HearingTower>, _, _) = match config {
        AudioLanguageConfig::Qwen2Audio(config) => (Box::new(Qwen2AudioTower::load(vb, config)?), QWEN2_AUDIO, None),
        AudioLanguageConfig::QwenOmni(config) => {
            (Box::new(OmniHearing::load(vb, config)?), QWEN_OMNI, Some(config.vision_token_ids))
        }
    };
    Network::load(vb, tower, config.language(), (names, config.audio_token(), vision_tokens))
}

impl PolicySnapshot for AudioLanguageNetwork {
    fn decoder(&self, sounds: &[Vec<Sound>]) -> Result<Box<dyn CausalDecoder + '_>> {
        let heard =
            |sounds: &Vec<Sound>| sounds.iter().map(|sound| self.embed_audio(sound)).collect::<Result<Vec<_>>>();
        Ok(Box::new(MultimodalNetwork::decoder(self, sounds.iter().map(heard).collect::<Result<_>>()?)))
    }
}
