//! The thinker of Qwen2.5-Omni: a language model that hears sounds of up to five minutes.
//!
//! Xu et al., 2025; numbers agree with `Qwen2_5OmniThinkerForConditionalGeneration` of Hugging Face transformers
//! (`fixtures/regen/qwen2_5_omni.py`). Pictures and videos are refused, and the tensors of the vision tower, of the talker
//! and of what makes waves of its tokens are not read. Without pictures all axes of the rotary positions are equal, so that
//! the language model is exactly Qwen2.

mod config;
mod hearing;
mod tower;

use candle_core::Tensor;
use candle_nn::VarBuilder;

pub use config::{OmniThinkerConfig, OmniTowerConfig};
pub use hearing::OmniHearing;
pub use tower::OmniAudioTower;

use super::{HOP_SAMPLES, MultimodalNetwork, SoundLengths, fill_places, splice};
use crate::error::{Error, Result};
use crate::language::LanguageNetwork;

/// The network.
#[derive(Debug)]
pub struct OmniThinker {
    hearing: OmniHearing,
    language: LanguageNetwork,
    audio_token: u32,
    vision_tokens: [u32; 2],
}

impl OmniThinker {
    /// Loads `audio_tower`, `model` and `lm_head` below `vb`. Checkpoints whose head is the token table lack the last one,
    /// whatever their configuration says.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or the configuration asks for what this network does not have.
    pub fn load(vb: &VarBuilder<'_>, config: &OmniThinkerConfig) -> Result<Self> {
        Ok(Self {
            hearing: OmniHearing::load(vb, config)?,
            language: LanguageNetwork::load(vb, &config.language.with_stored_head(vb))?,
            audio_token: config.audio_token_id,
            vision_tokens: config.vision_token_ids,
        })
    }

    /// The audio tower with its features.
    #[must_use]
    pub fn hearing(&self) -> &OmniHearing {
        &self.hearing
    }

    /// Vectors (N, E) that the language model gets of a sound: mono samples at [`super::SAMPLE_RATE_HZ`].
    ///
    /// # Errors
    /// As [`OmniHearing::features`].
    pub fn embed_audio(&self, samples: &[f32]) -> Result<Tensor> {
        self.hearing.tower().forward(&self.hearing.features(samples)?)
    }
}

impl MultimodalNetwork for OmniThinker {
    /// Vectors (N, E) of sounds, as [`OmniThinker::embed_audio`] gives them.
    type Media = Vec<Tensor>;

    fn language(&self) -> &LanguageNetwork {
        &self.language
    }

    /// The vectors of the sounds take the place of the prompt's audio tokens, in order. Prompts with places for pictures
    /// or videos are refused: the positions of their tokens would not be those of text.
    fn merge(&self, prompt: &[u32], sounds: &Vec<Tensor>) -> Result<Tensor> {
        if prompt.iter().any(|id| self.vision_tokens.contains(id)) {
            return Err(Error::NoPictures);
        }
        splice(&self.language.embed(prompt)?, &fill_places(prompt, self.audio_token, sounds)?)
    }
}
