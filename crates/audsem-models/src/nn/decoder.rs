//! The pre-norm decoder of Llama, Mistral and Qwen2: RMS norms, rotary positions, queries that share keys and values, and
//! gated feed-forward blocks.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::attention_half::AttentionHalf;
use super::{
    Activation, Angles, AttentionContext, DecoderCache, GatedMlp, KvCache, MlpConfig, Mode, MultiHeadAttention,
    MultiHeadConfig, ProjectionBias, RmsNorm, Rotary, TokenSpan, fused,
};

/// Shape and behaviour of a decoder.
#[derive(Debug, Clone)]
pub struct DecoderConfig {
    /// Layers.
    pub layers: usize,
    /// Width D.
    pub dim: usize,
    /// Heads H of queries.
    pub heads: usize,
    /// Heads K of keys and values, a divisor of H.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width of the feed-forward block.
    pub intermediate: usize,
    /// Activation of the gate.
    pub activation: Activation,
    /// Whether the projections of the feed-forward block have biases.
    pub mlp_bias: bool,
    /// Which projections of attention have biases.
    pub attention_bias: ProjectionBias,
    /// Epsilon of the norms.
    pub rms_norm_eps: f64,
    /// Rotary positions, of heads of `head_dim`.
    pub rotary: Rotary,
    /// Tokens that a query of a windowed layer sees, itself among them; none means all before it.
    pub window: Option<usize>,
    /// The first layer that is windowed; `max_window_layers` of Qwen2, 0 for Mistral.
    pub first_windowed_layer: usize,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// Standard deviation of new weights.
    pub initializer_range: f64,
}

impl DecoderConfig {
    fn attention(&self) -> MultiHeadConfig {
        MultiHeadConfig {
            dim: self.dim,
            source_dim: self.dim,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            bias: self.attention_bias,
            output_name: "o_proj",
            dropout: self.attention_dropout,
            initializer_range: self.initializer_range,
        }
    }

    fn mlp(&self) -> MlpConfig {
        MlpConfig {
            dim: self.dim,
            intermediate: self.intermediate,
            activation: self.activation,
            bias: self.mlp_bias,
            initializer_range: self.initializer_range,
        }
    }
}

#[derive(Debug, Clone)]
struct Layer {
    attention_norm: RmsNorm,
    attention: MultiHeadAttention,
    mlp_norm: RmsNorm,
    mlp: GatedMlp,
}

impl Layer {
    fn load(vb: &VarBuilder<'_>, config: &DecoderConfig) -> Result<Self> {
        let norm = |name: &str| RmsNorm::load(&vb.pp(name), config.dim, config.rms_norm_eps);
        Ok(Self {
            attention_norm: norm("input_layernorm")?,
            attention: MultiHeadAttention::load(&vb.pp("self_attn"), &config.attention())?,
            mlp_norm: norm("post_attention_layernorm")?,
            mlp: GatedMlp::load(&vb.pp("mlp"), &config.mlp())?,
        })
    }

    fn forward(&self, x: &Tensor, context: &AttentionContext<'_>, cache: Option<&mut KvCache>) -> Result<Tensor> {
        self.feed_forward(&self.attend(x, context, cache)?, context.mode)
    }

    /// The first half.
    fn attend(&self, x: &Tensor, context: &AttentionContext<'_>, cache: Option<&mut KvCache>) -> Result<Tensor> {
        x + self.attention.forward(&self.attention_norm.forward(x)?, context, cache)?
    }

    /// The second half.
    fn feed_forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        x + self.mlp.forward(&self.mlp_norm.forward(x)?, mode)?
    }
}

/// Decoder layers with a norm behind them.
#[derive(Debug, Clone)]
pub struct DecoderStack {
    layers: Vec<Layer>,
    norm: RmsNorm,
    rotary: Rotary,
    window: Option<usize>,
    first_windowed_layer: usize,
}

