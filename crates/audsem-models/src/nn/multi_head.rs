//! Attention with its projections.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::{Angles, Attention, Dropout, KvCache, Linear, Mode, join_heads, split_heads};

/// Which projections of an attention layer have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectionBias {
    /// Of queries.
    pub query: bool,
    /// Of keys.
    pub key: bool,
    /// Of values.
    pub value: bool,
    /// Of the output.
    pub output: bool,
}

impl ProjectionBias {
    /// All of them, as in BART and BERT.
    pub const ALL: Self = Self { query: true, key: true, value: true, output: true };
    /// None of them, as in Llama.
    pub const NONE: Self = Self { query: false, key: false, value: false, output: false };
    /// All but that of the output, as in Qwen2.
    pub const QWEN2: Self = Self { output: false, ..Self::ALL };
    /// All but that of keys, as in Whisper.
    pub const WHISPER: Self = Self { key: false, ..Self::ALL };
}

/// Shape and tensor names of [`MultiHeadAttention`].
#[derive(Debug, Clone, Copy)]
pub struct MultiHeadConfig {
    /// Width of queries' states and of the result.
    pub dim: usize,
    /// Width of the states that keys and values come from.
    pub source_dim: usize,
    /// Heads H of queries.
    pub heads: usize,
    /// Heads K of keys and values, a divisor of H.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Which projections have a bias.
    pub bias: ProjectionBias,
    /// Name of the output projection: `o_proj` or `out_proj`.
    pub output_name: &'static str,
    /// Dropout of attention weights.
    pub dropout: f64,
    /// Standard deviation of new weights.
    pub initializer_range: f64,
}

/// How the states of one attention layer are related.
#[derive(Debug, Clone, Copy)]
pub struct AttentionContext<'a> {
    /// What queries may see; see [`mask`](super::mask). None means everything.
    pub bias: Option<&'a Tensor>,
    /// Rotary positions of the queries, and of the keys that are computed with them.
    pub angles: Option<&'a Angles>,
    /// Boundaries of blocks that see only themselves; see [`Attention::forward_blocks`].
    pub cu_seqlens: Option<&'a [usize]>,
    /// Whether a token of a block sees itself and those before it alone.
    pub is_causal: bool,
    /// What the pass is for.
    pub mode: Mode,
}

impl AttentionContext<'_> {
    /// Everything sees everything, without positions.
    #[must_use]
    pub fn full(mode: Mode) -> Self {
        Self { bias: None, angles: None, cu_seqlens: None, is_causal: false, mode }
    }
}

/// Projections of queries, keys and values, scaled dot-product attention, and the projection of its result.
#[derive(Debug, Clone)]
pub struct MultiHeadAttention {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    dropout: Dropout,
}

impl MultiHeadAttention {
    /// Loads `q_proj`, `k_proj`, `v_proj` and the output projection below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &MultiHeadConfig) -> Result<Self> {
        let MultiHeadConfig { dim, source_dim, heads, kv_heads, head_dim, bias, initializer_range, .. } = *config;
        let linear = |name: &str, inputs, outputs, bias| {
            Linear::load_with(&vb.pp(name), inputs, outputs, bias, initializer_range)
        };
        Ok(Self {
            query: linear("q_proj", dim, heads * head_dim, bias.query)?,
            key: linear("k_proj", source_dim, kv_heads * head_dim, bias.key)?,
            value: linear("v_proj", source_dim, kv_heads * head_dim, bias.value)?,
            output: linear(config.output_name, heads * head_dim, dim, bias.output)?,
            heads,
            kv_heads,
            dropout: Dropout::at(vb, config.dropout)?,
        })
    }

    /// Self-attention of states (B, T, D). With a cache, the states also see all states that went through it before.
    ///
    /// # Errors
    /// A cache in training, or one with blocks; shapes, memory, device.
    pub fn forward(&self, x: &Tensor, context: &AttentionContext<'_>, cache: Option<&mut KvCache>) -> Result<Tensor> {
        let turned = |x: Tensor| context.angles.map_or(Ok(x.clone()), |angles| angles.forward(&x));
        let q = turned(split_heads(&self.query.forward_in(x, context.mode)?, self.heads)?)?; // (B, H, T, W)
        let k = turned(split_heads(&self.key.forward_in(x, context.mode)?, self.kv_heads)?)?; // (B, K, T, W)
        let v = split_heads(&self.value.forward_in(x, context.mode)?, self.kv_heads)?; // (B, K, T, W)
        let (k, v) = match cache {
            Some(cache) => checked(cache, context)?.append(&k, &v)?,
            None => (k, v),
        };
        self.mix(&q, &k, &v, context)
    }

    /// Cross-attention of states (B, T, D) to others (B, S, E). With a cache, those are projected at the first call
    /// and remembered.
    ///
    /// # Errors
    /// A cache in training, or one with blocks; rotary positions; shapes, memory, device.
    pub fn forward_cross(
        &self,
        x: &Tensor,
        source: &Tensor,
        context: &AttentionContext<'_>,
        cache: Option<&mut KvCache>,
    ) -> Result<Tensor> {
        if context.angles.is_some() {
            bail!("cross-attention has no rotary positions");
        }
        let q = split_heads(&self.query.forward_in(x, context.mode)?, self.heads)?; // (B, H, T, W)
        let project = |linear: &Linear| split_heads(&linear.forward_in(source, context.mode)?, self.kv_heads); // (B, K, S, W)
        let (k, v) = match cache {
            Some(cache) if !cache.is_empty() => checked(cache, context)?.held()?,
            Some(cache) => checked(cache, context)?.append(&project(&self.key)?, &project(&self.value)?)?,
            None => (project(&self.key)?, project(&self.value)?),
        };
        self.mix(&q, &k, &v, context)
    }

    /// Whether a pass of this kind drops some weights of attention.
    pub(super) fn drops(&self, mode: Mode) -> bool {
        Attention { bias: None, dropout: Some(&self.dropout), mode }.drops()
    }

    fn mix(&self, q: &Tensor, k: &Tensor, v: &Tensor, context: &AttentionContext<'_>) -> Result<Tensor> {
        let attention = Attention { bias: context.bias, dropout: Some(&self.dropout), mode: context.mode };
        let mixed = match context.cu_seqlens {
            Some(cu_seqlens) if context.is_causal => attention.forward_causal_blocks(q, k, v, cu_seqlens)?,
            Some(cu_seqlens) => attention.forward_blocks(q, k, v, cu_seqlens)?,
            None if context.is_causal => bail!("attention without blocks is causal by its bias"),
            None => attention.forward(q, k, v)?,
        };
        self.output.forward_in(&join_heads(&mixed)?, context.mode)
    }
}

/// The cache, if it can be used here: it would cut gradients, and its tokens belong to no block.
fn checked<'a>(cache: &'a mut KvCache, context: &AttentionContext<'_>) -> Result<&'a mut KvCache> {
    if context.mode != Mode::Infer {
        bail!("a cache of keys and values has no gradient: it is for inference");
    }
    if context.cu_seqlens.is_some() {
        bail!("attention in blocks takes no cache");
    }
    Ok(cache)
}
