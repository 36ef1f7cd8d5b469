//! The network, for inference: sequences of any lengths side by side, each with its own cache.

use candle_core::quantized::QTensor;
use candle_core::{D, DType, Device, IndexOp, Result as TensorResult, Tensor};
use candle_nn::VarBuilder;

use super::LanguageConfig;
use super::mixture::{FeedForward, Rows};
use crate::error::{Error, Result};
use crate::nn::{
    Activation, Angles, Attention, Embedding, KvCache, Linear, Mode, RmsNorm, Rotary, RowLinear, causal_bias,
};

/// Token vectors, as numbers or in a block format of GGUF.
#[derive(Debug, Clone)]
pub(super) enum TokenTable {
    /// A table (V, D).
    Plain(Embedding),
    /// A quantised table (V, D), whose rows are dequantised when they are looked up.
    Quantised(std::sync::Arc<QTensor>),
}

/// One layer.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) attention_norm: RmsNorm,
    /// Queries, keys and values: one map of all, or one of each.
    pub(super) projections: Vec<RowLinear>,
    pub(super) output: RowLinear,
    pub(super) mlp_norm: RmsNorm,
    pub(super) feed_forward: FeedForward,
}

/// The parts of a network.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) table: TokenTable,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: RmsNorm,
    pub(super) head: RowLinear,
    pub(super) device: Device,
}

/// A language model for inference. The result of a sequence is the same for any batch it is in, on the CPU bit for bit.
#[derive(Debug, Clone)]
pub struct LanguageNetwork {
    parts: Parts,
    shape: Shape,
    rotary: Rotary,
}

/// Sizes that the forward pass needs.
#[derive(Debug, Clone, Copy)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    vocab_size: usize,
    max_tokens: usize,
    activation: Activation,
}

/// What a sequence has read: keys and values of each layer.
#[derive(Debug)]
pub(super) struct SequenceCache {
    layers: Vec<KvCache>,
    len: usize,
}

impl SequenceCache {
    /// A copy that continues on its own.
    pub(super) fn fork(&self) -> Result<Self> {
        let layers = self.layers.iter().map(KvCache::fork).collect::<TensorResult<_>>()?;
        Ok(Self { layers, len: self.len })
    }
}

impl LanguageNetwork {
    /// Loads `model` and `lm_head` below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or the configuration contradicts itself.
    pub fn load(vb: &VarBuilder<'_>, config: &LanguageConfig) -> Result<Self> {
        config.validate()?;
        let (model, dim) = (vb.pp("model"), config.hidden_size);
        let table = Embedding::load(&model.pp("embed_tokens"), config.vocab_size, dim, 0.02)?;
        let head = match config.tie_word_embeddings {
            true => Linear::from_tensors(table.table().clone(), None),
            false => Linear::load_no_bias(&vb.pp("lm_head"), dim, config.vocab_size, 0.02)?,
        };
        let layer = |n| load_layer(&model.pp("layers").pp(n), config);
        let parts = Parts {
            table: TokenTable::Plain(table),
            layers: (0..config.num_hidden_layers).map(layer).collect::<TensorResult<_>>()?,
            norm: RmsNorm::load(&model.pp("norm"), dim, config.rms_norm_eps)?,
            head: RowLinear::new(head)?,
            device: vb.device().clone(),
        };
        Ok(Self::from_parts(parts, config))
    }

    pub(super) fn from_parts(parts: Parts, config: &LanguageConfig) -> Self {
        let shape = Shape {
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            vocab_size: config.vocab_size,
            max_tokens: config.max_position_embeddings,
            activation: config.activation,
        };
        Self { parts, shape, rotary: config.rotary.clone() }
    }

