//! The configuration of LP-MusicCaps.

use audsem_media::audio::{FrontEndConfig, MelConfig};
use serde::{Deserialize, Serialize};

use super::SAMPLE_RATE_HZ;
use crate::error::{Error, Result};
use crate::generate::{EarlyStopping, GenerationConfig};
use crate::text::bart;

/// Sizes of the network; absent keys have those of the published checkpoint, which holds tensors alone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The part that hears.
    pub model: MusicCapsConfig,
    /// The part that writes.
    pub bart: bart::Config,
}

/// Sizes of the part that hears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MusicCapsConfig {
    /// Bands of a frame.
    pub n_mels: usize,
    /// Convolutions; all but the first halve the number of frames.
    pub num_of_conv: usize,
    /// Sample rate in Hz; must be 16,000.
    pub sr: u32,
    /// Seconds of a clip.
    pub duration: usize,
    /// Most tokens of a caption, start and end included.
    pub max_length: usize,
    /// Width of the convolutions; that of BART.
    pub audio_dim: usize,
}

impl Default for MusicCapsConfig {
    fn default() -> Self {
        Self { n_mels: 128, num_of_conv: 6, sr: SAMPLE_RATE_HZ, duration: 10, max_length: 128, audio_dim: 768 }
    }
}

impl Config {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first that it does not support.
    pub fn validate(&self) -> Result<()> {
        let MusicCapsConfig { n_mels, num_of_conv, sr, duration, max_length, audio_dim } = self.model;
        Error::check_sizes(&[("n_mels", n_mels), ("max_length", max_length), ("audio_dim", audio_dim)])?;
        let refuse = |key, value: usize, supported| Err(Error::unsupported(key, &value, supported));
        if sr != SAMPLE_RATE_HZ {
            return refuse("sr", sr as usize, "16000");
        }
        if !(1..=3600).contains(&duration) {
            return refuse("duration", duration, "1 to 3600 seconds");
        }
        if !(1..=16).contains(&num_of_conv) {
            return refuse("num_of_conv", num_of_conv, "1 to 16");
        }
        if audio_dim != self.bart.d_model {
            return refuse("audio_dim", audio_dim, "the value of d_model");
        }
        self.bart.validate()
    }

    /// Samples of a clip.
    #[must_use]
    pub fn clip_samples(&self) -> usize {
        self.model.duration * SAMPLE_RATE_HZ as usize
    }

    /// The front end: the power of the real part of the spectrum alone, as in training.
    #[must_use]
    pub fn front_end(&self) -> FrontEndConfig {
        FrontEndConfig {
            n_samples: Some(self.clip_samples()),
            mel: MelConfig::htk(self.model.n_mels, 0.0, 8000.0),
            ..FrontEndConfig::lp_musiccaps()
        }
    }

    /// Embeddings of a clip.
    pub(super) fn embeddings(&self) -> usize {
        let frames = self.front_end().frames.count(self.clip_samples());
        (1..self.model.num_of_conv).fold(frames, |frames, _| frames.div_ceil(2))
    }

    /// Beam search with five beams, as the authors' captioning script has it; deterministic.
    #[must_use]
    pub fn beam_search(&self) -> GenerationConfig {
        GenerationConfig {
            max_length: self.model.max_length,
            min_length: 2,
            eos_token_id: vec![self.bart.eos_token_id],
            num_beams: 5,
            // What the network inherits from the configuration of `facebook/bart-base`.
            early_stopping: EarlyStopping::WhenFull,
            no_repeat_ngram_size: 3,
            forced_bos_token_id: Some(self.bart.bos_token_id),
            forced_eos_token_id: vec![self.bart.eos_token_id],
            ..GenerationConfig::default()
        }
    }

    /// Four beams that are drawn at random, as AudSemThinker's pipeline ran it.
    #[must_use]
    pub fn beam_sampling(&self) -> GenerationConfig {
        GenerationConfig {
            do_sample: true,
            num_beams: 4,
            top_p: 0.9,
            top_k: 50,
            repetition_penalty: 1.1,
            ..self.beam_search()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_clip_of_ten_seconds_has_32_embeddings() {
        let config = Config::default();
        config.validate().unwrap();
        assert_eq!((config.embeddings(), config.clip_samples()), (32, 160_000));
        assert_eq!(config.front_end(), FrontEndConfig::lp_musiccaps());
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (json, part) in [
            (r#"{"model": {"sr": 44100}}"#, "sr"),
            (r#"{"model": {"audio_dim": 512}}"#, "audio_dim"),
            (r#"{"model": {"duration": 0}}"#, "duration"),
            (r#"{"model": {"num_of_conv": 0}}"#, "num_of_conv"),
            (r#"{"bart": {"decoder_attention_heads": 7}}"#, "decoder_attention_heads"),
            (r#"{"bart": {"tie_word_embeddings": false}}"#, "tie_word_embeddings"),
            (r#"{"bart": {"activation_function": "sine"}}"#, "activation_function"),
        ] {
            let error = serde_json::from_str::<Config>(json).unwrap().validate().unwrap_err().to_string();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
