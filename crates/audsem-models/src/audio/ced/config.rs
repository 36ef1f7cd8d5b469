//! The configuration of CED.

use audsem_media::audio::{FrontEndConfig, MelConfig};
use serde::{Deserialize, Serialize};

use super::SAMPLE_RATE_HZ;
use crate::error::{Error, Result};

/// What `config.json` says; the defaults are those of `ced-tiny`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Width D.
    pub embed_dim: usize,
    /// Layers.
    pub depth: usize,
    /// Heads, a divisor of D.
    pub num_heads: usize,
    /// Width of the feed-forward blocks in multiples of D.
    pub mlp_ratio: usize,
    /// Side of a patch, in frames and in bands.
    pub patch_size: usize,
    /// Frames that there are positions for.
    pub target_length: usize,
    /// Bands.
    pub n_mels: usize,
    /// Length of the transform, in samples.
    pub n_fft: usize,
    /// Samples from one frame to the next.
    pub hop_size: usize,
    /// Lower edge of the bands, in Hz.
    pub f_min: f64,
    /// Upper edge of the bands, in Hz.
    pub f_max: f64,
    /// Classes.
    pub outputdim: usize,
    /// Whether the weights hold the window and the filters of the features, which take the place of computed ones: those
    /// of an ONNX file are rounded to 8 bits, which moves probabilities by up to 0.1.
    pub front_end_tables: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            embed_dim: 192,
            depth: 12,
            num_heads: 3,
            mlp_ratio: 4,
            patch_size: 16,
            target_length: 1012,
            n_mels: 64,
            n_fft: 512,
            hop_size: 160,
            f_min: 0.0,
            f_max: 8000.0,
            outputdim: 527,
            front_end_tables: false,
        }
    }
}

impl Config {
    /// Names the setting that no CED can have.
    ///
    /// # Errors
    /// A size is 0 or absurd, the heads do not divide the width, or a patch is larger than the features.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[
            ("embed_dim", self.embed_dim),
            ("depth", self.depth),
            ("mlp_ratio", self.mlp_ratio),
            ("patch_size", self.patch_size),
            ("target_length", self.target_length),
            ("n_mels", self.n_mels),
            ("n_fft", self.n_fft),
            ("hop_size", self.hop_size),
            ("outputdim", self.outputdim),
        ])?;
        if self.num_heads == 0 || !self.embed_dim.is_multiple_of(self.num_heads) {
            return Err(Error::unsupported("num_heads", &self.num_heads, "a divisor of embed_dim"));
        }
        if self.grid().contains(&0) {
            return Err(Error::unsupported("patch_size", &self.patch_size, "at most n_mels and target_length"));
        }
        Ok(())
    }

    /// Most rows and columns of patches, over bands and over frames.
    #[must_use]
    pub fn grid(&self) -> [usize; 2] {
        [self.n_mels / self.patch_size, self.target_length / self.patch_size]
    }

    /// The features.
    #[must_use]
    pub fn front_end(&self) -> FrontEndConfig {
        let mel = MelConfig::htk(self.n_mels, self.f_min, self.f_max);
        let log = FrontEndConfig::ced().log;
        FrontEndConfig { log, ..FrontEndConfig::torchaudio_mel(SAMPLE_RATE_HZ, self.n_fft, self.hop_size, mel) }
    }

    /// Fewest samples that make a patch.
    #[must_use]
    pub fn least_samples(&self) -> usize {
        (self.patch_size - 1) * self.hop_size
    }
}
