//! Transformer blocks with layer norms: Whisper's, and the towers and decoders built like it, with the norm before each
//! part; BART's with the norm behind.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::{
    Activation, AttentionContext, Dropout, LayerCache, LayerNorm, Linear, Mode, MultiHeadAttention, MultiHeadConfig,
    ProjectionBias,
};

/// Shape and behaviour of a block.
#[derive(Debug, Clone, Copy)]
pub struct BlockConfig {
    /// Width D.
    pub dim: usize,
    /// Heads H, a divisor of D.
    pub heads: usize,
    /// Width of the feed-forward part.
    pub intermediate: usize,
    /// Activation of the feed-forward part.
    pub activation: Activation,
    /// Epsilon of the norms.
    pub layer_norm_eps: f64,
    /// Whether a norm stands before each part, as in Whisper, or behind its residual sum, as in BART.
    pub norm_first: bool,
    /// Which projections of attention have biases.
    pub attention_bias: ProjectionBias,
    /// Whether there is cross-attention to an encoder's states.
    pub cross: bool,
    /// Dropout behind each part.
    pub dropout: f64,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// Dropout within the feed-forward part.
    pub activation_dropout: f64,
    /// Standard deviation of new weights.
    pub initializer_range: f64,
}

impl BlockConfig {
    fn attention(&self) -> MultiHeadConfig {
        MultiHeadConfig {
            dim: self.dim,
            source_dim: self.dim,
            heads: self.heads,
            kv_heads: self.heads,
            head_dim: self.dim / self.heads.max(1),
            bias: self.attention_bias,
            output_name: "out_proj",
            dropout: self.attention_dropout,
            initializer_range: self.initializer_range,
        }
    }
}

/// A part of a block in its residual branch.
#[derive(Debug, Clone)]
struct Residual {
    norm: LayerNorm,
    norm_first: bool,
    dropout: Dropout,
}

impl Residual {
    fn load(vb: &VarBuilder<'_>, name: &str, config: &BlockConfig) -> Result<Self> {
        let vb = vb.pp(name);
        Ok(Self {
            norm: LayerNorm::load(&vb, config.dim, config.layer_norm_eps)?,
            norm_first: config.norm_first,
            dropout: Dropout::at(&vb, config.dropout)?,
        })
    }

    fn forward(&self, x: &Tensor, mode: Mode, part: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        if self.norm_first {
            let y = part(&self.norm.forward(x)?)?;
            return x + self.dropout.forward(&y, mode)?;
        }
        let y = part(x)?;
        self.norm.forward(&(x + self.dropout.forward(&y, mode)?)?)
    }
}

/// Self-attention, cross-attention where there is one, and a feed-forward part.
#[derive(Debug, Clone)]
pub struct TransformerBlock {
    attention: MultiHeadAttention,
    attention_residual: Residual,
    cross: Option<(MultiHeadAttention, Residual)>,
    up: Linear,
    down: Linear,
    mlp_residual: Residual,
    activation: Activation,
    activation_dropout: Dropout,
}

/// The encoder's states that a block attends to.
#[derive(Debug, Clone, Copy)]
pub struct CrossSource<'a> {
    /// The states (B, S, D).
    pub states: &'a Tensor,
    /// What queries may see of them; see [`padding_bias`](super::padding_bias).
    pub bias: Option<&'a Tensor>,
}

impl TransformerBlock {
    /// Loads `self_attn`, `self_attn_layer_norm`, `fc1`, `fc2`, `final_layer_norm`, and `encoder_attn` and
    /// `encoder_attn_layer_norm` if there is cross-attention.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &BlockConfig) -> Result<Self> {
        let (dim, wide, stdev) = (config.dim, config.intermediate, config.initializer_range);
        let cross = |()| -> Result<_> {
            let attention = MultiHeadAttention::load(&vb.pp("encoder_attn"), &config.attention())?;
            Ok((attention, Residual::load(vb, "encoder_attn_layer_norm", config)?))
        };
        Ok(Self {
            attention: MultiHeadAttention::load(&vb.pp("self_attn"), &config.attention())?,
            attention_residual: Residual::load(vb, "self_attn_layer_norm", config)?,
            cross: config.cross.then_some(()).map(cross).transpose()?,
            up: Linear::load(&vb.pp("fc1"), dim, wide, stdev)?,
            down: Linear::load(&vb.pp("fc2"), wide, dim, stdev)?,
            mlp_residual: Residual::load(vb, "final_layer_norm", config)?,
            activation: config.activation,
            activation_dropout: Dropout::at(&vb.pp("fc1"), config.activation_dropout)?,
        })
    }

    /// (B, T, D) to (B, T, D). `context` is that of self-attention; `source` is what cross-attention sees.
    ///
    /// # Errors
    /// Cross-attention without a source or the other way round; a cache in training; shapes, memory, device.
    pub fn forward(
        &self,
        x: &Tensor,
        context: &AttentionContext<'_>,
        source: Option<CrossSource<'_>>,
        cache: Option<&mut LayerCache>,
    ) -> Result<Tensor> {
        let (own, held) = match cache {
            Some(LayerCache { own, cross }) => (Some(own), Some(cross)),
            None => (None, None),
        };
        let mode = context.mode;
        let x = self.attention_residual.forward(x, mode, |x| self.attention.forward(x, context, own))?;
        let x = match (&self.cross, source) {
            (Some((attention, residual)), Some(CrossSource { states, bias })) => {
                let context = AttentionContext { bias, ..AttentionContext::full(mode) };
                residual.forward(&x, mode, |x| attention.forward_cross(x, states, &context, held))?
            }
            (None, None) => x,
            (Some(_), None) => bail!("cross-attention lacks the encoder's states"),
            (None, Some(_)) => bail!("a block without cross-attention was given an encoder's states"),
        };
        self.feed_forward(&x, mode)
    }

    /// The feed-forward part with its residual sum and its norm.
    fn feed_forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let residual = &self.mlp_residual;
        if mode == Mode::Infer {
            let maps = (self.activation, &self.down);
            return match residual.norm_first {
                true => self.up.feed_forward(&residual.norm.forward(x)?, maps, x),
                false => residual.norm.forward(&self.up.feed_forward(x, maps, x)?),
            };
        }
        residual.forward(x, mode, |x| {
            let wide = self.up.forward_activated(x, self.activation, mode)?;
            self.down.forward_in(&self.activation_dropout.forward(&wide, mode)?, mode)
        })
    }
}
