//! LP-MusicCaps: BART writes captions of music that convolutions have heard.
//!
//! Doh et al., "LP-MusicCaps: LLM-Based Pseudo Music Captioning", 2023; numbers agree with the authors' class
//! (`fixtures/original_networks`). Its bands are made of the real part of the spectrum alone, the imaginary part being
//! ignored: the published weights were trained that way.

mod captioner;
mod config;

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

pub use captioner::MusicCaptioner;
pub(crate) use captioner::is_ignorable;
pub use config::{Config, MusicCapsConfig};

use crate::error::{Error, Result};
use crate::nn::{Activation, Conv1d, ConvConfig};
use crate::text::bart::Bart;

/// Sample rate of the sounds, in Hz.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// The network.
#[derive(Debug, Clone)]
pub struct LpMusicCaps {
    convolutions: Vec<Conv1d>,
    positions: Tensor, // (S, D)
    bart: Bart,
    config: Config,
}

impl LpMusicCaps {
    /// Loads all tensors, with the names of the original.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let (dim, hears) = (config.model.audio_dim, vb.pp("audio_encoder"));
        let conv = |vb: VarBuilder<'_>, channels, stride| {
            let shape = ConvConfig { stride: [1, stride], padding: [0, 1], ..ConvConfig::over_time(channels, dim, 3) };
            Conv1d::load(&vb, &shape)
        };
        let mut convolutions = vec![conv(hears.pp("conv1"), config.model.n_mels, 1)?];
        for n in 0..config.model.num_of_conv - 1 {
            convolutions.push(conv(hears.pp("conv_stack").pp(n), dim, 2)?);
        }
        Ok(Self {
            convolutions,
            positions: hears.get_with_hints((config.embeddings(), dim), "positional_embedding", Init::Const(0.0))?,
            bart: Bart::load(&vb.pp("bart"), &config.bart)?,
            config: config.clone(),
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The part that writes.
    #[must_use]
    pub fn bart(&self) -> &Bart {
        &self.bart
    }

    /// Embeddings (B, S, D) of features (B, T, F) in decibels.
    ///
    /// # Errors
    /// Features of another length or with other bands, memory, device.
    pub fn embed(&self, features: &Tensor) -> Result<Tensor> {
        let mut x = features.to_dtype(self.positions.dtype())?.transpose(1, 2)?.contiguous()?; // (B, F, T)
        for conv in &self.convolutions {
            x = conv.forward_activated(&x, Activation::Gelu)?;
        }
        let x = x.transpose(1, 2)?.contiguous()?; // (B, S, D)
        if x.dim(1)? != self.positions.dim(0)? {
            let (_, frames, mels) = features.dims3()?;
            let max_frames = self.config.front_end().frames.count(self.config.clip_samples());
            return Err(Error::FeatureShape { frames, mels, max_frames, wanted_mels: self.config.model.n_mels });
        }
        Ok(x.broadcast_add(&self.positions)?)
    }

    /// The encoder's last states (B, S, D) of features (B, T, F).
    ///
    /// # Errors
    /// As [`LpMusicCaps::embed`].
    pub fn encode(&self, features: &Tensor) -> Result<Tensor> {
        self.bart.encode(&self.embed(features)?)
    }
}
