//! Qwen2-Audio: a language model that hears.
//!
//! Chu et al., 2024; numbers agree with `Qwen2AudioForConditionalGeneration` of Hugging Face transformers
//! (`fixtures/regen/qwen2_audio.py`).

mod config;

use audsem_media::audio::{FrontEnd, FrontEndConfig};
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;

pub use config::Qwen2AudioConfig;

use super::{HOP_SAMPLES, MultimodalNetwork, SoundLengths, fill_places, splice};
use crate::audio::whisper::{SpeechEncoder, mel};
use crate::error::Result;
use crate::language::LanguageNetwork;
use crate::nn::Linear;

/// The network.
#[derive(Debug)]
pub struct Qwen2Audio {
    front_end: FrontEnd,
    tower: SpeechEncoder,
    projector: Linear,
    language: LanguageNetwork,
    audio_token: u32,
    longest: usize,
    device: Device,
}

impl Qwen2Audio {
    /// Loads `audio_tower`, `multi_modal_projector` and `language_model` below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or the configuration asks for what this network does not have.
    pub fn load(vb: &VarBuilder<'_>, config: &Qwen2AudioConfig) -> Result<Self> {
        let (tower, language) = (config.tower, vb.pp("language_model"));
        let projector = vb.pp("multi_modal_projector").pp("linear");
        let front_end =
            FrontEndConfig { n_samples: Some(config.longest_sound()), ..FrontEndConfig::whisper(tower.mels) };
        Ok(Self {
            front_end: FrontEnd::new(&front_end)?,
            tower: SpeechEncoder::load(&vb.pp("audio_tower"), &tower)?,
            projector: Linear::load(&projector, tower.dim, config.language.hidden_size, 0.02)?,
            language: LanguageNetwork::load(&language, &config.language.with_stored_head(&language))?,
            audio_token: config.audio_token_id,
            longest: config.longest_sound(),
            device: vb.device().clone(),
        })
    }

    /// The tower's states (N, D) of mono samples at [`super::SAMPLE_RATE_HZ`]: averaged by two, then normalised.
    ///
    /// # Errors
    /// The sound is too short, or a sample is not finite.
    pub fn hear(&self, samples: &[f32]) -> Result<Tensor> {
        let SoundLengths { states, vectors, .. } = SoundLengths::of(samples.len(), self.longest)?;
        let mel = mel(&self.front_end, samples, &self.device)?;
        // The convolutions reach two frames beyond those of the kept states; what follows is seen by none of them.
        let mel = mel.narrow(2, 0, (2 * states + 2).min(self.longest / HOP_SAMPLES))?;
        let mel = mel.to_dtype(self.projector.weight().dtype())?;
        let x = self.tower.states(&mel, states)?.narrow(1, 0, 2 * vectors)?;
        let (_, _, dim) = x.dims3()?;
        let pooled = x.reshape((vectors, 2, dim))?.mean(1)?;
        Ok(self.tower.norm().forward(&pooled)?)
    }

    /// Vectors (N, E) that the language model gets of a sound; see [`Qwen2Audio::hear`].
    ///
    /// # Errors
    /// As [`Qwen2Audio::hear`].
    pub fn embed_audio(&self, samples: &[f32]) -> Result<Tensor> {
        Ok(self.projector.forward(&self.hear(samples)?)?)
    }
}

impl MultimodalNetwork for Qwen2Audio {
    /// Vectors (N, E) of sounds, as [`Qwen2Audio::embed_audio`] gives them.
    type Media = Vec<Tensor>;

    fn language(&self) -> &LanguageNetwork {
        &self.language
    }

    /// The vectors of the sounds take the place of the prompt's audio tokens, in order.
    fn merge(&self, prompt: &[u32], sounds: &Vec<Tensor>) -> Result<Tensor> {
        splice(&self.language.embed(prompt)?, &fill_places(prompt, self.audio_token, sounds)?)
    }
}
