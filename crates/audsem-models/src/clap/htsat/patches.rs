//! From the image to the tokens of the first stage, and the fusion of the four views of a long clip.

use candle_core::{IndexOp, Tensor};
use candle_nn::{Init, VarBuilder};

use super::{EPS, linear};
use crate::clap::config::AudioConfig;
use crate::error::{Error, Result};
use crate::nn::{BatchNorm, LayerNorm, Linear};

/// How many times wider the patches of the local views are.
const LOCAL_WIDTH: usize = 3;

/// Patches to vectors, normalised.
#[derive(Debug, Clone)]
pub(super) struct PatchEmbedding {
    proj: Patches,
    norm: Option<LayerNorm>,
    fusion: Option<Fusion>,
}

/// A convolution whose kernel is its stride: a linear map of each patch.
#[derive(Debug, Clone)]
struct Patches {
    linear: Linear,
    height: usize,
    width: usize,
}

impl Patches {
    fn load(vb: &VarBuilder<'_>, height: usize, width: usize, config: &AudioConfig) -> Result<Self> {
        let dim = config.patch_embeds_hidden_size;
        let init = Init::Randn { mean: 0.0, stdev: config.stdev() };
        let weight = vb.get_with_hints((dim, 1, height, width), "weight", init)?;
        let bias = vb.get_with_hints(dim, "bias", Init::Const(0.0))?;
        let linear = Linear::from_tensors(weight.reshape((dim, height * width))?, Some(bias));
        Ok(Self { linear, height, width })
    }

    /// (B, S, S) to (B, rows, columns, C); what does not fill a patch at the right end is not seen.
    fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let (b, side, _) = image.dims3()?;
        let (rows, columns) = (side / self.height, side / self.width);
        let used = image.narrow(1, 0, rows * self.height)?.narrow(2, 0, columns * self.width)?;
        let patches = used.reshape((b, rows, self.height, columns, self.width))?.transpose(2, 3)?;
        let patches = patches.contiguous()?.reshape((b, rows, columns, self.height * self.width))?;
        Ok(self.linear.forward(&patches)?)
    }
}

impl PatchEmbedding {
    pub(super) fn load(vb: &VarBuilder<'_>, config: &AudioConfig) -> Result<Self> {
        let (patch, dim) = (config.patch_size, config.patch_embeds_hidden_size);
        let norm = || LayerNorm::load(&vb.pp("norm"), dim, EPS);
        Ok(Self {
            proj: Patches::load(&vb.pp("proj"), patch, patch, config)?,
            norm: config.enable_patch_layer_norm.then(norm).transpose()?,
            fusion: config.enable_fusion.then(|| Fusion::load(vb, config)).transpose()?,
        })
    }

    /// (B, 1 or 4, S, S) to (B, N, C).
    pub(super) fn forward(&self, image: &Tensor, is_longer: &[bool]) -> Result<Tensor> {
        let (b, channels, _, _) = image.dims4()?;
        let wanted = if self.fusion.is_some() { 4 } else { 1 };
        if channels != wanted || is_longer.len() != b {
            return Err(Error::Views { channels, wanted, clips: b, flags: is_longer.len() });
        }
        let mut x = self.proj.forward(&image.i((.., 0))?)?; // (B, rows, columns, C)
        if let Some(fusion) = &self.fusion {
            x = fusion.forward(x, image, is_longer)?;
        }
        let (b, rows, columns, c) = x.dims4()?;
        let tokens = x.reshape((b, rows * columns, c))?;
        match &self.norm {
            Some(norm) => Ok(norm.forward(&tokens)?),
            None => Ok(tokens),
        }
    }
}

/// Attentional feature fusion of the whole clip, squeezed, with three cuts of it (Dai et al., 2021).
#[derive(Debug, Clone)]
struct Fusion {
    views: Patches,
    local: Gate,
    global: Gate,
}

impl Fusion {
    fn load(vb: &VarBuilder<'_>, config: &AudioConfig) -> Result<Self> {
        let patch = config.patch_size;
        let model = vb.pp("fusion_model");
        Ok(Self {
            views: Patches::load(&vb.pp("mel_conv2d"), patch, LOCAL_WIDTH * patch, config)?,
            local: Gate::load(&model.pp("local_att"), [0, 1, 3, 4], config)?,
            // Number 0 is the pooling.
            global: Gate::load(&model.pp("global_att"), [1, 2, 4, 5], config)?,
        })
    }

