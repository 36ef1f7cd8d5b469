//! Self-attention with positions in queries and keys, and the feed-forward block behind it.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::nn::{Activation, Attention, LayerNorm, Linear, Mode, join_heads, split_heads};

/// Self-attention whose queries and keys know positions and whose values do not.
#[derive(Debug, Clone)]
pub(super) struct PositionedAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
}

impl PositionedAttention {
    /// Loads `q_proj`, `k_proj`, `v_proj` and `out_proj`.
    pub(super) fn load(vb: &VarBuilder<'_>, dim: usize, heads: usize) -> Result<Self> {
        let linear = |name: &str| Linear::load(&vb.pp(name), dim, dim, 0.02);
        Ok(Self {
            query: linear("q_proj")?,
            key: linear("k_proj")?,
            value: linear("v_proj")?,
            output: linear("out_proj")?,
            heads,
        })
    }

    /// States (B, T, D) and positions (B or 1, T, D) to (B, T, D).
    pub(super) fn forward(&self, x: &Tensor, positions: &Tensor) -> Result<Tensor> {
        let placed = x.broadcast_add(positions)?;
        let heads = |linear: &Linear, x: &Tensor| split_heads(&linear.forward(x)?, self.heads); // (B, H, T, W)
        let attention = Attention { bias: None, dropout: None, mode: Mode::Infer };
        let (q, k) = (heads(&self.query, &placed)?, heads(&self.key, &placed)?);
        self.output.forward(&join_heads(&attention.forward(&q, &k, &heads(&self.value, x)?)?)?)
    }
}

/// Two linear maps with an activation between, added to their input, and a norm behind.
#[derive(Debug, Clone)]
pub(super) struct FeedForward {
    up: Linear,
    down: Linear,
    norm: LayerNorm,
    activation: Activation,
}

impl FeedForward {
    /// Loads `fc1`, `fc2` and `final_layer_norm`.
    pub(super) fn load(vb: &VarBuilder<'_>, dim: usize, wide: usize, act: Activation, eps: f64) -> Result<Self> {
        Ok(Self {
            up: Linear::load(&vb.pp("fc1"), dim, wide, 0.02)?,
            down: Linear::load(&vb.pp("fc2"), wide, dim, 0.02)?,
            norm: LayerNorm::load(&vb.pp("final_layer_norm"), dim, eps)?,
            activation: act,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(&self.up.feed_forward(x, (self.activation, &self.down), x)?)
    }
}
