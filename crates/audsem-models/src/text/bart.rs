//! BART: a transformer encoder and decoder with norms behind their parts and learned positions.
//!
//! Lewis et al., 2020; numbers agree with `BartForConditionalGeneration` of Hugging Face transformers. The encoder takes
//! embeddings, of text or of anything else.

use candle_core::{DType, IndexOp, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::{
    Activation, AttentionContext, BlockConfig, DecoderCache, Embedding, LayerNorm, Linear, Mode, ProjectionBias,
    TransformerBlock,
};
use crate::text::{TextDecoder, forward_layers};

/// Rows of the position tables that are not used.
const POSITION_OFFSET: usize = 2;

/// Epsilon of the norms.
const EPS: f64 = 1e-5;

/// Standard deviation of new weights.
const STDEV: f64 = 0.02;

/// Tensors that checkpoints carry beside the one table of tokens that they are equal to.
pub const TIED: [&str; 3] =
    ["model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"];

/// What `config.json` says; absent keys have the values of `facebook/bart-base`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Width D.
    pub d_model: usize,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Attention heads of the encoder; D is a multiple of it.
    pub encoder_attention_heads: usize,
    /// Attention heads of the decoder; D is a multiple of it.
    pub decoder_attention_heads: usize,
    /// Width of the encoder's feed-forward block.
    pub encoder_ffn_dim: usize,
    /// Width of the decoder's feed-forward block.
    pub decoder_ffn_dim: usize,
    /// Activation of the feed-forward blocks.
    pub activation_function: String,
    /// Whether embeddings are scaled by √D.
    pub scale_embedding: bool,
    /// Whether the token table is also the map to logits; must be true.
    pub tie_word_embeddings: bool,
    /// The token that the decoder starts with.
    pub decoder_start_token_id: u32,
    /// The token that begins a text.
    pub bos_token_id: u32,
    /// The token that ends a text.
    pub eos_token_id: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vocab_size: 50_265,
            max_position_embeddings: 1024,
            d_model: 768,
            encoder_layers: 6,
            decoder_layers: 6,
            encoder_attention_heads: 12,
            decoder_attention_heads: 12,
            encoder_ffn_dim: 3072,
            decoder_ffn_dim: 3072,
            activation_function: "gelu".to_owned(),
            scale_embedding: false,
            tie_word_embeddings: true,
            decoder_start_token_id: 2,
            bos_token_id: 0,
            eos_token_id: 2,
        }
    }
}

impl Config {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first that it does not support.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("d_model", self.d_model),
            ("encoder_ffn_dim", self.encoder_ffn_dim),
            ("decoder_ffn_dim", self.decoder_ffn_dim),
        ])?;
        for (key, heads) in [
            ("encoder_attention_heads", self.encoder_attention_heads),
            ("decoder_attention_heads", self.decoder_attention_heads),
        ] {
            if heads == 0 || !self.d_model.is_multiple_of(heads) {
                return Err(Error::unsupported(key, &heads, "a divisor of d_model"));
            }
        }
        if !self.tie_word_embeddings {
            return Err(Error::unsupported("tie_word_embeddings", &false, "true"));
        }
        Activation::from_name("activation_function", &self.activation_function).map(|_| ())
    }

    fn block(&self, cross: bool) -> Result<BlockConfig> {
        let (heads, intermediate) = match cross {
            true => (self.decoder_attention_heads, self.decoder_ffn_dim),
            false => (self.encoder_attention_heads, self.encoder_ffn_dim),
        };
        Ok(BlockConfig {
            dim: self.d_model,
            heads,
            intermediate,
            activation: Activation::from_name("activation_function", &self.activation_function)?,
            layer_norm_eps: EPS,
            norm_first: false,
            attention_bias: ProjectionBias::ALL,
            cross,
            dropout: 0.0,
            attention_dropout: 0.0,
            activation_dropout: 0.0,
            initializer_range: STDEV,
        })
    }

    fn scale(&self) -> f64 {
        if self.scale_embedding { (self.d_model as f64).sqrt() } else { 1.0 }
    }
}

/// Positions, a norm, and layers: an encoder or a decoder.
#[derive(Debug, Clone)]
struct Stack {
    positions: Embedding,
    norm: LayerNorm,
    layers: Vec<TransformerBlock>,
    scale: f64,
    longest: usize,
}

