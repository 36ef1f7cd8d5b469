//! ConvNeXt over log-mel spectrograms (Liu et al., "A ConvNet for the 2020s", 2022).

use candle_core::{D, DType, Tensor};
use candle_nn::{Init, VarBuilder};

use super::{Config, MEL_BINS, STDEV};
use crate::error::{Error, Result};
use crate::nn::{Activation, BatchNorm, Conv2d, ConvConfig, LayerNorm};

/// Epsilon of the norms of channels.
const EPS: f64 = 1e-6;

/// Epsilon of the norm of bands.
const BANDS_EPS: f64 = 1e-5;

/// Fewest frames that leave one frame behind the last stage.
pub(super) const LEAST_FRAMES: usize = 24;

#[derive(Debug, Clone)]
struct Block {
    depthwise: Conv2d,
    norm: LayerNorm,
    up: Conv2d,
    down: Conv2d,
}

impl Block {
    fn load(vb: &VarBuilder<'_>, dim: usize) -> Result<Self> {
        let depthwise = ConvConfig { groups: dim, padding: [3, 3], ..ConvConfig::over_image(dim, dim, [7, 7]) };
        // Maps of each pixel, of which the second has the learned scale of the block in its weight.
        let point = |name: &str, channels: usize, outputs: usize, scale: Option<&Tensor>| {
            let vb = vb.pp(name);
            let weight = vb.get_with_hints((outputs, channels), "weight", Init::Randn { mean: 0.0, stdev: STDEV })?;
            let bias = vb.get_with_hints(outputs, "bias", Init::Const(0.0))?;
            let (weight, bias) = match scale {
                Some(scale) => (weight.broadcast_mul(&scale.unsqueeze(1)?)?, (bias * scale)?),
                None => (weight, bias),
            };
            Conv2d::from_tensors(&weight, Some(bias), &ConvConfig::over_image(channels, outputs, [1, 1]))
        };
        let is_old = !vb.contains_tensor("scale_layer") && vb.contains_tensor("gamma");
        let scale = vb.get_with_hints(dim, if is_old { "gamma" } else { "scale_layer" }, Init::Const(1e-6))?;
        Ok(Self {
            depthwise: Conv2d::load(&vb.pp("dwconv"), &depthwise)?,
            norm: LayerNorm::load(&vb.pp("norm"), dim, EPS)?,
            up: point("pwconv1", dim, 4 * dim, None)?,
            down: point("pwconv2", 4 * dim, dim, Some(&scale))?,
        })
    }

    /// (B, C, H, W) to (B, C, H, W).
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.norm.forward_channels(&self.depthwise.forward(x)?)?;
        let y = self.up.forward_with(&y, None, Some(Activation::Gelu))?;
        Ok(self.down.forward_with(&y, Some(x), None)?)
    }
}

/// A convolution that makes the image smaller, with a norm on one side of it, and the blocks behind it.
#[derive(Debug, Clone)]
struct Stage {
    conv: Conv2d,
    norm: LayerNorm,
    norm_first: bool,
    blocks: Vec<Block>,
}

impl Stage {
    fn load(vb: &VarBuilder<'_>, config: &Config, n: usize) -> Result<Self> {
        let (down, dim) = (vb.pp("downsample_layers").pp(n), config.encoder_dims[n]);
        let blocks = vb.pp("stages").pp(n);
        let norm_first = n > 0;
        let (conv, norm, conv_config, norm_dim) = match n.checked_sub(1).map(|before| config.encoder_dims[before]) {
            None => {
                let stem = ConvConfig { stride: [4, 4], padding: [4, 0], ..ConvConfig::over_image(1, dim, [4, 4]) };
                ("0", "1", stem, dim)
            }
            Some(before) => {
                let halving = ConvConfig { stride: [2, 2], ..ConvConfig::over_image(before, dim, [2, 2]) };
                ("1", "0", halving, before)
            }
        };
        Ok(Self {
            conv: Conv2d::load(&down.pp(conv), &conv_config)?,
            norm: LayerNorm::load(&down.pp(norm), norm_dim, EPS)?,
            norm_first,
            blocks: (0..config.encoder_depths[n])
                .map(|block| Block::load(&blocks.pp(block), dim))
                .collect::<Result<_>>()?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let norm = |x: &Tensor| self.norm.forward_channels(x);
        let mut x = if self.norm_first { self.conv.forward(&norm(x)?)? } else { norm(&self.conv.forward(x)?)? };
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        Ok(x)
    }
}

/// The part that hears.
#[derive(Debug, Clone)]
pub(super) struct ConvNextEncoder {
    norm: BatchNorm,
    stages: Vec<Stage>,
    dtype: DType,
}

impl ConvNextEncoder {
    /// Loads `bn0`, `downsample_layers` and `stages`. What the original classifies clips with is not used.
    pub(super) fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        Ok(Self {
            norm: BatchNorm::load(&vb.pp("bn0"), MEL_BINS, BANDS_EPS)?,
            stages: (0..4).map(|n| Stage::load(vb, config, n)).collect::<Result<_>>()?,
            dtype: vb.dtype(),
        })
    }

    /// Features (B, T, F) in decibels to vectors (B, S, C), about one for each 320 ms.
    pub(super) fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let (_, frames, mels) = features.dims3()?;
        if frames < LEAST_FRAMES || mels != MEL_BINS {
            return Err(Error::FewFrames { frames, mels, least_frames: LEAST_FRAMES, wanted_mels: MEL_BINS });
        }
        let mut x = self.norm.forward(features)?.to_dtype(self.dtype)?.unsqueeze(1)?; // (B, 1, T, F)
        for stage in &self.stages {
            x = stage.forward(&x)?;
        }
        Ok(x.mean(D::Minus1)?.transpose(1, 2)?.contiguous()?)
    }
}
