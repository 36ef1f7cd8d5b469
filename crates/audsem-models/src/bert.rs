//! BERT: encoder, pooler and sequence classification head.
//!
//! Devlin et al., 2019; numbers agree with `BertModel` and `BertForSequenceClassification` of Hugging Face
//! transformers (`fixtures/regen/bert.py`). Padding, pooling of sentence vectors and batching are left to the caller.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::encoder::EncoderConfig;
use crate::nn::text::{EmbeddingsConfig, FusedTextModel, Pooling, TextModel};
use crate::nn::{Activation, Dropout, InferencePooler, Linear, Mode, Pooler, RowLinear};

/// Tensors of checkpoints that this network computes itself or does not use.
pub const IGNORABLE: [&str; 2] = ["embeddings.position_ids", "cls."];

/// What `config.json` says; absent keys have the defaults of the transformers class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Name of the architecture family; must be `bert`.
    pub model_type: String,
    /// Classes this checkpoint was saved from.
    pub architectures: Option<Vec<String>>,
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Width D.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads H; D is a multiple of it.
    pub num_attention_heads: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Activation of the feed-forward block.
    pub hidden_act: String,
    /// Dropout after dense layers.
    pub hidden_dropout_prob: f64,
    /// Dropout of attention weights.
    pub attention_probs_dropout_prob: f64,
    /// Longest sequence.
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
    /// Dropout before the classifier; `hidden_dropout_prob` where absent.
    pub classifier_dropout: Option<f64>,
    /// Class names by number; two unnamed classes where absent.
    pub id2label: BTreeMap<u32, String>,
    /// Class numbers by name.
    pub label2id: BTreeMap<String, u32>,
    /// Decoder with a causal mask; must be false.
    pub is_decoder: bool,
}

impl Default for Config {
    fn default() -> Self {
        let label = |n: u32| format!("LABEL_{n}");
        Self {
            model_type: "bert".to_owned(),
            architectures: None,
            vocab_size: 30522,
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
            pad_token_id: 0,
            position_embedding_type: "absolute".to_owned(),
            classifier_dropout: None,
            id2label: (0..2).map(|n| (n, label(n))).collect(),
            label2id: (0..2).map(|n| (label(n), n)).collect(),
            is_decoder: false,
        }
    }
}

impl Config {
    /// Number of classes of the classification head.
    #[must_use]
    pub fn num_labels(&self) -> usize {
        self.id2label.len()
    }

    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<()> {
        let refuse = |key, value, supported| Err(Error::unsupported(key, value, supported));
        if self.model_type != "bert" {
            return refuse("model_type", &self.model_type, "bert");
        }
        if self.position_embedding_type != "absolute" {
            return refuse("position_embedding_type", &self.position_embedding_type, "absolute");
        }
        if self.is_decoder {
            return refuse("is_decoder", &self.is_decoder, "false");
        }
        self.embeddings().validate()?;
        self.encoder()?.validate()
    }

