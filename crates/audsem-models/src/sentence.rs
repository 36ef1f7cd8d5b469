//! Vectors of sentences: BERT with the mean over tokens, as in all-MiniLM-L6-v2 and similar models.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use candle_core::{D, DType, Device, Tensor};

use crate::bert::{self, Bert};
use crate::error::Result;
use crate::nn::text::{FusedTextModel, Pooling};
use crate::tokenizer::Tokenizer;

/// Tensors of such checkpoints that are not used.
const IGNORABLE: [&str; 2] = ["pooler.", "cls."];

/// A sentence encoder with its tokenizer.
#[derive(Debug, Clone)]
pub struct SentenceEncoder {
    tokenizer: Tokenizer,
    network: FusedTextModel,
}

impl SentenceEncoder {
    /// Opens a checkpoint in the layout of the Hugging Face hub. Texts are truncated to the tokens the network
    /// takes, special ones included, or to `max_tokens` if that is less.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, or tensors are missing, unused or of another shape.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType, max_tokens: Option<usize>) -> Result<Self> {
        let config: bert::Config = dir.json("config.json")?;
        let weights = Weights::open(dir, device, dtype)?;
        let bert = Bert::load(weights.var_builder(), &config)?;
        let ignorable = |name: &str| {
            let name = name.strip_prefix("bert.").unwrap_or(name);
            name == "embeddings.position_ids" || IGNORABLE.iter().any(|known| name.starts_with(known))
        };
        weights.finish(ignorable)?;
        let tokenizer = Tokenizer::load(dir, config.max_position_embeddings, max_tokens)?;
        Ok(Self { tokenizer, network: bert.into_inference()? })
    }

    /// One vector (B, D), in f32, for each text: the mean of its hidden states, not normalised.
    ///
    /// # Errors
    /// The tokenizer refuses a text, memory, device.
    pub fn embed(&self, texts: &[&str]) -> Result<Tensor> {
        let ids = texts.iter().map(|text| self.tokenizer.ids(text)).collect::<Result<Vec<_>>>()?;
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        self.network.pooled(&ids, Pooling::Mean)
    }

    /// As [`SentenceEncoder::embed`], with vectors of length 1, so that a product of two is their cosine.
    ///
    /// # Errors
    /// As [`SentenceEncoder::embed`].
    pub fn embed_normalised(&self, texts: &[&str]) -> Result<Tensor> {
        let vectors = self.embed(texts)?;
        let norm = vectors.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        Ok(vectors.broadcast_div(&norm.maximum(1e-12)?)?)
    }
}
