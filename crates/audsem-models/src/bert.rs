//! BERT: encoder, pooler and sequence classification head.
//!
//! Devlin et al., 2019; numbers agree with `BertModel` and `BertForSequenceClassification` of Hugging Face
//! transformers (`fixtures/regen/bert.py`). Padding, pooling of sentence vectors and batching are left to the caller.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::{Activation, Embedding, LayerNorm, Linear, Pass, dropout, softmax};

/// Tensors that checkpoints carry and this network computes or has no use for.
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

    /// Names every setting this network does not have.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<()> {
        let refuse = |key, value: &dyn ToString, supported: &str| {
            Err(Error::Unsupported { key, value: value.to_string(), supported: supported.to_owned() })
        };
        if self.model_type != "bert" {
            return refuse("model_type", &self.model_type, "bert");
        }
        if self.position_embedding_type != "absolute" {
            return refuse("position_embedding_type", &self.position_embedding_type, "absolute");
        }
        if self.is_decoder {
            return refuse("is_decoder", &self.is_decoder, "false");
        }
        if self.num_attention_heads == 0 || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return refuse("num_attention_heads", &self.num_attention_heads, "a divisor of hidden_size");
        }
        Activation::from_name("hidden_act", &self.hidden_act).map(drop)
    }
}

#[derive(Debug, Clone)]
struct Embeddings {
    words: Embedding,
    positions: Embedding,
    segments: Embedding,
    norm: LayerNorm,
    dropout: f64,
}

impl Embeddings {
    fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (dim, stdev) = (config.hidden_size, config.initializer_range);
        let table = |name: &str, n| Embedding::load(&vb.pp(name), n, dim, stdev);
        Ok(Self {
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.max_position_embeddings)?,
            segments: table("token_type_embeddings", config.type_vocab_size)?,
            norm: LayerNorm::load(&vb.pp("LayerNorm"), dim, config.layer_norm_eps)?,
            dropout: config.hidden_dropout_prob,
        })
    }

    fn forward(&self, ids: &Tensor, segments: Option<&Tensor>, pass: &Pass) -> Result<Tensor> {
        let (_, t) = ids.dims2()?;
        let positions = self.positions.forward(&Tensor::arange(0, t as u32, ids.device())?)?; // (T, D)
        let segments = match segments {
            Some(segments) => self.segments.forward(segments)?, // (B, T, D)
            None => self.segments.forward(&Tensor::zeros((1, 1), DType::U32, ids.device())?)?, // (1, 1, D)
        };
        let x = self.words.forward(ids)?.broadcast_add(&segments)?.broadcast_add(&positions)?; // (B, T, D)
        Ok(dropout(&self.norm.forward(&x)?, self.dropout, pass)?)
    }
}

#[derive(Debug, Clone)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm: LayerNorm,
    n_heads: usize,
    dropout: f64,
    output_dropout: f64,
}

impl Attention {
    fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let dim = config.hidden_size;
        let linear = |name: &str| Linear::load(&vb.pp(name), dim, dim, config.initializer_range);
        Ok(Self {
            query: linear("self.query")?,
            key: linear("self.key")?,
            value: linear("self.value")?,
            output: linear("output.dense")?,
            norm: LayerNorm::load(&vb.pp("output.LayerNorm"), dim, config.layer_norm_eps)?,
            n_heads: config.num_attention_heads,
            dropout: config.attention_probs_dropout_prob,
            output_dropout: config.hidden_dropout_prob,
        })
    }

    /// (B, T, D) to (B, H, T, D/H).
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t, d) = x.dims3()?;
        Ok(x.reshape((b, t, self.n_heads, d / self.n_heads))?.transpose(1, 2)?.contiguous()?)
    }

    fn forward(&self, x: &Tensor, bias: Option<&Tensor>, pass: &Pass) -> Result<Tensor> {
        let (b, t, d) = x.dims3()?;
        let scale = 1.0 / ((d / self.n_heads) as f64).sqrt();
        let q = (self.split(&self.query.forward(x)?)? * scale)?;
        let k = self.split(&self.key.forward(x)?)?;
        let v = self.split(&self.value.forward(x)?)?;
        let mut scores = q.matmul(&k.t()?)?.to_dtype(DType::F32)?; // (B, H, T, T)
        if let Some(bias) = bias {
            scores = scores.broadcast_add(bias)?;
        }
        let weights = dropout(&softmax(&scores)?, self.dropout, pass)?.to_dtype(v.dtype())?;
        let mixed = weights.matmul(&v)?.transpose(1, 2)?.reshape((b, t, d))?; // (B, T, D)
        let y = dropout(&self.output.forward(&mixed)?, self.output_dropout, pass)?;
        Ok(self.norm.forward(&(y + x)?)?)
    }
}

