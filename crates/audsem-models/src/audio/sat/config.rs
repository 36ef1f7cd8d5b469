//! The configuration of SAT.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Frames that the network sees of each second: six patches of 16. The last five of 101 frames are not seen.
const FRAMES_PER_SECOND: usize = 96;

/// Sizes of a network; absent keys have those of SAT-B with steps of one second. The published checkpoints hold tensors
/// alone, so [`Config::tiny`], [`Config::small`] and [`Config::base`] stand for their configurations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Number of classes.
    pub outputdim: usize,
    /// Height and width of a patch.
    pub patch_size: usize,
    /// Bands of a frame.
    pub n_mels: usize,
    /// Width D.
    pub embed_dim: usize,
    /// Layers.
    pub depth: usize,
    /// Attention heads; D is a multiple of it.
    pub num_heads: usize,
    /// Width of the feed-forward block, over D.
    pub mlp_ratio: usize,
    /// Frames of a step: 96 for each second.
    pub target_length: usize,
    /// Frames that the network remembers; as many as those of a step.
    pub cache_length: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            outputdim: 527,
            patch_size: 16,
            n_mels: 64,
            embed_dim: 768,
            depth: 12,
            num_heads: 12,
            mlp_ratio: 4,
            target_length: FRAMES_PER_SECOND,
            cache_length: FRAMES_PER_SECOND,
        }
    }
}

impl Config {
    /// SAT-T with steps of so many seconds.
    #[must_use]
    pub fn tiny(seconds: usize) -> Self {
        Self { embed_dim: 192, num_heads: 3, ..Self::base(seconds) }
    }

    /// SAT-S with steps of so many seconds.
    #[must_use]
    pub fn small(seconds: usize) -> Self {
        Self { embed_dim: 384, num_heads: 6, ..Self::base(seconds) }
    }

    /// SAT-B with steps of so many seconds.
    #[must_use]
    pub fn base(seconds: usize) -> Self {
        let frames = seconds * FRAMES_PER_SECOND;
        Self { target_length: frames, cache_length: frames, ..Self::default() }
    }

    /// Seconds of a step.
    #[must_use]
    pub fn step_seconds(&self) -> usize {
        self.target_length / FRAMES_PER_SECOND
    }

    /// Samples of a step.
    #[must_use]
    pub fn step_samples(&self) -> usize {
        self.step_seconds() * super::SAMPLE_RATE_HZ as usize
    }

    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first that it does not support.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[
            ("outputdim", self.outputdim),
            ("patch_size", self.patch_size),
            ("n_mels", self.n_mels),
            ("embed_dim", self.embed_dim),
            ("mlp_ratio", self.mlp_ratio),
            ("target_length", self.target_length),
        ])?;
        let refuse = |key, value: usize, supported| Err(Error::unsupported(key, &value, supported));
        if self.num_heads == 0 || !self.embed_dim.is_multiple_of(self.num_heads) {
            return refuse("num_heads", self.num_heads, "a divisor of embed_dim");
        }
        if !self.target_length.is_multiple_of(FRAMES_PER_SECOND) {
            return refuse(
                "target_length",
                self.target_length,
                "multiples of 96, the frames that are seen of a second",
            );
        }
        if self.cache_length != self.target_length {
            return refuse("cache_length", self.cache_length, "the value of target_length");
        }
        if self.patch_size > self.n_mels || !self.target_length.is_multiple_of(self.patch_size) {
            return refuse("patch_size", self.patch_size, "a divisor of target_length that is no more than n_mels");
        }
        Ok(())
    }

    /// Patches of a step along frequency and along time.
    pub(super) fn grid(&self) -> [usize; 2] {
        [self.n_mels / self.patch_size, self.target_length / self.patch_size]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn sizes_are_those_of_the_published_networks() {
        for (config, dim, heads, seconds) in
            [(Config::tiny(1), 192, 3, 1), (Config::small(2), 384, 6, 2), (Config::base(2), 768, 12, 2)]
        {
            config.validate().unwrap();
            assert_eq!((config.embed_dim, config.num_heads, config.step_seconds()), (dim, heads, seconds));
            assert_eq!((config.step_samples(), config.grid()), (16_000 * seconds, [4, 6 * seconds]));
        }
        assert_eq!(Config::default(), Config::base(1));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (json, part) in [
            (r#"{"target_length": 100}"#, "target_length"),
            (r#"{"target_length": 0}"#, "target_length"),
            (r#"{"cache_length": 192}"#, "cache_length"),
            (r#"{"num_heads": 7}"#, "num_heads"),
            (r#"{"patch_size": 65}"#, "patch_size"),
            (r#"{"depth": 1, "outputdim": 0}"#, "outputdim"),
        ] {
            let error = serde_json::from_str::<Config>(json).unwrap().validate().unwrap_err().to_string();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