    fn embeddings(&self) -> EmbeddingsConfig {
        EmbeddingsConfig {
            vocab_size: self.vocab_size,
            positions: self.max_position_embeddings,
            first_position: 0,
            segments: self.type_vocab_size,
            pad_id: self.pad_token_id,
        }
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

/// The encoder with its embeddings.
#[derive(Debug, Clone)]
pub struct Bert {
    network: TextModel,
}

impl Bert {
    /// Loads the encoder; tensors may stand under `bert.` (task models) or at the root (plain encoders).
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or unreadable.
    pub fn load(vb: VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let plain = vb.contains_tensor("embeddings.word_embeddings.weight");
        let vb = if plain { vb } else { vb.pp("bert") };
        Ok(Self { network: TextModel::load(&vb, &config.embeddings(), &config.encoder()?)? })
    }

    /// Hidden states (B, T, D) of token ids (B, T). `mask` is 1 at tokens and 0 at padding (B, T); none means there is
    /// no padding. `segments` are token type ids (B, T), all 0 where absent.
    ///
    /// # Errors
    /// An id outside the table, more tokens than positions, memory, device.
    pub fn forward(
        &self,
        ids: &Tensor,
        mask: Option<&Tensor>,
        segments: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor> {
        self.network.forward(ids, mask, segments, mode)
    }

    /// The embedding output and the output of every layer, as `output_hidden_states` of transformers gives them.
    ///
    /// # Errors
    /// As [`Bert::forward`].
    pub fn hidden_states(&self, ids: &Tensor, mask: Option<&Tensor>, segments: Option<&Tensor>) -> Result<Vec<Tensor>> {
        self.network.hidden_states(ids, mask, segments)
    }

    /// Converts the model to its fastest form for this device.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub fn into_inference(self) -> Result<FusedTextModel> {
        self.network.into_inference()
    }
}

/// BERT with pooler and a linear head over classes.
#[derive(Debug, Clone)]
pub struct BertClassifier {
    bert: Bert,
    pooler: Pooler,
    classifier: Linear,
    dropout: Dropout,
}

impl BertClassifier {
    /// Loads `bert.*`, `bert.pooler.dense` and `classifier`.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or unreadable.
    pub fn load(vb: VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (dim, stdev) = (config.hidden_size, config.initializer_range);
        Ok(Self {
            bert: Bert::load(vb.clone(), config)?,
            pooler: Pooler::load(&vb.pp("bert.pooler"), dim, stdev)?,
            classifier: Linear::load(&vb.pp("classifier"), dim, config.num_labels(), stdev)?,
            dropout: Dropout::at(
                &vb.pp("classifier"),
                config.classifier_dropout.unwrap_or(config.hidden_dropout_prob),
            )?,
        })
    }

    /// The encoder.
    #[must_use]
    pub fn encoder(&self) -> &Bert {
        &self.bert
    }

    /// The pooled vector (B, D) of hidden states (B, T, D): tanh of a dense layer over the first token.
    ///
    /// # Errors
    /// Memory or device.
    pub fn pool(&self, hidden: &Tensor) -> Result<Tensor> {
        Ok(self.pooler.forward(hidden)?)
    }

    /// Logits (B, C), in f32, of token ids (B, T); `mask` as in [`Bert::forward`].
    ///
    /// # Errors
    /// As [`Bert::forward`].
    pub fn forward(&self, ids: &Tensor, mask: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let hidden = self.bert.forward(ids, mask, None, mode)?;
        let pooled = self.dropout.forward(&self.pool(&hidden)?, mode)?;
        Ok(self.classifier.forward_in(&pooled, mode)?.to_dtype(DType::F32)?)
    }
}

/// [`BertClassifier`] in its fastest form for the device.
#[derive(Debug, Clone)]
pub struct BertClassifierInference {
    encoder: FusedTextModel,
    pooler: InferencePooler,
    classifier: RowLinear,
}

impl BertClassifier {
    /// Turns it into its fastest form for this device.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub fn into_inference(self) -> Result<BertClassifierInference> {
        let Self { bert, pooler, classifier, dropout: _ } = self;
        Ok(BertClassifierInference {
            encoder: bert.into_inference()?,
            pooler: pooler.into_inference()?,
            classifier: RowLinear::new(classifier)?,
        })
    }
}

impl BertClassifierInference {
    /// As [`FusedTextModel::with_batch_size`].
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        Self { encoder: self.encoder.with_batch_size(batch_size), ..self }
    }

    /// Logits (B, C), in f32, of texts given as token ids; no text depends on the others.
    ///
    /// # Errors
    /// As [`FusedTextModel::pooled`].
    pub fn logits(&self, texts: &[&[u32]]) -> Result<Tensor> {
        let pooled = self.pooler.forward(&self.encoder.pooled(texts, Pooling::First)?)?; // (B, D)
        Ok(self.classifier.forward(&pooled)?.to_dtype(DType::F32)?)
    }
}
