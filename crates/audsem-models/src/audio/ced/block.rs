//! A layer of the transformer: attention and a feed-forward block, each behind a norm.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{Config, EPS, STDEV};
use crate::nn::{Activation, Attention, LayerNorm, Linear, Mode, join_heads, split_heads};

#[derive(Debug, Clone)]
pub(super) struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    projection: Linear,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
}

impl Block {
    pub(super) fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (dim, wide) = (config.embed_dim, config.embed_dim * config.mlp_ratio);
        let linear = |name: &str, inputs, outputs| Linear::load(&vb.pp(name), inputs, outputs, STDEV);
        Ok(Self {
            norm1: LayerNorm::load(&vb.pp("norm1"), dim, EPS)?,
            qkv: linear("attn.qkv", dim, 3 * dim)?,
            projection: linear("attn.proj", dim, dim)?,
            norm2: LayerNorm::load(&vb.pp("norm2"), dim, EPS)?,
            up: linear("mlp.fc1", dim, wide)?,
            down: linear("mlp.fc2", wide, dim)?,
            heads: config.num_heads,
        })
    }

    /// (B, N, D) to (B, N, D).
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mixed = self.attend(&self.qkv.forward(&self.norm1.forward(x)?)?)?;
        let x = (x + self.projection.forward(&mixed)?)?;
        self.up.feed_forward(&self.norm2.forward(&x)?, (Activation::Gelu, &self.down), &x)
    }

    fn attend(&self, qkv: &Tensor) -> Result<Tensor> {
        let dim = qkv.dim(2)? / 3;
        let part = |n: usize| split_heads(&qkv.narrow(2, n * dim, dim)?, self.heads); // (B, H, N, D/H)
        let attention = Attention { bias: None, dropout: None, mode: Mode::Infer };
        join_heads(&attention.forward(&part(0)?, &part(1)?, &part(2)?)?)
    }
}
