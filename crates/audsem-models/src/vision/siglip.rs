//! The vision tower of SigLIP (Zhai et al., 2023), as networks that read its tokens use it: without the last layer, the
//! norm behind it and the pooling head.
//!
//! Names and numbers are those of `SiglipVisionModel` of transformers, whose hidden state before the last is the result
//! here (`fixtures/regen/llava_video.py`).

use candle_core::{Tensor, bail};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::by_picture;
use crate::error::{Error, Result};
use crate::nn::{
    Activation, AttentionContext, BlockConfig, Conv2d, ConvConfig, Embedding, Mode, ProjectionBias, TransformerBlock,
};

/// Shape of the tower; absent keys are those of `siglip-so400m-patch14-384`, which LLaVA's configuration only names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Width D.
    pub hidden_size: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Layers, of which the last is not used.
    pub num_hidden_layers: usize,
    /// Attention heads, a divisor of D.
    pub num_attention_heads: usize,
    /// Side of the pictures.
    pub image_size: usize,
    /// Side of the patches; what does not fill one at the right and lower edges is not seen.
    pub patch_size: usize,
    /// Activation of the feed-forward block.
    pub hidden_act: String,
    /// Epsilon of layer normalisation.
    pub layer_norm_eps: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 1152,
            intermediate_size: 4304,
            num_hidden_layers: 27,
            num_attention_heads: 16,
            image_size: 384,
            patch_size: 14,
            hidden_act: "gelu_pytorch_tanh".to_owned(),
            layer_norm_eps: 1e-6,
        }
    }
}

impl Config {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first setting that it does not.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
            ("num_hidden_layers", self.num_hidden_layers),
        ])?;
        Error::check_eps("layer_norm_eps", self.layer_norm_eps)?;
        if self.num_attention_heads == 0 || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::unsupported(
                "num_attention_heads",
                &self.num_attention_heads,
                "a divisor of hidden_size",
            ));
        }
        if self.patch_size > self.image_size {
            return Err(Error::unsupported("patch_size", &self.patch_size, "at most image_size"));
        }
        Activation::from_name("hidden_act", &self.hidden_act).map(drop)
    }

    /// Patches along one side.
    #[must_use]
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size.max(1)
    }

    fn block(&self) -> Result<BlockConfig> {
        Ok(BlockConfig {
            dim: self.hidden_size,
            heads: self.num_attention_heads,
            intermediate: self.intermediate_size,
            activation: Activation::from_name("hidden_act", &self.hidden_act)?,
            layer_norm_eps: self.layer_norm_eps,
            norm_first: true,
            attention_bias: ProjectionBias::ALL,
            cross: false,
            dropout: 0.0,
            attention_dropout: 0.0,
            activation_dropout: 0.0,
            initializer_range: 0.02,
        })
    }
}

/// Whether a tensor below `vision_model` is not used: what follows the state before the last.
#[must_use]
pub fn is_ignorable(name: &str, config: &Config) -> bool {
    let last = format!("encoder.layers.{}.", config.num_hidden_layers.saturating_sub(1));
    ["post_layernorm.", "head.", last.as_str()].iter().any(|start| name.starts_with(start))
}

/// The tower.
#[derive(Debug, Clone)]
pub struct SiglipTower {
    patches: Conv2d,
    positions: Embedding,
    layers: Vec<TransformerBlock>,
    image_size: usize,
}

impl SiglipTower {
    /// Loads `embeddings` and all but the last of `encoder.layers`, below `vision_model`.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let (dim, patch, tokens) = (config.hidden_size, config.patch_size, config.grid() * config.grid());
        let embeddings = vb.pp("embeddings");
        let conv = ConvConfig { stride: [patch; 2], ..ConvConfig::over_image(3, dim, [patch; 2]) };
        // The block asks for the names of Whisper.
        let names = [
            ("self_attn_layer_norm", "layer_norm1"),
            ("final_layer_norm", "layer_norm2"),
            ("fc1", "mlp.fc1"),
            ("fc2", "mlp.fc2"),
        ];
        let renamed = vb.root().rename_f(move |name: &str| {
            let part = |(ours, theirs): &(&str, &str)| {
                let (start, end) = name.rsplit_once(&format!(".{ours}."))?;
                Some(format!("{start}.{theirs}.{end}"))
            };
            names.iter().find_map(part).unwrap_or_else(|| name.to_owned())
        });
        let block = config.block()?;
        let layers = renamed.pp(vb.pp("encoder.layers").prefix());
        let layers = (0..config.num_hidden_layers - 1).map(|n| TransformerBlock::load(&layers.pp(n), &block));
        Ok(Self {
            patches: Conv2d::load(&embeddings.pp("patch_embedding"), &conv)?,
            positions: Embedding::load(&embeddings.pp("position_embedding"), tokens, dim, 0.02)?,
            layers: layers.collect::<candle_core::Result<_>>()?,
            image_size: config.image_size,
        })
    }

    /// The embeddings and what each layer gives (B, N, D), for pictures (B, 3, S, S).
    ///
    /// # Errors
    /// Pictures of another size, memory, device.
    pub fn states(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let mut states = vec![self.embed(x)?];
        let context = AttentionContext::full(Mode::Infer);
        for layer in &self.layers {
            states.push(layer.forward(&states[states.len() - 1], &context, None, None)?);
        }
        Ok(states)
    }

    /// Tokens (B, N, D) of pictures (B, 3, S, S), row by row. No picture depends on the others.
    ///
    /// # Errors
    /// As [`SiglipTower::states`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        by_picture(x, |x| {
            let (mut x, context) = (self.embed(x)?, AttentionContext::full(Mode::Infer));
            for layer in &self.layers {
                x = layer.forward(&x, &context, None, None)?;
            }
            Ok(x)
        })
    }

    fn embed(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        if (height, width) != (self.image_size, self.image_size) {
            bail!("pictures of {width} × {height}; this network takes {0} × {0}", self.image_size);
        }
        let patches = self.patches.forward(x)?.flatten_from(2)?.transpose(1, 2)?; // (B, N, D)
        patches.broadcast_add(&self.positions.table().unsqueeze(0)?)
    }
}
