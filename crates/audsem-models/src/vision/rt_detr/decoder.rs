//! The decoder: queries look at each other and at the maps, and move their boxes.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use candle_nn::ops::sigmoid;

use super::attention::{FeedForward, PositionedAttention};
use super::config::Config;
use super::deformable::DeformableAttention;
use super::heads::MlpHead;
use crate::nn::{Activation, LayerNorm, Linear};

/// Shares are kept this far from 0 and 1 before the sigmoid is inverted.
const INVERSE_EPS: f64 = 1e-5;

#[derive(Debug, Clone)]
struct Layer {
    attention: PositionedAttention,
    attention_norm: LayerNorm,
    cross: DeformableAttention,
    cross_norm: LayerNorm,
    feed_forward: FeedForward,
    /// Moves boxes.
    boxes: MlpHead,
}

impl Layer {
    fn load(vb: &VarBuilder<'_>, boxes: &VarBuilder<'_>, config: &Config, activation: Activation) -> Result<Self> {
        let (dim, eps) = (config.d_model, config.layer_norm_eps);
        let norm = |name: &str| LayerNorm::load(&vb.pp(name), dim, eps);
        Ok(Self {
            attention: PositionedAttention::load(&vb.pp("self_attn"), dim, config.decoder_attention_heads)?,
            attention_norm: norm("self_attn_layer_norm")?,
            cross: DeformableAttention::load(&vb.pp("encoder_attn"), config)?,
            cross_norm: norm("encoder_attn_layer_norm")?,
            feed_forward: FeedForward::load(vb, dim, config.decoder_ffn_dim, activation, eps)?,
            boxes: MlpHead::load(boxes, &[dim, dim, dim, 4])?,
        })
    }

    fn forward(&self, x: &Tensor, positions: &Tensor, boxes: &Tensor, input: &DecoderInput<'_>) -> Result<Tensor> {
        let x = self.attention_norm.forward(&(x + self.attention.forward(x, positions)?)?)?;
        let seen = self.cross.forward(&(&x + positions)?, boxes, input.memory, input.sizes)?;
        self.feed_forward.forward(&self.cross_norm.forward(&(x + seen)?)?)
    }
}

/// What the decoder looks at.
pub(super) struct DecoderInput<'a> {
    /// Tokens of all maps (B, N, D).
    pub memory: &'a Tensor,
    /// Heights and widths of the maps.
    pub sizes: &'a [[usize; 2]],
}

/// What the decoder gives.
pub(super) struct Refined {
    /// States behind each layer (B, Q, D).
    pub layers: Vec<Tensor>,
    /// Boxes behind each layer (B, Q, 4), in f32.
    pub boxes: Vec<Tensor>,
    /// Logits behind the last layer (B, Q, C).
    pub logits: Tensor,
}

/// The decoder with its heads.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    positions: MlpHead,
    layers: Vec<Layer>,
    classes: Linear,
}

impl Decoder {
    /// Loads `model.decoder`. The heads of all layers are stored there or at the top, as both names are of the same
    /// tensors.
    pub(super) fn load(vb: &VarBuilder<'_>, config: &Config) -> crate::Result<Self> {
        let decoder = vb.pp("model.decoder");
        let (dim, classes) = (config.d_model, config.id2label.len());
        let activation = Activation::from_name("decoder_activation_function", &config.decoder_activation_function)?;
        let head = |name: &str, probe: &str| {
            let vb = if decoder.contains_tensor(&format!("{name}.0.{probe}")) { &decoder } else { vb };
            vb.pp(name)
        };
        let (class_heads, box_heads) = (head("class_embed", "weight"), head("bbox_embed", "layers.0.weight"));
        let layer = |n: usize| {
            let (vb, boxes) = (decoder.pp(format!("layers.{n}")), box_heads.pp(n));
            Layer::load(&vb, &boxes, config, activation)
        };
        Ok(Self {
            positions: MlpHead::load(&decoder.pp("query_pos_head"), &[4, 2 * dim, dim])?,
            layers: (0..config.decoder_layers).map(layer).collect::<Result<_>>()?,
            classes: Linear::load(&class_heads.pp(config.decoder_layers - 1), dim, classes, 0.02)?,
        })
    }

    /// Refines queries with states (B, Q, D) and boxes (B, Q, 4) before the sigmoid.
    pub(super) fn forward(&self, states: Tensor, reference: &Tensor, input: &DecoderInput<'_>) -> Result<Refined> {
        let (mut x, mut current) = (states, sigmoid(reference)?);
        let (mut layers, mut boxes) = (Vec::new(), Vec::new());
        for layer in &self.layers {
            let positions = self.positions.forward(&current.to_dtype(x.dtype())?)?;
            x = layer.forward(&x, &positions, &current, input)?;
            let moved = layer.boxes.forward(&x)?.to_dtype(DType::F32)?;
            current = sigmoid(&(moved + inverse_sigmoid(&current)?)?)?;
            layers.push(x.clone());
            boxes.push(current.clone());
        }
        Ok(Refined { layers, boxes, logits: self.classes.forward(&x)? })
    }
}

fn inverse_sigmoid(share: &Tensor) -> Result<Tensor> {
    let share = share.clamp(0.0, 1.0)?;
    (share.maximum(INVERSE_EPS)? / share.affine(-1.0, 1.0)?.maximum(INVERSE_EPS)?)?.log()
}
