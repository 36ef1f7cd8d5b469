//! Swin blocks: attention within windows, every second time of a rolled grid (Liu et al., 2021).

use candle_core::{DType, Tensor};
use candle_nn::{Init, VarBuilder};

use super::attention::Windows;
use super::linear;
use super::patches::PatchMerging;
use crate::clap::config::AudioConfig;
use crate::error::Result;
use crate::nn::{Activation, Attention, LayerNorm, Linear, Mode, join_heads, split_heads};

/// Blocks on one grid, and the merging that halves it.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) blocks: Vec<Block>,
    pub(super) merging: Option<PatchMerging>,
}

impl Stage {
    pub(super) fn load(vb: &VarBuilder<'_>, config: &AudioConfig, stage: usize) -> Result<Self> {
        let blocks = vb.pp("blocks");
        let blocks = (0..config.depths[stage]).map(|n| Block::load(&blocks.pp(n), config, stage, n));
        let last = stage + 1 == config.depths.len();
        let merging = || PatchMerging::load(&vb.pp("downsample"), config, stage);
        Ok(Self { blocks: blocks.collect::<Result<_>>()?, merging: (!last).then(merging).transpose()? })
    }

    /// (B, N, C) to (B, N, C), or to (B, N/4, 2C) if the grid is halved.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        match &self.merging {
            Some(merging) => merging.forward(&x),
            None => Ok(x),
        }
    }
}

/// Attention within windows and a feed-forward block, each normed before and added after.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) windows: Windows,
    pub(super) heads: usize,
    pub(super) activation: Activation,
    pub(super) norm_before: LayerNorm,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) norm_after: LayerNorm,
    pub(super) up: Linear,
    pub(super) down: Linear,
    /// A row for each distance of two tokens of a window, a column for each head.
    relative_positions: Tensor,
    order: Tensor,
    inverse: Tensor,
    mask: Option<Tensor>,
}

impl Block {
    fn load(vb: &VarBuilder<'_>, config: &AudioConfig, stage: usize, n: usize) -> Result<Self> {
        let (dim, heads) = (config.dim(stage), config.num_attention_heads[stage]);
        let (side, window) = (config.side(stage), config.window(stage));
        let shift = if n % 2 == 1 && side > window { window / 2 } else { 0 };
        let windows = Windows { side, window, shift };
        let attention = vb.pp("attention");
        let qkv = |name: &str| linear(&attention.pp("self").pp(name), dim, dim, config.qkv_bias, config);
        let wide = (config.mlp_ratio * dim as f64) as usize;
        let init = Init::Randn { mean: 0.0, stdev: config.stdev() };
        let table = attention.pp("self").get_with_hints(
            ((2 * window - 1).pow(2), heads),
            "relative_position_bias_table",
            init,
        )?;
        let order = windows.order();
        let mut inverse = vec![0u32; order.len()];
        for (at, &token) in order.iter().enumerate() {
            inverse[token as usize] = at as u32;
        }
        let (device, tokens) = (vb.device(), order.len());
        Ok(Self {
            windows,
            heads,
            activation: Activation::from_name("hidden_act", &config.hidden_act)?,
            norm_before: LayerNorm::load(&vb.pp("layernorm_before"), dim, config.layer_norm_eps)?,
            query: qkv("query")?,
            key: qkv("key")?,
            value: qkv("value")?,
            output: linear(&attention.pp("output.dense"), dim, dim, true, config)?,
            norm_after: LayerNorm::load(&vb.pp("layernorm_after"), dim, config.layer_norm_eps)?,
            up: linear(&vb.pp("intermediate.dense"), dim, wide, true, config)?,
            down: linear(&vb.pp("output.dense"), wide, dim, true, config)?,
            relative_positions: table,
            order: Tensor::from_vec(order, tokens, device)?,
            inverse: Tensor::from_vec(inverse, tokens, device)?,
            mask: windows.mask_tensor(device)?,
        })
    }

    /// (B, N, C) to (B, N, C).
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let windows = self.norm_before.forward(x)?.index_select(&self.order, 1)?;
        let x = (x + self.attend(&windows)?.index_select(&self.inverse, 1)?)?;
        let y = self.up.forward(&self.norm_after.forward(&x)?)?;
        Ok((self.down.forward(&self.activation.forward(&y)?)? + x)?)
    }

    /// Attention within consecutive windows: (B, N, C) to (B, N, C).
    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let (b, n, c) = x.dims3()?;
        let (count, tokens) = (self.windows.count(), self.windows.tokens());
        let heads = |linear: &Linear| -> Result<Tensor> {
            Ok(split_heads(&linear.forward(x)?.reshape((b * count, tokens, c))?, self.heads)?) // (B·W, H, t, C/H)
        };
        let bias = self.bias()?.unsqueeze(0)?; // (1, H, t, t)
        let bias = match &self.mask {
            Some(mask) => bias.broadcast_add(mask)?, // (W, H, t, t)
            None => bias,
        };
        let attention = Attention { bias: Some(&bias), dropout: None, mode: Mode::Infer };
        let mixed = attention.forward(&heads(&self.query)?, &heads(&self.key)?, &heads(&self.value)?)?;
        Ok(self.output.forward(&join_heads(&mixed)?.reshape((b, n, c))?)?)
    }

    /// What relative positions add to the scores: (H, t, t), in f32.
    pub(super) fn bias(&self) -> Result<Tensor> {
        let tokens = self.windows.tokens();
        let rows = Tensor::from_vec(self.windows.relative_positions(), tokens * tokens, self.order.device())?;
        let bias = self.relative_positions.index_select(&rows, 0)?.to_dtype(DType::F32)?; // (t·t, H)
        Ok(bias.t()?.contiguous()?.reshape((self.heads, tokens, tokens))?)
    }
}
