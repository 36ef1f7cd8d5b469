//! A classifier with its tokenizer: texts in, probabilities out.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::bert::{BertClassifier, BertClassifierInference, Config, IGNORABLE};
use audsem_models::nn::softmax;
use audsem_models::tokenizer::{Encoded, Tokenizer};
use audsem_models::{Error as NetworkError, Result as NetworkResult};
use candle_core::{DType, Device};

use crate::error::Result;

/// Batches between two reports of progress.
const BATCHES_PER_REPORT: usize = 16;

/// The class that means *names a sound*.
const SOUND: usize = 1;

/// A text without brackets of any kind, wherever they stand; nothing else is changed.
#[must_use]
pub(super) fn without_brackets(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '[' | ']' | '{' | '}' | '(' | ')')).collect()
}

/// What the classifier says of one text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The probability that it names a sound.
    pub probability: f32,
    /// Whether its end was cut off to keep to the limit of tokens.
    pub truncated: bool,
}

/// Scores texts with a two-class BERT.
#[derive(Debug)]
pub struct Scorer {
    model: BertClassifierInference,
    encoder: Tokenizer,
    batch_size: usize,
}

impl Scorer {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// It is no two-class BERT, its weights do not fit, or it has no tokenizer.
    pub fn open(
        dir: &ModelDir,
        device: &Device,
        dtype: DType,
        max_tokens: Option<usize>,
        batch_size: usize,
    ) -> Result<Self> {
        let config: Config = dir.json("config.json")?;
        two_classes(&config)?;
        let weights = Weights::open(dir, device, dtype)?;
        let model = BertClassifier::load(weights.var_builder(), &config)?;
        weights.finish(|name| IGNORABLE.iter().any(|part| name.contains(part)))?;
        let encoder = Tokenizer::load(dir, config.max_position_embeddings, max_tokens)?;
        Ok(Self::new(model, encoder, batch_size)?)
    }

    pub(super) fn new(model: BertClassifier, encoder: Tokenizer, batch_size: usize) -> NetworkResult<Self> {
        let model = model.into_inference()?.with_batch_size(batch_size);
        Ok(Self { model, encoder, batch_size: batch_size.max(1) })
    }

    /// The probability that each text names a sound. `progress` is told now and then how many tokens were done.
    /// Tokens beyond [`Scorer::max_tokens`] are not seen.
    ///
    /// # Errors
    /// The tokenizer refuses a text; memory; device.
    pub fn score(&self, texts: &[&str], mut progress: impl FnMut(usize)) -> NetworkResult<Vec<Score>> {
        let rows: NetworkResult<Vec<Encoded>> =
            texts.iter().map(|text| self.encoder.encode(&without_brackets(text))).collect();
        let rows = rows?;
        let mut scores = Vec::with_capacity(texts.len());
        for part in rows.chunks(self.batch_size * BATCHES_PER_REPORT) {
            let ids: Vec<&[u32]> = part.iter().map(|row| row.ids.as_slice()).collect();
            let sound = softmax(&self.model.logits(&ids)?)?.narrow(1, SOUND, 1)?; // (B, 1)
            let probabilities = sound.flatten_all()?.to_vec1::<f32>()?;
            let score = |(row, probability): (&Encoded, f32)| Score { probability, truncated: row.truncated };
            scores.extend(part.iter().zip(probabilities).map(score));
            progress(ids.iter().map(|row| row.len()).sum());
        }
        Ok(scores)
    }

    /// Most tokens of a text that are seen, special ones included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.encoder.max_tokens()
    }
}

/// Refuses checkpoints whose classes are not *other* and *sound*.
fn two_classes(config: &Config) -> NetworkResult<()> {
    if config.num_labels() == 2 {
        return Ok(());
    }
    Err(NetworkError::Unsupported {
        key: "id2label",
        value: format!("{} classes", config.num_labels()),
        supported: "two classes, of which number 1 names a sound".to_owned(),
    })
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
