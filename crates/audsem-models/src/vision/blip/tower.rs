//! The vision tower.

use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use super::config::VisionConfig;
use crate::nn::{Activation, Attention, Conv2d, ConvConfig, LayerNorm, Linear, Mode, join_heads, split_heads};

#[derive(Debug, Clone)]
struct Layer {
    attention_norm: LayerNorm,
    qkv: Linear,
    output: Linear,
    norm: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
    activation: Activation,
}

impl Layer {
    fn load(vb: &VarBuilder<'_>, config: &VisionConfig, activation: Activation) -> Result<Self> {
        let (dim, wide, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let linear = |name: &str, inputs, outputs| Linear::load(&vb.pp(name), inputs, outputs, 0.02);
        Ok(Self {
            attention_norm: LayerNorm::load(&vb.pp("layer_norm1"), dim, eps)?,
            qkv: linear("self_attn.qkv", dim, 3 * dim)?,
            output: linear("self_attn.projection", dim, dim)?,
            norm: LayerNorm::load(&vb.pp("layer_norm2"), dim, eps)?,
            up: linear("mlp.fc1", dim, wide)?,
            down: linear("mlp.fc2", wide, dim)?,
            heads: config.num_attention_heads,
            activation,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let dim = x.dim(2)?;
        let qkv = self.qkv.forward(&self.attention_norm.forward(x)?)?;
        let heads = |n: usize| split_heads(&qkv.narrow(2, n * dim, dim)?, self.heads); // (B, H, T, W)
        let attention = Attention { bias: None, dropout: None, mode: Mode::Infer };
        let mixed = join_heads(&attention.forward(&heads(0)?, &heads(1)?, &heads(2)?)?)?;
        let x = (x + self.output.forward(&mixed)?)?;
        self.up.feed_forward(&self.norm.forward(&x)?, (self.activation, &self.down), &x)
    }
}

/// The tower.
#[derive(Debug, Clone)]
pub(super) struct VisionTower {
    class: Tensor, // (1, 1, E)
    patches: Conv2d,
    positions: Tensor, // (1, 1 + N, E)
    layers: Vec<Layer>,
    norm: LayerNorm,
    image_size: usize,
}

impl VisionTower {
    /// Loads `embeddings`, `encoder.layers` and `post_layernorm`.
    pub(super) fn load(vb: &VarBuilder<'_>, config: &VisionConfig) -> crate::Result<Self> {
        let activation = Activation::from_name("hidden_act", &config.hidden_act)?;
        let (dim, patch, tokens) = (config.hidden_size, config.patch_size, 1 + config.grid() * config.grid());
        let embeddings = vb.pp("embeddings");
        let init = Init::Randn { mean: 0.0, stdev: 0.02 };
        let conv = ConvConfig { stride: [patch; 2], ..ConvConfig::over_image(3, dim, [patch; 2]) };
        let layers = vb.pp("encoder.layers");
        let layer = |n: usize| Layer::load(&layers.pp(n), config, activation);
        Ok(Self {
            class: embeddings.get_with_hints((1, 1, dim), "class_embedding", init)?,
            patches: Conv2d::load(&embeddings.pp("patch_embedding"), &conv)?,
            positions: embeddings.get_with_hints((1, tokens, dim), "position_embedding", init)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
            norm: LayerNorm::load(&vb.pp("post_layernorm"), dim, config.layer_norm_eps)?,
            image_size: config.image_size,
        })
    }

    fn embed(&self, x: &Tensor) -> Result<Tensor> {
        let (b, _, height, width) = x.dims4()?;
        if (height, width) != (self.image_size, self.image_size) {
            bail!("pictures of {width} × {height}; this network takes {0} × {0}", self.image_size);
        }
        let patches = self.patches.forward(x)?.flatten_from(2)?.transpose(1, 2)?; // (B, N, E)
        let class = self.class.broadcast_as((b, 1, self.class.dim(2)?))?;
        Tensor::cat(&[class, patches], 1)?.broadcast_add(&self.positions)
    }

    /// Embeddings, the result of each layer, and the normalised states, each (B, 1 + N, E).
    pub(super) fn states(&self, x: &Tensor) -> crate::Result<Vec<Tensor>> {
        let mut states = vec![self.embed(x)?];
        for layer in &self.layers {
            states.push(layer.forward(&states[states.len() - 1])?);
        }
        states.push(self.norm.forward(&states[states.len() - 1])?);
        Ok(states)
    }

    /// The normalised states (B, 1 + N, E) alone.
    pub(super) fn forward(&self, x: &Tensor) -> crate::Result<Tensor> {
        let mut x = self.embed(x)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        Ok(self.norm.forward(&x)?)
    }
}
