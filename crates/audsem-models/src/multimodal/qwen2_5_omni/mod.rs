//! The thinker of Qwen2.5-Omni: a language model that hears sounds of up to five minutes.
//!
//! Xu et al., 2025; numbers agree with `Qwen2_5OmniThinkerForConditionalGeneration` of Hugging Face transformers
//! (`fixtures/regen/qwen2_5_omni.py`). Pictures and videos are refused, and the tensors of the vision tower, of the talker
//! and of what makes waves of its tokens are not read. Without pictures all axes of the rotary positions are equal, so that
//! the language model is exactly Qwen2.

mod config;
mod tower;

use audsem_media::audio::{FrontEnd, FrontEndConfig};
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;

pub use config::{OmniThinkerConfig, OmniTowerConfig};
pub use tower::OmniAudioTower;

use super::{HOP_SAMPLES, MultimodalNetwork, SoundLengths, fill_places, splice};
use crate::audio::whisper::mel;
use crate::error::{Error, Result};
use crate::language::LanguageNetwork;

/// The network.
#[derive(Debug)]
pub struct OmniThinker {
    front_end: FrontEnd,
    tower: OmniAudioTower,
    language: LanguageNetwork,
    audio_token: u32,
    vision_tokens: [u32; 2],
    longest: usize,
    device: Device,
}

impl OmniThinker {
    /// Loads `audio_tower`, `model` and `lm_head` below `vb`. Checkpoints whose head is the token table lack the last one,
    /// whatever their configuration says.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or the configuration asks for what this network does not have.
    pub fn load(vb: &VarBuilder<'_>, config: &OmniThinkerConfig) -> Result<Self> {
        let mut language = config.language.clone();
        language.tie_word_embeddings &= !vb.contains_tensor("lm_head.weight");
        let front_end = FrontEndConfig { n_samples: None, ..FrontEndConfig::whisper(config.tower.encoder.mels) };
        Ok(Self {
            front_end: FrontEnd::new(&front_end)?,
            tower: OmniAudioTower::load(&vb.pp("audio_tower"), &config.tower)?,
            language: LanguageNetwork::load(vb, &language)?,
            audio_token: config.audio_token_id,
            vision_tokens: config.vision_token_ids,
            longest: config.longest_sound,
            device: vb.device().clone(),
        })
    }

    /// The audio tower.
    #[must_use]
    pub fn tower(&self) -> &OmniAudioTower {
        &self.tower
    }

    /// Log-mel frames (1, M, F) of mono samples at [`super::SAMPLE_RATE_HZ`], one for each 10 ms that have begun.
    ///
    /// # Errors
    /// The sound is too short, or a sample is not finite.
    pub fn features(&self, samples: &[f32]) -> Result<Tensor> {
        let heard = &samples[..samples.len().min(self.longest)];
        let frames = SoundLengths::of(samples.len(), self.longest)?.frames;
        // The extractor pads every sound to the longest with zeros. The frames of a sound, and the loudest value of all,
        // do not depend on zeros beyond the second frame behind the sound.
        let mut padded = heard.to_vec();
        padded.resize((HOP_SAMPLES * (frames + 2)).min(self.longest), 0.0);
        Ok(mel(&self.front_end, &padded, &self.device)?.narrow(2, 0, frames)?)
    }

    /// Vectors (N, E) that the language model gets of a sound: mono samples at [`super::SAMPLE_RATE_HZ`].
    ///
    /// # Errors
    /// As [`OmniThinker::features`].
    pub fn embed_audio(&self, samples: &[f32]) -> Result<Tensor> {
        self.tower.forward(&self.features(samples)?)
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