    /// Most tokens of a sequence.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.shape.max_tokens
    }

    /// Number of logits, V.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.shape.vocab_size
    }

    /// Where the weights lie.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.parts.device
    }

    /// Vectors (T, D) of tokens.
    ///
    /// # Errors
    /// A token is not in the table.
    pub fn embed(&self, tokens: &[u32]) -> Result<Tensor> {
        let vocab_size = self.shape.vocab_size;
        if let Some(&id) = tokens.iter().find(|id| **id as usize >= vocab_size) {
            return Err(Error::TokenId { id, vocab_size });
        }
        let ids = Tensor::new(tokens, &self.parts.device)?;
        Ok(match &self.parts.table {
            TokenTable::Plain(table) => table.forward(&ids)?,
            TokenTable::Quantised(table) => table.embedding(&ids)?,
        })
    }

    pub(super) fn empty_cache(&self) -> SequenceCache {
        let layers = self.parts.layers.iter().map(|_| KvCache::default()).collect();
        SequenceCache { layers, len: 0 }
    }

    /// Reads the vectors (T, D) of the first or next tokens of one sequence; the logits (V) of the token after them.
    pub(super) fn read(&self, x: &Tensor, cache: &mut SequenceCache) -> Result<Vec<f32>> {
        let tokens = x.dim(0)?;
        self.check_length(cache.len + tokens)?;
        if tokens == 0 {
            return Err(Error::TextLength { tokens, longest: self.shape.max_tokens });
        }
        let x = self.forward(x.clone(), &mut [cache], tokens)?;
        let mut logits = self.logits(&x.narrow(0, tokens - 1, 1)?)?;
        Ok(logits.remove(0))
    }

    /// Reads one token of each sequence; the logits (B, V) of the tokens after them.
    pub(super) fn step(&self, tokens: &[u32], caches: &mut [SequenceCache]) -> Result<Vec<Vec<f32>>> {
        let longest = caches.iter().map(|cache| cache.len).max().unwrap_or(0);
        self.check_length(longest + 1)?;
        let mut caches: Vec<&mut SequenceCache> = caches.iter_mut().collect();
        let x = self.forward(self.embed(tokens)?, &mut caches, 1)?;
        self.logits(&x)
    }

    fn check_length(&self, tokens: usize) -> Result<()> {
        match tokens > self.shape.max_tokens {
            true => Err(Error::TextLength { tokens, longest: self.shape.max_tokens }),
            false => Ok(()),
        }
    }

    fn logits(&self, x: &Tensor) -> Result<Vec<Vec<f32>>> {
        let logits = self.parts.head.forward(&self.parts.norm.forward(x)?)?;
        Ok(logits.to_dtype(DType::F32)?.to_vec2()?)
    }

    /// States (B·T, D) of `tokens` tokens of each sequence, before the last norm.
    fn forward(&self, mut x: Tensor, caches: &mut [&mut SequenceCache], tokens: usize) -> Result<Tensor> {
        let positions: Vec<u32> =
            caches.iter().flat_map(|cache| (cache.len..cache.len + tokens).map(|at| at as u32)).collect();
        let positions = Tensor::from_vec(positions, (1, caches.len() * tokens), &self.parts.device)?;
        let angles = self.rotary.angles(&positions)?;
        let bias = |cache: &&mut SequenceCache| match tokens {
            1 => Ok(None),
            _ => causal_bias(tokens, cache.len + tokens, &self.parts.device).map(Some),
        };
        let biases = caches.iter().map(bias).collect::<TensorResult<Vec<_>>>()?;
        let rows = Rows { activation: self.shape.activation, are_sequence: caches.len() == 1 };
        for (n, layer) in self.parts.layers.iter().enumerate() {
            let map = |maps: &[RowLinear], x: &Tensor| map_all(maps, x, caches.len() == 1);
            let projected = map(&layer.projections, &layer.attention_norm.forward(&x)?)?;
            let mut of_layer: Vec<&mut KvCache> = caches.iter_mut().map(|cache| &mut cache.layers[n]).collect();
            let mixed = self.attend(&projected, &angles, &mut of_layer, &biases)?;
            x = (x + map_all(std::slice::from_ref(&layer.output), &mixed, caches.len() == 1)?)?;
            let normed = layer.mlp_norm.forward(&x)?;
            x = (x + layer.feed_forward.forward(&normed, rows)?)?;
        }
        caches.iter_mut().for_each(|cache| cache.len += tokens);
        Ok(x)
    }

    /// Queries, keys and values side by side (B·T, (H + 2K)·W) to mixed values (B·T, H·W). Sequences meet only their
    /// own keys.
    fn attend(
        &self,
        projected: &Tensor,
        angles: &Angles,
        caches: &mut [&mut KvCache],
        biases: &[Option<Tensor>],
    ) -> TensorResult<Tensor> {
        let Shape { heads, kv_heads, head_dim, .. } = self.shape;
        let all = projected.dim(0)?;
        let tokens = all / caches.len().max(1);
        let part = |from: usize, heads: usize| {
            let part = projected.narrow(1, from * head_dim, heads * head_dim)?;
            part.reshape((1, all, heads, head_dim))?.transpose(1, 2) // (1, heads, B·T, W)
        };
        let q = angles.forward(&part(0, heads)?)?;
        let k = angles.forward(&part(heads, kv_heads)?)?;
        let v = part(heads + kv_heads, kv_heads)?;
        let mut mixed = Vec::with_capacity(caches.len());
        for (n, (cache, bias)) in caches.iter_mut().zip(biases).enumerate() {
            let own = |x: &Tensor| x.narrow(2, n * tokens, tokens);
            let (keys, values) = cache.append(&own(&k)?, &own(&v)?)?;
            let attention = Attention { bias: bias.as_ref(), dropout: None, mode: Mode::Infer };
            let out = attention.forward(&own(&q)?, &keys, &values)?.i(0)?; // (H, T, W)
            mixed.push(out.transpose(0, 1)?.reshape((tokens, heads * head_dim))?);
        }
        Tensor::cat(&mixed, 0)
    }
}

