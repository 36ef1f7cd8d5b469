//! GPT-2 as an encoder of texts: the state of each token, which has seen those before it.
//!
//! Radford et al., 2019; numbers agree with `GPT2Model` of Hugging Face transformers. For inference.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::{
    Activation, Attention, Embedding, LayerNorm, Linear, Mode, RowLinear, causal_bias, join_heads, split_heads,
};

/// Standard deviation of new weights.
const INITIALIZER_RANGE: f64 = 0.02;

/// What `config.json` says of the network; absent keys have the defaults of `GPT2Config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Rows of the position table: the most tokens of a text.
    pub n_positions: usize,
    /// Width D.
    pub n_embd: usize,
    /// Layers.
    pub n_layer: usize,
    /// Attention heads; D is a multiple of it.
    pub n_head: usize,
    /// Epsilon of layer normalisation.
    pub layer_norm_epsilon: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { vocab_size: 50257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12, layer_norm_epsilon: 1e-5 }
    }
}

impl Config {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("n_positions", self.n_positions),
            ("n_embd", self.n_embd),
            ("n_layer", self.n_layer),
        ])?;
        Error::check_eps("layer_norm_epsilon", self.layer_norm_epsilon)?;
        if self.n_head == 0 || !self.n_embd.is_multiple_of(self.n_head) {
            return Err(Error::unsupported("n_head", &self.n_head, "divisors of n_embd"));
        }
        Ok(())
    }
}

/// The network.
#[derive(Debug, Clone)]
pub struct Gpt2 {
    tokens: Embedding,
    positions: Embedding,
    layers: Vec<Layer>,
    norm: LayerNorm,
    config: Config,
}

impl Gpt2 {
    /// Loads the tensors of `GPT2Model` below `vb`. Weights have the shape (outputs, inputs), as all linear maps here have it;
    /// transformers stores those of GPT-2 the other way round.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or unreadable.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let table = |name: &str, rows| Embedding::load(&vb.pp(name), rows, config.n_embd, INITIALIZER_RANGE);
        let layers = vb.pp("h");
        Ok(Self {
            tokens: table("wte", config.vocab_size)?,
            positions: table("wpe", config.n_positions)?,
            layers: (0..config.n_layer).map(|n| Layer::load(&layers.pp(n), config)).collect::<Result<_>>()?,
            norm: LayerNorm::load(&vb.pp("ln_f"), config.n_embd, config.layer_norm_epsilon)?,
            config: config.clone(),
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// States (T, D) of the tokens of one text.
    ///
    /// # Errors
    /// There is no token, there are more than positions, or one is not in the vocabulary; memory, device.
    pub fn forward(&self, ids: &[u32]) -> Result<Tensor> {
        let Config { vocab_size, n_positions: longest, .. } = self.config;
        if ids.is_empty() || ids.len() > longest {
            return Err(Error::TextLength { tokens: ids.len(), longest });
        }
        if let Some(&id) = ids.iter().find(|id| **id as usize >= vocab_size) {
            return Err(Error::TokenId { id, vocab_size });
        }
        let device = self.tokens.table().device();
        let tokens = self.tokens.forward(&Tensor::new(ids, device)?)?;
        let mut x = (tokens + self.positions.table().narrow(0, 0, ids.len())?)?; // (T, D)
        let bias = causal_bias(ids.len(), ids.len(), device)?;
        for layer in &self.layers {
            x = layer.forward(&x, &bias)?;
        }
        Ok(self.norm.forward(&x)?)
    }
}

/// Attention and a feed-forward block, each after a norm and beside a residual path.
#[derive(Debug, Clone)]
struct Layer {
    attention_norm: LayerNorm,
    projections: RowLinear,
    output: RowLinear,
    feed_norm: LayerNorm,
    up: RowLinear,
    down: RowLinear,
    heads: usize,
}

impl Layer {
    fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let dim = config.n_embd;
        let norm = |name: &str| LayerNorm::load(&vb.pp(name), dim, config.layer_norm_epsilon);
        let map = |block: &str, name: &str, inputs, outputs| -> Result<RowLinear> {
            Ok(RowLinear::new(Linear::load(&vb.pp(block).pp(name), inputs, outputs, INITIALIZER_RANGE)?)?)
        };
        Ok(Self {
            attention_norm: norm("ln_1")?,
            projections: map("attn", "c_attn", dim, 3 * dim)?,
            output: map("attn", "c_proj", dim, dim)?,
            feed_norm: norm("ln_2")?,
            up: map("mlp", "c_fc", dim, 4 * dim)?,
            down: map("mlp", "c_proj", 4 * dim, dim)?,
            heads: config.n_head,
        })
    }

    /// Tokens (T, D) to tokens (T, D).
    fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let dim = x.dim(1)?;
        let projected = self.projections.forward(&self.attention_norm.forward(x)?)?.unsqueeze(0)?; // (1, T, 3 D)
        let [q, k, v] = [0, 1, 2].map(|part| {
            projected.narrow(2, part * dim, dim).and_then(|part| split_heads(&part.contiguous()?, self.heads))
        });
        let attention = Attention { bias: Some(bias), dropout: None, mode: Mode::Infer };
        let mixed = join_heads(&attention.forward(&q?.contiguous()?, &k?.contiguous()?, &v?.contiguous()?)?)?;
        let x = (x + self.output.forward(&mixed.squeeze(0)?.contiguous()?)?)?;
        let hidden = Activation::GeluTanh.forward(&self.up.forward(&self.feed_norm.forward(&x)?)?)?;
        Ok((&x + self.down.forward(&hidden)?)?)
    }
}
