//! BEATs: a transformer over patches of Kaldi filter banks, fine-tuned to tag sounds with the classes of AudioSet.
//!
//! Chen et al., "BEATs: Audio Pre-Training with Acoustic Tokenizers", 2022; numbers agree with the authors' class
//! (`fixtures/original_networks`). Clips run without padding. The original pads the clips of a batch to one length, and its
//! convolution and norms see the padding: a clip's numbers there depend on its neighbours, here they do not.

mod classifier;
mod config;
mod distance;
mod encoder;

use candle_core::Tensor;
use candle_nn::VarBuilder;

pub use classifier::BeatsClassifier;
pub(crate) use classifier::is_ignorable;
pub use config::Config;

use crate::error::{Error, Result};
use crate::nn::{Conv2d, ConvConfig, LayerNorm, Linear};
use encoder::BeatsEncoder;

/// Sample rate of the sounds, in Hz.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Bands of a frame.
const MEL_BINS: usize = 128;

/// Epsilon of the norms.
const EPS: f64 = 1e-5;

/// Standard deviation of new weights.
const STDEV: f64 = 0.02;

/// The network with its classification head.
#[derive(Debug, Clone)]
pub struct Beats {
    patches: Conv2d,
    norm: LayerNorm,
    projection: Option<Linear>,
    encoder: BeatsEncoder,
    head: Linear,
    patch_size: usize,
}

impl Beats {
    /// Loads all tensors, with the names of the original.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let (width, dim, size) = (config.embed_dim, config.encoder_embed_dim, config.input_patch_size);
        let patches =
            ConvConfig { stride: [size; 2], bias: config.conv_bias, ..ConvConfig::over_image(1, width, [size; 2]) };
        let projection = |()| Linear::load(&vb.pp("post_extract_proj"), width, dim, STDEV);
        Ok(Self {
            patches: Conv2d::load(&vb.pp("patch_embedding"), &patches)?,
            norm: LayerNorm::load(&vb.pp("layer_norm"), width, EPS)?,
            projection: (width != dim).then_some(()).map(projection).transpose()?,
            encoder: BeatsEncoder::load(&vb.pp("encoder"), config)?,
            head: Linear::load(&vb.pp("predictor"), dim, config.predictor_class, STDEV)?,
            patch_size: size,
        })
    }

    /// The logits of the classes (B, C) of features (B, T, F) of clips of one length: the mean over patches.
    ///
    /// # Errors
    /// Fewer frames than a patch has, other bands, memory, device.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let states = self.hidden_states(features)?;
        Ok(self.head.forward(&states[states.len() - 1])?.mean(1)?)
    }

    /// The embedded patches with their positions and the output of every layer (B, N, D).
    ///
    /// # Errors
    /// As [`Beats::forward`].
    pub fn hidden_states(&self, features: &Tensor) -> Result<Vec<Tensor>> {
        Ok(self.encoder.hidden_states(&self.embed(features)?)?)
    }

    /// Features (B, T, F) to patches (B, N, D), in order of time, then frequency. Frames behind the last whole patch are
    /// not seen.
    fn embed(&self, features: &Tensor) -> Result<Tensor> {
        let (_, frames, mels) = features.dims3()?;
        if frames < self.patch_size || mels != MEL_BINS {
            return Err(Error::FewFrames { frames, mels, least_frames: self.patch_size, wanted_mels: MEL_BINS });
        }
        let image = features.to_dtype(self.head.weight().dtype())?.unsqueeze(1)?; // (B, 1, T, F)
        let x = self.patches.forward(&image)?; // (B, E, T', F')
        let x = self.norm.forward(&x.flatten_from(2)?.transpose(1, 2)?.contiguous()?)?; // (B, N, E)
        Ok(match &self.projection {
            Some(projection) => projection.forward(&x)?,
            None => x,
        })
    }
}