/// The outputs of maps side by side. Tokens of one sequence may be mapped together in another way than one of each.
pub(super) fn map_all(maps: &[RowLinear], x: &Tensor, is_sequence: bool) -> TensorResult<Tensor> {
    let map = |map: &RowLinear| match is_sequence {
        true => map.forward_sequence(x),
        false => map.forward(x),
    };
    match maps {
        [only] => map(only),
        maps => Tensor::cat(&maps.iter().map(map).collect::<TensorResult<Vec<_>>>()?, D::Minus1),
    }
}

fn load_layer(vb: &VarBuilder<'_>, config: &LanguageConfig) -> TensorResult<Layer> {
    let (dim, bias, attention) = (config.hidden_size, config.attention_bias, vb.pp("self_attn"));
    let [of_queries, of_keys] =
        [config.num_attention_heads, config.num_key_value_heads].map(|heads| heads * config.head_dim);
    let linear = |vb: VarBuilder<'_>, inputs, outputs, bias| Linear::load_with(&vb, inputs, outputs, bias, 0.02);
    let query = linear(attention.pp("q_proj"), dim, of_queries, bias.query)?;
    let key = linear(attention.pp("k_proj"), dim, of_keys, bias.key)?;
    let value = linear(attention.pp("v_proj"), dim, of_keys, bias.value)?;
    let norm = |name: &str| RmsNorm::load(&vb.pp(name), dim, config.rms_norm_eps);
    Ok(Layer {
        attention_norm: norm("input_layernorm")?,
        projections: vec![RowLinear::concat(&[&query, &key, &value])?],
        output: RowLinear::new(linear(attention.pp("o_proj"), of_queries, dim, bias.output)?)?,
        mlp_norm: norm("post_attention_layernorm")?,
        feed_forward: FeedForward::load(vb, config)?,
    })
}