impl DecoderStack {
    /// Loads `layers.0` … and `norm` below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &DecoderConfig) -> Result<Self> {
        let layers = vb.pp("layers");
        Ok(Self {
            layers: (0..config.layers).map(|n| Layer::load(&layers.pp(n), config)).collect::<Result<_>>()?,
            norm: RmsNorm::load(&vb.pp("norm"), config.dim, config.rms_norm_eps)?,
            rotary: config.rotary.clone(),
            window: config.window,
            first_windowed_layer: config.first_windowed_layer,
        })
    }

    /// Number of layers.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Rotations of position ids (B, T), or (A, B, T) for several axes.
    ///
    /// # Errors
    /// Another number of axes, memory, device.
    pub fn angles(&self, positions: &Tensor) -> Result<Angles> {
        self.rotary.angles(positions)
    }

    /// The first half of layer `n`, attention, of sequences that are packed into x (1, T, D), for networks without windows.
    /// A sequence does not see the others.
    ///
    /// # Errors
    /// There is no such layer, or layers see windows; shapes, memory, device.
    pub fn attend_packed(
        &self,
        n: usize,
        x: &Tensor,
        angles: &Angles,
        cu_seqlens: &[usize],
        mode: Mode,
    ) -> Result<Tensor> {
        let Some(layer) = self.layers.get(n).filter(|_| self.window.is_none()) else {
            match self.window {
                Some(window) => bail!("packed sequences in layer {n}, whose tokens see {window} of those before"),
                None => bail!("layer {n} of {}", self.layers.len()),
            }
        };
        let (angles, cu_seqlens) = (Some(angles), Some(cu_seqlens));
        layer.attend(x, &AttentionContext { angles, cu_seqlens, is_causal: true, bias: None, mode }, None)
    }

    /// The second half of layer `n`, the feed-forward block, of states (B, T, D).
    ///
    /// # Errors
    /// There is no such layer; shapes, memory, device.
    pub fn feed_forward(&self, n: usize, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match self.layers.get(n) {
            Some(layer) => layer.feed_forward(x, mode),
            None => bail!("layer {n} of {}", self.layers.len()),
        }
    }

    /// The first half of layer `n` with a backward pass of its own, where it has one.
    pub(crate) fn attention_half(&self, n: usize, mode: Mode) -> Option<AttentionHalf<'_>> {
        let layer = self.layers.get(n).filter(|_| self.window.is_none())?;
        let half = AttentionHalf { norm: &layer.attention_norm, attention: &layer.attention, mode };
        half.is_supported().then_some(half)
    }

    /// The second half of layer `n` with a backward pass of its own, where it has one.
    pub(crate) fn feed_forward_half(&self, n: usize) -> Option<fused::FrozenFeedForward<'_>> {
        let Layer { mlp_norm: norm, mlp, .. } = self.layers.get(n)?;
        let [gate, up, down] = mlp.frozen().filter(|_| fused::is_supported(norm.weight()))?;
        Some(fused::FrozenFeedForward { norm: (norm.weight(), norm.eps()), gate, up, down })
    }

    /// The norm behind the layers.
    #[must_use]
    pub fn norm(&self) -> &RmsNorm {
        &self.norm
    }

    /// An empty cache for a batch of so many rows.
    #[must_use]
    pub fn cache(&self, batch: usize) -> DecoderCache {
        DecoderCache::new(self.layers.len(), batch)
    }

    /// Hidden states (B, T, D) of embeddings (B, T, D) of the tokens of `span`, whose positions count the tokens before
    /// them.
    ///
    /// # Errors
    /// A cache in training or of another network; shapes, memory, device.
    pub fn forward(&self, x: Tensor, span: &TokenSpan, cache: Option<&mut DecoderCache>, mode: Mode) -> Result<Tensor> {
        self.forward_at(x, span, None, cache, mode)
    }

    /// As [`DecoderStack::forward`], with positions (B, T), or (A, B, T) for rotary positions of several axes.
    ///
    /// # Errors
    /// As [`DecoderStack::forward`].
    pub fn forward_at(
        &self,
        mut x: Tensor,
        span: &TokenSpan,
        positions: Option<&Tensor>,
        mut cache: Option<&mut DecoderCache>,
        mode: Mode,
    ) -> Result<Tensor> {
        let span = match cache.as_deref_mut() {
            Some(cache) => cache.extend(span)?.clone(),
            None => span.clone(),
        };
        let angles = match positions {
            Some(positions) => self.rotary.angles(positions)?,
            None => self.rotary.angles(&span.positions(x.device())?)?,
        };
        let biases = self.biases(&span, &x)?;
        for (n, layer) in self.layers.iter().enumerate() {
            let context = self.context(n, &biases, &angles, mode);
            let cache = cache.as_deref_mut().map(|cache| cache.layer(n)).transpose()?.map(|layer| &mut layer.own);
            x = layer.forward(&x, &context, cache)?;
        }
        self.norm.forward(&x)
    }

    /// The biases of layers that see all tokens and of those that see a window.
    fn biases(&self, span: &TokenSpan, x: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let all = span.bias(None, x.device())?;
        let windowed = match self.window {
            Some(_) => span.bias(self.window, x.device())?,
            None => None,
        };
        Ok([all, windowed])
    }

    fn context<'a>(
        &self,
        layer: usize,
        [all, windowed]: &'a [Option<Tensor>; 2],
        angles: &'a Angles,
        mode: Mode,
    ) -> AttentionContext<'a> {
        let is_windowed = self.window.is_some() && layer >= self.first_windowed_layer;
        let bias = if is_windowed { windowed } else { all };
        AttentionContext { bias: bias.as_ref(), angles: Some(angles), ..AttentionContext::full(mode) }
    }
}
