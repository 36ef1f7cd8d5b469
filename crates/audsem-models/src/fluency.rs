//! Faults of language in captions: the error detector of FENSE (Zhou et al., 2022), a BERT with one score for each kind of fault.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use candle_core::{DType, Device};

use crate::bert::{self, Bert};
use crate::error::Result;
use crate::nn::text::{FusedTextModel, Pooling};
use crate::nn::{Linear, RowLinear};
use crate::tokenizer::Tokenizer;

/// Kinds of faults: a tail that is added, events and adverbs that are repeated, conjunctions and verbs that are missing, and any
/// fault at all, which stands last.
const KINDS: usize = 6;

/// The most tokens of a caption that are looked at, special ones included.
const MAX_TOKENS: usize = 64;

/// An error detector with its tokenizer.
#[derive(Debug, Clone)]
pub struct FluencyChecker {
    tokenizer: Tokenizer,
    encoder: FusedTextModel,
    classifier: RowLinear,
}

impl FluencyChecker {
    /// Opens a folder with the configuration and the vocabulary of the BERT that the detector was made from, and its weights
    /// under their published names: `encoder.*` and `clf.*`.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, or tensors are missing, unused or of another shape.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: bert::Config = dir.json("config.json")?;
        let weights = Weights::open(dir, device, dtype)?;
        let vb = weights.var_builder();
        let encoder = Bert::load(vb.pp("encoder"), &config)?;
        let classifier = Linear::load(&vb.pp("clf"), config.hidden_size, KINDS, config.initializer_range)?;
        weights.finish(|name| name == "encoder.embeddings.position_ids" || name.starts_with("encoder.pooler."))?;
        Ok(Self {
            tokenizer: Tokenizer::load(dir, config.max_position_embeddings, Some(MAX_TOKENS))?,
            encoder: encoder.into_inference()?,
            classifier: RowLinear::new(classifier)?,
        })
    }

    /// How likely each text has a fault of any kind. Case and what is neither word nor white space do not count.
    ///
    /// # Errors
    /// The tokenizer refuses a text, memory, device.
    pub fn error_probabilities(&self, texts: &[&str]) -> Result<Vec<f32>> {
        let ids = texts.iter().map(|text| self.tokenizer.ids(&bare(text))).collect::<Result<Vec<_>>>()?;
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let first = self.encoder.pooled(&ids, Pooling::First)?; // (B, D)
        let scores = self.classifier.forward(&first)?.to_dtype(DType::F32)?.to_vec2::<f32>()?; // (B, 6)
        Ok(scores.iter().filter_map(|row| row.last()).map(|score| 1.0 / (1.0 + (-score).exp())).collect())
    }
}

/// A text as the detector was trained with it.
fn bare(text: &str) -> String {
    text.chars().filter(|c| is_kept(*c)).collect::<String>().to_lowercase()
}

/// Whether Python's `[\w\s]` matches. Letters and numbers of `is_alphanumeric` are a few marks more than those of Python.
fn is_kept(c: char) -> bool {
    c == '_' || c.is_alphanumeric() || c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_is_not_looked_at() {
        assert_eq!(bare("A dog's bark, twice_over!\n3.5 é"), "a dogs bark twice_over\n35 é");
    }
}