    /// Fuses the clips that are longer; x is (B, rows, columns, C), the image (B, 4, S, S).
    fn forward(&self, x: Tensor, image: &Tensor, is_longer: &[bool]) -> Result<Tensor> {
        let clips = is_longer.iter().enumerate().map(|(n, &longer)| {
            let clip = x.i(n..=n)?;
            if longer { self.fuse(&clip, &image.i(n)?) } else { Ok(clip) }
        });
        Ok(Tensor::cat(&clips.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// One clip: global (1, rows, columns, C), views (4, S, S).
    fn fuse(&self, global: &Tensor, views: &Tensor) -> Result<Tensor> {
        let local = self.views.forward(&views.i(1..4)?)?; // (3, rows, columns', C)
        let local = Tensor::cat(&[local.i(0)?, local.i(1)?, local.i(2)?], 1)?.unsqueeze(0)?; // beside each other
        let missing = global.dim(2)?.saturating_sub(local.dim(2)?);
        let local = local.pad_with_zeros(2, 0, missing)?;
        let sum = (global + &local)?; // (1, rows, columns, C)
        let mean = sum.mean_keepdim(1)?.mean_keepdim(2)?;
        let gate = candle_nn::ops::sigmoid(&self.local.forward(&sum)?.broadcast_add(&self.global.forward(&mean)?)?)?;
        let mixed = ((global * &gate)? + (local * (1.0 - gate)?)?)?;
        Ok((mixed * 2.0)?)
    }
}

/// Two maps per token with batch norms, narrow in between.
#[derive(Debug, Clone)]
struct Gate {
    down: Linear,
    down_norm: BatchNorm,
    up: Linear,
    up_norm: BatchNorm,
}

impl Gate {
    fn load(vb: &VarBuilder<'_>, [down, down_norm, up, up_norm]: [usize; 4], config: &AudioConfig) -> Result<Self> {
        let dim = config.patch_embeds_hidden_size;
        let narrow = dim / config.aff_block_r;
        // 1×1 convolutions store (out, in, 1, 1).
        let conv = |n: usize, inputs: usize, outputs: usize| -> Result<Linear> {
            let init = Init::Randn { mean: 0.0, stdev: config.stdev() };
            let weight = vb.pp(n).get_with_hints((outputs, inputs, 1, 1), "weight", init)?;
            let bias = vb.pp(n).get_with_hints(outputs, "bias", Init::Const(0.0))?;
            Ok(Linear::from_tensors(weight.reshape((outputs, inputs))?, Some(bias)))
        };
        Ok(Self {
            down: conv(down, dim, narrow)?,
            down_norm: BatchNorm::load(&vb.pp(down_norm), narrow, EPS)?,
            up: conv(up, narrow, dim)?,
            up_norm: BatchNorm::load(&vb.pp(up_norm), dim, EPS)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.down_norm.forward(&self.down.forward(x)?)?.relu()?;
        self.up_norm.forward(&self.up.forward(&x)?)
    }
}

/// Concatenates 2×2 neighbours, normalises and halves the width: (B, R·R, C) to (B, R·R/4, 2C).
#[derive(Debug, Clone)]
pub(super) struct PatchMerging {
    pub(super) norm: LayerNorm,
    pub(super) reduction: Linear,
    side: usize,
}

impl PatchMerging {
    pub(super) fn load(vb: &VarBuilder<'_>, config: &AudioConfig, stage: usize) -> Result<Self> {
        let dim = config.dim(stage);
        Ok(Self {
            norm: LayerNorm::load(&vb.pp("norm"), 4 * dim, EPS)?,
            reduction: linear(&vb.pp("reduction"), 4 * dim, 2 * dim, false, config)?,
            side: config.side(stage),
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, _, c) = x.dims3()?;
        let half = self.side / 2;
        // (row, column) parities in the order (0,0), (1,0), (0,1), (1,1): the column's changes slower.
        let x = x.reshape(&[b, half, 2, half, 2, c])?.permute([0, 1, 3, 4, 2, 5])?;
        let x = x.contiguous()?.reshape((b, half * half, 4 * c))?;
        Ok(self.reduction.forward(&self.norm.forward(&x)?)?)
    }
}
