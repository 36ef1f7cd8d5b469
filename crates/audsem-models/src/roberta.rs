//! RoBERTa: BERT's encoder with byte-level BPE tokens and positions that begin behind the padding id.
//!
//! Liu et al., 2019; numbers agree with `RobertaModel` and `ClapTextModel` of Hugging Face transformers.

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::encoder::EncoderConfig;
use crate::nn::text::{EmbeddingsConfig, FusedTextModel, Pooling, TextModel};
use crate::nn::{Activation, InferencePooler, Mode, Pooler};

/// Tensors that checkpoints carry and this network computes.
pub const IGNORABLE: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

/// What `config.json` says; absent keys have the defaults of `RobertaConfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Width D.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads; D is a multiple of it.
    pub num_attention_heads: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Activation of the feed-forward block.
    pub hidden_act: String,
    /// Dropout after dense layers.
    pub hidden_dropout_prob: f64,
    /// Dropout of attention weights.
    pub attention_probs_dropout_prob: f64,
    /// Rows of the position table; the first `pad_token_id + 1` are not used.
    pub max_position_embeddings: usize,
    /// Rows of the segment table.
    pub type_vocab_size: usize,
    /// Standard deviation of new weights.
    pub initializer_range: f64,
    /// Epsilon of layer normalisation.
    pub layer_norm_eps: f64,
    /// Id of the padding token.
    pub pad_token_id: u32,
    /// Kind of positions; must be `absolute`.
    pub position_embedding_type: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vocab_size: 50265,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".to_owned(),
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            initializer_range: 0.02,
            layer_norm_eps: 1e-12,
            pad_token_id: 1,
            position_embedding_type: "absolute".to_owned(),
        }
    }
}

impl Config {
    /// The defaults of `ClapTextConfig`, which are others.
    #[must_use]
    pub fn clap() -> Self {
        Self { max_position_embeddings: 514, type_vocab_size: 1, ..Self::default() }
    }

    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<()> {
        let refuse = |key, value, supported| Err(Error::unsupported(key, value, supported));
        if self.position_embedding_type != "absolute" {
            return refuse("position_embedding_type", &self.position_embedding_type, "absolute");
        }
        if self.max_position_embeddings <= self.pad_token_id as usize + 1 {
            return refuse("max_position_embeddings", &self.max_position_embeddings, "more than pad_token_id + 1");
        }
        self.embeddings().validate()?;
        self.encoder()?.validate()
    }

    fn embeddings(&self) -> EmbeddingsConfig {
        EmbeddingsConfig {
            vocab_size: self.vocab_size,
            positions: self.max_position_embeddings,
            first_position: self.pad_token_id as usize + 1,
            segments: self.type_vocab_size,
            pad_id: self.pad_token_id,
        }
    }

    /// Most tokens of a text, special ones included.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.embeddings().longest()
    }

    fn encoder(&self) -> Result<EncoderConfig> {
        Ok(EncoderConfig {
            layers: self.num_hidden_layers,
            dim: self.hidden_size,
            heads: self.num_attention_heads,
            intermediate: self.intermediate_size,
            activation: Activation::from_name("hidden_act", &self.hidden_act)?,
            layer_norm_eps: self.layer_norm_eps,
            dropout: self.hidden_dropout_prob,
            attention_dropout: self.attention_probs_dropout_prob,
            initializer_range: self.initializer_range,
        })
    }
}

/// The encoder with its embeddings and its pooler.
#[derive(Debug, Clone)]
pub struct Roberta {
    network: TextModel,
    pooler: Pooler,
}

impl Roberta {
    /// Loads `embeddings`, `encoder` and `pooler` below `vb`.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or unreadable.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let (dim, stdev) = (config.hidden_size, config.initializer_range);
        Ok(Self {
            network: TextModel::load(vb, &config.embeddings(), &config.encoder()?)?,
            pooler: Pooler::load(&vb.pp("pooler"), dim, stdev)?,
        })
    }

    /// Hidden states (B, T, D) of token ids (B, T). `mask` is 1 at tokens and 0 at padding (B, T), which stands at the
    /// end; none means there is no padding.
    ///
    /// # Errors
    /// An id outside the table, more tokens than positions, memory, device.
    pub fn forward(&self, ids: &Tensor, mask: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        self.network.forward(ids, mask, None, mode)
    }

    /// The embedding output and the output of every layer.
    ///
    /// # Errors
    /// As [`Roberta::forward`].
    pub fn hidden_states(&self, ids: &Tensor, mask: Option<&Tensor>) -> Result<Vec<Tensor>> {
        self.network.hidden_states(ids, mask, None)
    }

    /// The pooled vector (B, D) of hidden states (B, T, D): tanh of a dense layer over the first token.
    ///
    /// # Errors
    /// Memory or device.
    pub fn pool(&self, hidden: &Tensor) -> Result<Tensor> {
        Ok(self.pooler.forward(hidden)?)
    }

    /// Converts the model to its fastest form for this device.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub fn into_inference(self) -> Result<RobertaInference> {
        Ok(RobertaInference { network: self.network.into_inference()?, pooler: self.pooler.into_inference()? })
    }
}

/// [`Roberta`] in its fastest form for the device.
#[derive(Debug, Clone)]
pub struct RobertaInference {
    network: FusedTextModel,
    pooler: InferencePooler,
}

impl RobertaInference {
    /// As [`FusedTextModel::with_batch_size`].
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        Self { network: self.network.with_batch_size(batch_size), ..self }
    }

    /// The pooled vectors (B, D), in f32, of texts given as token ids; no text depends on the others.
    ///
    /// # Errors
    /// As [`FusedTextModel::pooled`].
    pub fn pooled(&self, texts: &[&[u32]]) -> Result<Tensor> {
        let first = self.network.pooled(texts, Pooling::First)?; // (B, D)
        Ok(self.pooler.forward(&first)?.to_dtype(DType::F32)?)
    }
}
