//! BLEU-1 to BLEU-4 of many captions as the COCO caption tools compute it.

use serde::{Deserialize, Serialize};

use super::{matches, nearest_length};

/// The longest run of words that is compared.
const MAX_N: usize = 4;

/// What the tools add above and below fractions, so that none is undefined.
const TINY: f64 = 1e-15;
const SMALL: f64 = 1e-9;

/// What BLEU is computed from; sums over captions are the counts of a corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CocoBleu {
    /// Runs of 1 to 4 words that a reference has too.
    pub correct: [u64; MAX_N],
    /// All runs of 1 to 4 words.
    pub guessed: [u64; MAX_N],
    /// Words of captions.
    pub length: u64,
    /// Words of the references of the nearest lengths.
    pub reference_length: u64,
}

impl CocoBleu {
    /// The counts of one caption.
    #[must_use]
    pub fn of(given: &[String], references: &[Vec<String>]) -> Self {
        let length = given.len();
        Self {
            correct: std::array::from_fn(|n| matches(given, references, n + 1) as u64),
            guessed: std::array::from_fn(|n| length.saturating_sub(n) as u64),
            length: length as u64,
            reference_length: nearest_length(length, references) as u64,
        }
    }

    /// BLEU-1 to BLEU-4, from 0 to 1.
    #[must_use]
    pub fn scores(&self) -> [f64; MAX_N] {
        let ratio = (self.length as f64 + TINY) / (self.reference_length as f64 + SMALL);
        let brevity = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        let mut product = 1.0;
        std::array::from_fn(|n| {
            product *= (self.correct[n] as f64 + TINY) / (self.guessed[n] as f64 + SMALL);
            product.powf(1.0 / (n + 1) as f64) * brevity
        })
    }

    /// Adds the counts of other captions.
    pub fn add(&mut self, other: &Self) {
        for n in 0..MAX_N {
            self.correct[n] += other.correct[n];
            self.guessed[n] += other.guessed[n];
        }
        self.length += other.length;
        self.reference_length += other.reference_length;
    }
}
