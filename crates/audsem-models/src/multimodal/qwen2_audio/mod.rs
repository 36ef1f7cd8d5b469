//! Qwen2-Audio: a language model that hears.
//!
//! Chu et al., 2024; numbers agree with `Qwen2AudioForConditionalGeneration` of Hugging Face transformers
//! (`fixtures/regen/qwen2_audio.py`).

mod config;
mod local;
mod prompt;

use audsem_media::audio::{FrontEnd, FrontEndConfig};
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;

pub use config::Qwen2AudioConfig;
pub use local::LocalAudioModel;
pub use prompt::{chat_text, expand_audio};

use crate::audio::whisper::{MAX_SAMPLES, SpeechEncoder, mel};
use crate::error::{Error, Result};
use crate::generate::CausalDecoder;
use crate::language::{LanguageDecoder, LanguageNetwork};
use crate::nn::Linear;

/// Sample rate of the sound that the network hears.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Samples from one frame to the next.
const HOP: usize = 160;

/// States of the encoder that a sound of so many samples has, and vectors that the language model gets of it. Of a sound
/// longer than 30 seconds the beginning is heard.
///
/// # Errors
/// The sound is too short for one vector.
fn lengths(samples: usize) -> Result<(usize, usize)> {
    let frames = samples.min(MAX_SAMPLES).div_ceil(HOP);
    let states = frames.div_ceil(2);
    match states / 2 {
        0 => Err(Error::SoundLength { samples, shortest: 2 * HOP + 1 }),
        vectors => Ok((states, vectors)),
    }
}

/// Vectors that the language model gets of a sound: one for each 40 milliseconds.
///
/// # Errors
/// The sound is too short for one vector.
pub fn audio_tokens(samples: usize) -> Result<usize> {
    Ok(lengths(samples)?.1)
}

/// The network.
#[derive(Debug)]
pub struct Qwen2Audio {
    front_end: FrontEnd,
    tower: SpeechEncoder,
    projector: Linear,
    language: LanguageNetwork,
    audio_token: u32,
    device: Device,
}

impl Qwen2Audio {
    /// Loads `audio_tower`, `multi_modal_projector` and `language_model` below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or the configuration asks for what this network does not have.
    pub fn load(vb: &VarBuilder<'_>, config: &Qwen2AudioConfig) -> Result<Self> {
        let tower = config.tower;
        let projector = vb.pp("multi_modal_projector").pp("linear");
        Ok(Self {
            front_end: FrontEnd::new(&FrontEndConfig::whisper(tower.mels))?,
            tower: SpeechEncoder::load(&vb.pp("audio_tower"), &tower)?,
            projector: Linear::load(&projector, tower.dim, config.language.hidden_size, 0.02)?,
            language: LanguageNetwork::load(&vb.pp("language_model"), &config.language)?,
            audio_token: config.audio_token_id,
            device: vb.device().clone(),
        })
    }

    /// The language model.
    #[must_use]
    pub fn language(&self) -> &LanguageNetwork {
        &self.language
    }

    /// The tower's states (N, D) of mono samples at [`SAMPLE_RATE_HZ`]: averaged by two, then normalised.
    ///
    /// # Errors
    /// The sound is too short, or a sample is not finite.
    pub fn hear(&self, samples: &[f32]) -> Result<Tensor> {
        let (states, vectors) = lengths(samples.len())?;
        let mel = mel(&self.front_end, samples, &self.device)?;
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

    /// Vectors (T, E) of a prompt, whose audio tokens are replaced by the vectors of its sounds in order.
    ///
    /// # Errors
    /// There are not as many audio tokens as vectors of sounds.
    pub fn merge(&self, prompt: &[u32], sounds: &[Tensor]) -> Result<Tensor> {
        let places = prompt.iter().filter(|id| **id == self.audio_token).count();
        let vectors = sounds.iter().map(|sound| sound.dim(0)).sum::<candle_core::Result<usize>>()?;
        if places != vectors {
            let message = format!("a prompt with places for {places} audio vectors, and sounds of {vectors}");
            return Err(candle_core::Error::Msg(message).into());
        }
        let text = self.language.embed(prompt)?;
        if sounds.is_empty() {
            return Ok(text);
        }
        let sounds = Tensor::cat(sounds, 0)?;
        let (mut parts, mut at, mut heard) = (Vec::new(), 0, 0);
        for run in prompt.chunk_by(|a, b| (*a == self.audio_token) == (*b == self.audio_token)) {
            if run[0] == self.audio_token {
                parts.push(sounds.narrow(0, heard, run.len())?);
                heard += run.len();
            } else {
                parts.push(text.narrow(0, at, run.len())?);
            }
            at += run.len();
        }
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// A decoder that continues prompts about sounds: the vectors of the sounds of each prompt.
    #[must_use]
    pub fn decoder(&self, sounds: Vec<Vec<Tensor>>) -> Qwen2AudioDecoder<'_> {
        Qwen2AudioDecoder { network: self, sounds, language: LanguageDecoder::new(&self.language) }
    }
}

/// Answers in the making.
#[derive(Debug)]
pub struct Qwen2AudioDecoder<'a> {
    network: &'a Qwen2Audio,
    sounds: Vec<Vec<Tensor>>,
    language: LanguageDecoder<'a>,
}

impl CausalDecoder for Qwen2AudioDecoder<'_> {
    fn prefill(&mut self, prompts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        if prompts.len() != self.sounds.len() {
            let message = format!("{} prompts about the sounds of {}", prompts.len(), self.sounds.len());
            return Err(candle_core::Error::Msg(message).into());
        }
        let merged = prompts.iter().zip(&self.sounds).map(|(prompt, sounds)| self.network.merge(prompt, sounds));
        let merged = merged.collect::<Result<Vec<_>>>()?;
        self.language.prefill_embedded(&merged)
    }

    fn step(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
        self.language.step(tokens)
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        self.language.select(rows)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_sound_has_one_vector_for_each_40_milliseconds() {
        for (samples, vectors) in [(480_000, 750), (960_000, 750), (16_000, 25), (16_001, 25), (500, 1), (321, 1)] {
            assert_eq!(audio_tokens(samples).unwrap(), vectors, "{samples}");
        }
        for samples in [0, 1, 320] {
            assert!(audio_tokens(samples).unwrap_err().to_string().contains("at least 321"), "{samples}");
        }
    }
}
