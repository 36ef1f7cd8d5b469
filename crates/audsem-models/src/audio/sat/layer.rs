//! A layer that also attends to what it read a step before.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{Config, EPS, STDEV};
use crate::nn::{Activation, Attention, LayerNorm, Linear, Mode, join_heads, split_heads};

#[derive(Debug, Clone)]
pub(super) struct StreamingLayer {
    attention_norm: LayerNorm,
    query: Linear,
    key_value: Linear,
    output: Linear,
    norm: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
}

impl StreamingLayer {
    pub(super) fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (dim, wide) = (config.embed_dim, config.embed_dim * config.mlp_ratio);
        let norm = |name: &str| LayerNorm::load(&vb.pp(name), dim, EPS);
        let linear = |name: &str, inputs, outputs| Linear::load(&vb.pp(name), inputs, outputs, STDEV);
        Ok(Self {
            attention_norm: norm("norm1")?,
            query: linear("attn.to_q", dim, dim)?,
            key_value: linear("attn.to_kv", dim, 2 * dim)?,
            output: linear("attn.proj", dim, dim)?,
            norm: norm("norm2")?,
            up: linear("mlp.fc1", dim, wide)?,
            down: linear("mlp.fc2", wide, dim)?,
            heads: config.num_heads,
        })
    }

    /// (B, N, D) to (B, N, D). `cache` is what this layer was given the step before.
    pub(super) fn forward(&self, x: &Tensor, cache: Option<&Tensor>) -> Result<Tensor> {
        let normed = self.attention_norm.forward(x)?;
        let source = match cache {
            Some(cache) => Tensor::cat(&[&self.attention_norm.forward(cache)?, &normed], 1)?, // (B, M + N, D)
            None => normed.clone(),
        };
        let x = (x + self.attend(&normed, &source)?)?;
        self.up.feed_forward(&self.norm.forward(&x)?, (Activation::Gelu, &self.down), &x)
    }

    fn attend(&self, x: &Tensor, source: &Tensor) -> Result<Tensor> {
        let dim = x.dim(2)?;
        let key_value = self.key_value.forward(source)?;
        let half = |start| split_heads(&key_value.narrow(2, start, dim)?, self.heads); // (B, H, M + N, D/H)
        let query = split_heads(&self.query.forward(x)?, self.heads)?; // (B, H, N, D/H)
        let attention = Attention { bias: None, dropout: None, mode: Mode::Infer };
        self.output.forward(&join_heads(&attention.forward(&query, &half(0)?, &half(dim)?)?)?)
    }
}