impl Stack {
    fn load(vb: &VarBuilder<'_>, config: &Config, cross: bool) -> Result<Self> {
        let (dim, block, layers) = (config.d_model, config.block(cross)?, vb.pp("layers"));
        let n = if cross { config.decoder_layers } else { config.encoder_layers };
        let rows = config.max_position_embeddings + POSITION_OFFSET;
        Ok(Self {
            positions: Embedding::load(&vb.pp("embed_positions"), rows, dim, STDEV)?,
            norm: LayerNorm::load(&vb.pp("layernorm_embedding"), dim, EPS)?,
            layers: (0..n)
                .map(|n| TransformerBlock::load(&layers.pp(n), &block))
                .collect::<candle_core::Result<_>>()?,
            scale: config.scale(),
            longest: config.max_position_embeddings,
        })
    }

    /// Embeddings (B, T, D) of what follows `before` others, with their positions, normalised.
    fn embed(&self, x: &Tensor, before: usize) -> Result<Tensor> {
        let tokens = before + x.dim(1)?;
        if tokens > self.longest {
            return Err(Error::TextLength { tokens, longest: self.longest });
        }
        let positions = (before + POSITION_OFFSET) as u32..(tokens + POSITION_OFFSET) as u32;
        let positions = self.positions.forward(&Tensor::from_iter(positions, x.device())?)?; // (T, D)
        Ok(self.norm.forward(&(x * self.scale)?.broadcast_add(&positions)?)?)
    }
}

/// The network with its map to logits.
#[derive(Debug, Clone)]
pub struct Bart {
    encoder: Stack,
    decoder: Stack,
    tokens: Embedding,
    logits: Linear,
}

impl Bart {
    /// Loads all tensors, with the names of `BartForConditionalGeneration`.
    ///
    /// # Errors
    /// The configuration asks for something unsupported; a tensor is missing or of another shape; or one of [`TIED`]
    /// differs from the table of tokens.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let model = vb.pp("model");
        let tokens = Embedding::load(&model.pp("shared"), config.vocab_size, config.d_model, STDEV)?;
        for name in TIED.into_iter().filter(|name| vb.contains_tensor(name)) {
            let twin = vb.get((config.vocab_size, config.d_model), name)?;
            if twin.ne(tokens.table())?.to_dtype(DType::U32)?.sum_all()?.to_scalar::<u32>()? > 0 {
                return Err(Error::Untied { name: name.to_owned(), table: "model.shared.weight" });
            }
        }
        let bias = vb.get_with_hints((1, config.vocab_size), "final_logits_bias", Init::Const(0.0))?;
        Ok(Self {
            encoder: Stack::load(&model.pp("encoder"), config, false)?,
            decoder: Stack::load(&model.pp("decoder"), config, true)?,
            logits: Linear::from_tensors(tokens.table().clone(), Some(bias.i(0)?)),
            tokens,
        })
    }

    /// The encoder's states of embeddings (B, S, D): normalised with their positions, then behind every layer.
    ///
    /// # Errors
    /// More embeddings than positions, memory, device.
    pub fn encoder_states(&self, embeddings: &Tensor) -> Result<Vec<Tensor>> {
        let mut states = vec![self.encoder.embed(embeddings, 0)?];
        for layer in &self.encoder.layers {
            let x = layer.forward(&states[states.len() - 1], &AttentionContext::full(Mode::Infer), None, None)?;
            states.push(x);
        }
        Ok(states)
    }

    /// The encoder's last states (B, S, D) of embeddings (B, S, D).
    ///
    /// # Errors
    /// As [`Bart::encoder_states`].
    pub fn encode(&self, embeddings: &Tensor) -> Result<Tensor> {
        let mut x = self.encoder.embed(embeddings, 0)?;
        for layer in &self.encoder.layers {
            x = layer.forward(&x, &AttentionContext::full(Mode::Infer), None, None)?;
        }
        Ok(x)
    }
}

impl TextDecoder for Bart {
    fn cache(&self, batch: usize) -> DecoderCache {
        DecoderCache::new(self.decoder.layers.len(), batch)
    }

    fn decode(&self, ids: &Tensor, states: &Tensor, cache: &mut DecoderCache) -> Result<Tensor> {
        let x = self.decoder.embed(&self.tokens.forward(ids)?, cache.len())?;
        forward_layers(&self.decoder.layers, x, states, cache)
    }

    fn logits(&self, states: &Tensor) -> Result<Tensor> {
        Ok(self.logits.forward(states)?)
    }
}
