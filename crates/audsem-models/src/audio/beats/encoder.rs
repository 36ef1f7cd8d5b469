//! The transformer of BEATs: positions by convolution and by gated distance.

use candle_core::{D, IndexOp, Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::distance::DistanceBias;
use super::{Config, EPS, STDEV};
use crate::error::Error;
use crate::nn::{Activation, Attention, Conv1d, ConvConfig, LayerNorm, Linear, Mode, join_heads, split_heads};

/// Values of the gate's projection that make up each of its two gates.
const GATE_WIDTH: usize = 4;

/// Positions from a convolution over neighbouring patches.
#[derive(Debug, Clone)]
struct ConvPositions {
    conv: Conv1d,
}

impl ConvPositions {
    /// Loads `weight_g`, `weight_v` and `bias`: the weight is a direction for each tap, scaled to a learned length.
    fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (dim, taps, groups) = (config.encoder_embed_dim, config.conv_pos, config.conv_pos_groups);
        let length = vb.get_with_hints((1, 1, taps), "weight_g", Init::Const(1.0))?;
        let hints = Init::Randn { mean: 0.0, stdev: STDEV };
        let direction = vb.get_with_hints((dim, dim / groups, taps), "weight_v", hints)?;
        let norm = direction.sqr()?.sum_keepdim((0, 1))?.sqrt()?;
        let weight = direction.broadcast_mul(&length.broadcast_div(&norm)?)?;
        let bias = vb.get_with_hints(dim, "bias", Init::Const(0.0))?;
        let shape = ConvConfig { groups, padding: [0, taps / 2], ..ConvConfig::over_time(dim, dim, taps) };
        Ok(Self { conv: Conv1d::from_tensors(&weight, Some(bias), &shape)? })
    }

    /// (B, T, D) to (B, T, D).
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.conv.forward(&x.transpose(1, 2)?.contiguous()?)?; // (B, D, T + 1)
        Activation::Gelu.forward(&y.narrow(2, 0, x.dim(1)?)?.transpose(1, 2)?)
    }
}

#[derive(Debug, Clone)]
struct GatedAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    gate: Linear,
    gate_scale: Tensor, // (1, H, 1, 1)
    heads: usize,
}

impl GatedAttention {
    fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (dim, heads) = (config.encoder_embed_dim, config.encoder_attention_heads);
        let linear = |name: &str| Linear::load(&vb.pp(name), dim, dim, STDEV);
        Ok(Self {
            query: linear("q_proj")?,
            key: linear("k_proj")?,
            value: linear("v_proj")?,
            output: linear("out_proj")?,
            gate: Linear::load(&vb.pp("grep_linear"), dim / heads, 2 * GATE_WIDTH, STDEV)?,
            gate_scale: vb.get_with_hints((1, heads, 1, 1), "grep_a", Init::Const(1.0))?,
            heads,
        })
    }

    /// (B, T, D) to (B, T, D); `distance` is the bias (1, H, T, T).
    fn forward(&self, x: &Tensor, distance: &Tensor) -> Result<Tensor> {
        let heads = |linear: &Linear| split_heads(&linear.forward(x)?, self.heads); // (B, H, T, D/H)
        let query = heads(&self.query)?;
        let bias = self.gate(&query)?.broadcast_mul(distance)?; // (B, H, T, T)
        let attention = Attention { bias: Some(&bias), dropout: None, mode: Mode::Infer };
        let mixed = attention.forward(&query, &heads(&self.key)?, &heads(&self.value)?)?;
        self.output.forward(&join_heads(&mixed)?)
    }

    /// How strongly each query (B, H, T, W) weighs distances: (B, H, T, 1), as a gated recurrent unit would.
    fn gate(&self, query: &Tensor) -> Result<Tensor> {
        let (b, heads, t, _) = query.dims4()?;
        let sums = self.gate.forward(query)?.reshape((b, heads, t, 2, GATE_WIDTH))?.sum(D::Minus1)?;
        let gates = candle_nn::ops::sigmoid(&sums)?; // (B, H, T, 2)
        let (update, reset) = (gates.i((.., .., .., ..1))?, gates.i((.., .., .., 1..))?);
        (update * (reset.broadcast_mul(&self.gate_scale)? - 1.0)?)? + 2.0
    }
}

#[derive(Debug, Clone)]
struct Layer {
    attention: GatedAttention,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
    activation: Activation,
    residual_scale: f64,
}

impl Layer {
    fn load(vb: &VarBuilder<'_>, config: &Config, activation: Activation) -> Result<Self> {
        let (dim, wide) = (config.encoder_embed_dim, config.encoder_ffn_embed_dim);
        Ok(Self {
            attention: GatedAttention::load(&vb.pp("self_attn"), config)?,
            attention_norm: LayerNorm::load(&vb.pp("self_attn_layer_norm"), dim, EPS)?,
            up: Linear::load(&vb.pp("fc1"), dim, wide, STDEV)?,
            down: Linear::load(&vb.pp("fc2"), wide, dim, STDEV)?,
            norm: LayerNorm::load(&vb.pp("final_layer_norm"), dim, EPS)?,
            activation,
            residual_scale: config.residual_scale(),
        })
    }

    fn forward(&self, x: &Tensor, distance: &Tensor) -> Result<Tensor> {
        let y = self.attention.forward(x, distance)?;
        let x = self.attention_norm.forward(&((x * self.residual_scale)? + y)?)?;
        let residual = (&x * self.residual_scale)?;
        self.norm.forward(&self.up.feed_forward(&x, (self.activation, &self.down), &residual)?)
    }
}

/// Positions, a norm, and layers with their norms behind.
#[derive(Debug, Clone)]
pub(super) struct BeatsEncoder {
    positions: ConvPositions,
    norm: LayerNorm,
    distance: DistanceBias,
    layers: Vec<Layer>,
}

impl BeatsEncoder {
    /// Loads `pos_conv.0`, `layer_norm` and `layers.N` below `vb`. The first layer holds the distances of all.
    pub(super) fn load(vb: &VarBuilder<'_>, config: &Config) -> std::result::Result<Self, Error> {
        let activation = Activation::from_name("activation_fn", &config.activation_fn)?;
        let layers = vb.pp("layers");
        let load = |n| Layer::load(&layers.pp(n), config, activation);
        Ok(Self {
            positions: ConvPositions::load(&vb.pp("pos_conv.0"), config)?,
            norm: LayerNorm::load(&vb.pp("layer_norm"), config.encoder_embed_dim, EPS)?,
            distance: DistanceBias::load(&layers.pp("0.self_attn.relative_attention_bias"), config)?,
            layers: (0..config.encoder_layers).map(load).collect::<Result<_>>()?,
        })
    }

    /// Patches (B, T, D) with their positions, normalised, and the output of every layer.
    pub(super) fn hidden_states(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let x = self.norm.forward(&(x + self.positions.forward(x)?)?)?;
        let distance = self.distance.forward(x.dim(1)?)?;
        let mut states = vec![x];
        for layer in &self.layers {
            let x = layer.forward(&states[states.len() - 1], &distance)?;
            states.push(x);
        }
        Ok(states)
    }
}
