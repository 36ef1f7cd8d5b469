//! The loss of supervised fine-tuning: the mean negative log-probability of the tokens of the answers.

use audsem_models::train::TargetScores;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Exact;

/// What the loss is a mean over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LossNormalizer {
    /// All tokens of an update, on all ranks: every token counts alike
    #[default]
    Tokens,
    /// The tokens of each batch, then the batches: tokens of short answers count more
    MicroBatch,
}

impl LossNormalizer {
    /// The weight of one token's negative log-probability in the loss of an update: one over `tokens` of the whole
    /// update, or over those of a batch and the number of batches.
    #[must_use]
    pub fn weight(self, tokens: f64, batch_tokens: usize, batches: usize) -> f64 {
        match self {
            Self::Tokens => 1.0 / tokens.max(1.0),
            Self::MicroBatch => 1.0 / (batch_tokens.max(1) * batches.max(1)) as f64,
        }
    }
}

/// Sums over tokens of answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenSums {
    /// Sum of negative log-probabilities.
    loss: Exact,
    /// Tokens.
    pub tokens: u64,
    /// Tokens that are the likeliest.
    correct: u64,
}

impl TokenSums {
    /// The sums of some scores.
    #[must_use]
    pub fn of(scores: &[TargetScores]) -> Self {
        let mut sums = Self::default();
        for score in scores {
            sums.loss.0 -= score.log_probs.iter().map(|log_prob| f64::from(*log_prob)).sum::<f64>();
            sums.tokens += score.log_probs.len() as u64;
            sums.correct += score.correct.iter().filter(|correct| **correct).count() as u64;
        }
        sums
    }

    /// Adds other sums.
    pub fn add(&mut self, other: Self) {
        self.loss.0 += other.loss.0;
        self.tokens += other.tokens;
        self.correct += other.correct;
    }

    /// The sums as numbers that ranks can sum.
    #[must_use]
    pub fn to_array(self) -> [f64; 3] {
        [self.loss.0, self.tokens as f64, self.correct as f64]
    }

    /// The sums of [`TokenSums::to_array`]; counts are whole numbers that floats hold exactly.
    #[must_use]
    pub fn from_array([loss, tokens, correct]: [f64; 3]) -> Self {
        Self { loss: Exact(loss), tokens: tokens as u64, correct: correct as u64 }
    }

    /// Mean loss over the tokens.
    #[must_use]
    pub fn mean_loss(self) -> f64 {
        self.loss.0 / self.tokens.max(1) as f64
    }

    /// Share of tokens that are the likeliest.
    #[must_use]
    pub fn accuracy(self) -> f64 {
        self.correct as f64 / self.tokens.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_over_tokens() {
        let scores = [
            TargetScores { log_probs: vec![-1.0, -2.0], correct: vec![true, false] },
            TargetScores { log_probs: vec![-0.5], correct: vec![true] },
        ];
        let mut sums = TokenSums::of(&scores);
        assert_eq!((sums.mean_loss(), sums.tokens), (3.5 / 3.0, 3));
        assert!((sums.accuracy() - 2.0 / 3.0).abs() < 1e-12);
        sums.add(TokenSums::from_array(sums.to_array()));
        assert_eq!((sums.mean_loss(), sums.tokens), (3.5 / 3.0, 6));
    }

    #[test]
    fn weights_are_those_of_the_mean_that_is_asked_for() {
        assert_eq!(LossNormalizer::Tokens.weight(40.0, 10, 4), 1.0 / 40.0);
        assert_eq!(LossNormalizer::MicroBatch.weight(40.0, 5, 4), 1.0 / 20.0);
    }
}