#[derive(Debug, Clone)]
struct Layer {
    attention: Attention,
    up: Linear,
    activation: Activation,
    down: Linear,
    norm: LayerNorm,
    dropout: f64,
}

impl Layer {
    fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (dim, wide, stdev) = (config.hidden_size, config.intermediate_size, config.initializer_range);
        Ok(Self {
            attention: Attention::load(&vb.pp("attention"), config)?,
            up: Linear::load(&vb.pp("intermediate.dense"), dim, wide, stdev)?,
            activation: Activation::from_name("hidden_act", &config.hidden_act)?,
            down: Linear::load(&vb.pp("output.dense"), wide, dim, stdev)?,
            norm: LayerNorm::load(&vb.pp("output.LayerNorm"), dim, config.layer_norm_eps)?,
            dropout: config.hidden_dropout_prob,
        })
    }

    fn forward(&self, x: &Tensor, bias: Option<&Tensor>, pass: &Pass) -> Result<Tensor> {
        let x = self.attention.forward(x, bias, pass)?;
        let y = self.down.forward(&self.activation.forward(&self.up.forward(&x)?)?)?;
        Ok(self.norm.forward(&(dropout(&y, self.dropout, pass)? + x)?)?)
    }
}

/// The encoder with its embeddings.
#[derive(Debug, Clone)]
pub struct Bert {
    embeddings: Embeddings,
    layers: Vec<Layer>,
}

impl Bert {
    /// Loads the encoder; tensors may stand under `bert.` (task models) or at the root (plain encoders).
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor cannot be had.
    pub fn load(vb: VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let plain = vb.contains_tensor("embeddings.word_embeddings.weight");
        let vb = if plain { vb } else { vb.pp("bert") };
        let layers = vb.pp("encoder.layer");
        Ok(Self {
            embeddings: Embeddings::load(&vb.pp("embeddings"), config)?,
            layers: (0..config.num_hidden_layers).map(|n| Layer::load(&layers.pp(n), config)).collect::<Result<_>>()?,
        })
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
        pass: &Pass,
    ) -> Result<Tensor> {
        let bias = mask.map(mask_bias).transpose()?;
        let mut x = self.embeddings.forward(ids, segments, pass)?;
        for layer in &self.layers {
            x = layer.forward(&x, bias.as_ref(), pass)?;
        }
        Ok(x)
    }

    /// The embedding output and the output of every layer, as `output_hidden_states` of transformers gives them.
    ///
    /// # Errors
    /// As [`Bert::forward`].
    pub fn hidden_states(&self, ids: &Tensor, mask: Option<&Tensor>, segments: Option<&Tensor>) -> Result<Vec<Tensor>> {
        let (bias, pass) = (mask.map(mask_bias).transpose()?, Pass::infer());
        let mut states = vec![self.embeddings.forward(ids, segments, &pass)?];
        for layer in &self.layers {
            let x = layer.forward(&states[states.len() - 1], bias.as_ref(), &pass)?;
            states.push(x);
        }
        Ok(states)
    }
}

/// 0 at tokens, the most negative f32 at padding: (B, T) to (B, 1, 1, T). Its softmax weight is exactly 0.
fn mask_bias(mask: &Tensor) -> Result<Tensor> {
    let (b, t) = mask.dims2()?;
    let padding = (1.0 - mask.to_dtype(DType::F32)?)?;
    Ok((padding * f64::from(f32::MIN))?.reshape((b, 1, 1, t))?)
}

/// BERT with pooler and a linear head over classes.
#[derive(Debug, Clone)]
pub struct BertClassifier {
    bert: Bert,
    pooler: Linear,
    classifier: Linear,
    dropout: f64,
}

impl BertClassifier {
    /// Loads `bert.*`, `bert.pooler.dense` and `classifier`.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor cannot be had.
    pub fn load(vb: VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (dim, stdev) = (config.hidden_size, config.initializer_range);
        Ok(Self {
            bert: Bert::load(vb.clone(), config)?,
            pooler: Linear::load(&vb.pp("bert.pooler.dense"), dim, dim, stdev)?,
            classifier: Linear::load(&vb.pp("classifier"), dim, config.num_labels(), stdev)?,
            dropout: config.classifier_dropout.unwrap_or(config.hidden_dropout_prob),
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
        let first = hidden.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?; // (B, D)
        Ok(self.pooler.forward(&first)?.tanh()?)
    }

    /// Logits (B, C), in f32, of token ids (B, T); `mask` as in [`Bert::forward`].
    ///
    /// # Errors
    /// As [`Bert::forward`].
    pub fn forward(&self, ids: &Tensor, mask: Option<&Tensor>, pass: &Pass) -> Result<Tensor> {
        let hidden = self.bert.forward(ids, mask, None, pass)?;
        let pooled = dropout(&self.pool(&hidden)?, self.dropout, pass)?;
        Ok(self.classifier.forward(&pooled)?.to_dtype(DType::F32)?)
    }
}
