//! A classifier with its tokenizer: texts in, probabilities out.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::bert::{BertClassifier, BertClassifierInference, Config, IGNORABLE};
use audsem_models::nn::softmax;
use audsem_models::tokenizer::{Encoded, Tokenizer};
use audsem_models::{Error as NetworkError, Result as NetworkResult};
use candle_core::{DType, Device};

use super::classes::sound_class;
use crate::error::Result as StageResult;

/// Batches between two reports of progress.
const BATCHES_PER_REPORT: usize = 16;

/// A text without brackets of any kind, wherever they stand; nothing else is changed.
#[must_use]
pub(super) fn without_brackets(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '[' | ']' | '{' | '}' | '(' | ')')).collect()
}

/// What the classifier says of one text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoundScore {
    /// The probability that it names a sound.
    pub probability: f32,
    /// Whether its end was cut off to keep to the limit of tokens.
    pub truncated: bool,
}

/// Why the classifier says nothing of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unscored {
    /// It is too long for the tokenizer ([`NetworkError::TextBytes`]).
    TooLong,
    /// It has no token, not even a special one.
    NoTokens,
}

/// How a classifier is opened.
#[derive(Debug, Clone)]
pub struct ScorerOptions {
    /// Number type of its weights.
    pub dtype: DType,
    /// Texts are truncated to this many tokens, special ones included; `None` is the model's own limit.
    pub max_tokens: Option<usize>,
    /// Texts in one forward pass.
    pub batch_size: usize,
    /// Name of the class that means *names a sound*; `None` to infer it from the names.
    pub sound_label: Option<String>,
}

/// Scores texts with a BERT classifier.
#[derive(Debug)]
pub struct Scorer {
    model: BertClassifierInference,
    encoder: Tokenizer,
    batch_size: usize,
    /// The class that means *names a sound*.
    sound: usize,
}

/// A part of the texts that are scored.
#[derive(Debug, Clone, Copy)]
pub struct Processed {
    /// Number of texts.
    pub texts: usize,
    /// Number of their tokens.
    pub tokens: usize,
}

impl Scorer {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// It is not a BERT model, the names of its classes are unclear, its weights do not fit, or it has no tokenizer.
    pub fn open(dir: &ModelDir, device: &Device, options: &ScorerOptions) -> StageResult<Self> {
        let config: Config = dir.json("config.json")?;
        let sound = sound_class(&config, options.sound_label.as_deref())?;
        let weights = Weights::open(dir, device, options.dtype)?;
        let model = BertClassifier::load(weights.var_builder(), &config)?;
        weights.finish(|name| IGNORABLE.iter().any(|part| name.contains(part)))?;
        let encoder = Tokenizer::load(dir, config.max_position_embeddings, options.max_tokens)?;
        Ok(Self::new(model, encoder, options.batch_size, sound)?)
    }

    pub(super) fn new(
        model: BertClassifier,
        encoder: Tokenizer,
        batch_size: usize,
        sound: usize,
    ) -> NetworkResult<Self> {
        let model = model.into_inference()?.with_batch_size(batch_size);
        Ok(Self { model, encoder, batch_size: batch_size.max(1), sound })
    }

    /// The probability that each text names a sound. `progress` is called from time to time with what has been processed since.
    /// Tokens beyond [`Scorer::max_tokens`] are not seen.
    ///
    /// # Errors
    /// The tokenizer refuses a text; memory; device.
    pub fn score(
        &self,
        texts: &[&str],
        mut progress: impl FnMut(Processed),
    ) -> NetworkResult<Vec<Result<SoundScore, Unscored>>> {
        let rows: NetworkResult<Vec<Result<Encoded, Unscored>>> = texts.iter().map(|text| self.encode(text)).collect();
        let rows = rows?;
        let known: Vec<&Encoded> = rows.iter().flatten().collect();
        let mut scores = Vec::with_capacity(known.len());
        for part in known.chunks(self.batch_size * BATCHES_PER_REPORT) {
            for (row, probability) in part.iter().zip(self.probabilities(part)?) {
                scores.push(SoundScore { probability, truncated: row.truncated });
            }
            progress(Processed { texts: part.len(), tokens: part.iter().map(|row| row.ids.len()).sum() });
        }
        let mut scores = scores.into_iter();
        let mut next = || scores.next().expect("each known text has a score");
        Ok(rows.into_iter().map(|row| row.map(|_| next())).collect())
    }

    fn encode(&self, text: &str) -> NetworkResult<Result<Encoded, Unscored>> {
        match self.encoder.encode(&without_brackets(text)) {
            Err(NetworkError::TextBytes { .. }) => Ok(Err(Unscored::TooLong)),
            Ok(encoded) if encoded.ids.is_empty() => Ok(Err(Unscored::NoTokens)),
            encoded => encoded.map(Ok),
        }
    }

    fn probabilities(&self, rows: &[&Encoded]) -> NetworkResult<Vec<f32>> {
        let ids: Vec<&[u32]> = rows.iter().map(|row| row.ids.as_slice()).collect();
        let sound = softmax(&self.model.logits(&ids)?)?.narrow(1, self.sound, 1)?; // (B, 1)
        Ok(sound.flatten_all()?.to_vec1::<f32>()?)
    }

    /// Most tokens of a text that are seen, special ones included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.encoder.max_tokens()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_go_wherever_they_stand_and_nothing_else() {
        for (text, expected) in [
            ("[door slams]", "door slams"),
            ("(a) and {b} [c", "a and b c"),
            ("[ rain ]", " rain "),
            ("♪ no brackets ♪", "♪ no brackets ♪"),
            ("[]", ""),
        ] {
            assert_eq!(without_brackets(text), expected);
        }
    }
}
