//! BLEU of a corpus (Papineni et al., 2002) as sacrebleu computes it by default: runs of up to four tokens, smoothing `exp`, no
//! lower-casing.
//!
//! ```
//! use audsem_metrics::bleu::{BleuCounts, BleuTokenizer};
//!
//! let counts = BleuCounts::of("the cat is on the mat", &["there is a cat on the mat"], BleuTokenizer::V13a);
//! assert!((counts.score() - 29.05925408079185).abs() < 1e-9);
//! ```

mod tokenize;

use std::collections::HashMap;

pub use tokenize::BleuTokenizer;

use crate::normalise::python_text::{is_space, split};
use crate::sentence_piece::SentencePieceModel;

/// The longest run of tokens that is compared.
const MAX_N: usize = 4;

/// What BLEU is made of. Counts of pairs add up to those of their corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BleuCounts {
    /// Runs of one to four tokens that a reference has at least as often.
    pub matches: [u64; MAX_N],
    /// Runs of one to four tokens.
    pub totals: [u64; MAX_N],
    /// Tokens of the predictions.
    pub prediction_tokens: u64,
    /// Tokens of the references of the nearest length.
    pub reference_tokens: u64,
}

impl BleuCounts {
    /// Counts for one prediction and its references.
    #[must_use]
    pub fn of<S: AsRef<str>>(prediction: &str, references: &[S], tokenizer: BleuTokenizer) -> Self {
        Self::of_tokens(prediction, references, |text| tokenizer.tokens(text))
    }

    /// As [`BleuCounts::of`] with the pieces of a model as tokens, such as those that sacrebleu calls `flores101`.
    #[must_use]
    pub fn of_pieces<S: AsRef<str>>(prediction: &str, references: &[S], model: &SentencePieceModel) -> Self {
        // Pieces may hold white space where the model leaves it, and tokens have none.
        Self::of_tokens(prediction, references, |text| {
            let pieces = model.pieces(text.trim_end_matches(is_space));
            pieces.iter().flat_map(|piece| split(piece)).map(str::to_owned).collect()
        })
    }

    fn of_tokens<S: AsRef<str>>(prediction: &str, references: &[S], tokens: impl Fn(&str) -> Vec<String>) -> Self {
        let prediction = tokens(prediction);
        let references: Vec<Vec<String>> = references.iter().map(|reference| tokens(reference.as_ref())).collect();
        let lengths = references.iter().map(Vec::len);
        // Of two references as near, the shorter.
        let nearest = lengths.min_by_key(|length| (length.abs_diff(prediction.len()), *length)).unwrap_or(0);
        let mut counts =
            Self { prediction_tokens: prediction.len() as u64, reference_tokens: nearest as u64, ..Self::default() };
        for n in 1..=MAX_N {
            let known: Vec<_> = references.iter().map(|reference| n_grams(reference, n)).collect();
            for (run, count) in n_grams(&prediction, n) {
                let most = known.iter().filter_map(|counts| counts.get(run)).copied().max().unwrap_or(0);
                counts.matches[n - 1] += count.min(most);
                counts.totals[n - 1] += count;
            }
        }
        counts
    }

    /// Adds the counts of another pair.
    pub fn add(&mut self, other: &Self) {
        for n in 0..MAX_N {
            self.matches[n] += other.matches[n];
            self.totals[n] += other.totals[n];
        }
        self.prediction_tokens += other.prediction_tokens;
        self.reference_tokens += other.reference_tokens;
    }

    /// BLEU, from 0 to 100. A precision without a match counts half of the smallest possible, the next one a quarter, and so on;
    /// a corpus without a run of four tokens has none, and a corpus without a match has 0.
    #[must_use]
    pub fn score(&self) -> f64 {
        if self.matches.iter().all(|matches| *matches == 0) || self.totals.contains(&0) {
            return 0.0;
        }
        let mut smooth = 1.0;
        let mut logs = 0.0;
        for (matches, total) in self.matches.into_iter().zip(self.totals) {
            let precision = if matches == 0 {
                smooth *= 2.0;
                100.0 / (smooth * total as f64)
            } else {
                100.0 * matches as f64 / total as f64
            };
            logs += precision.ln();
        }
        self.brevity_penalty() * (logs / MAX_N as f64).exp()
    }

    /// The factor for predictions that are shorter than their references.
    #[must_use]
    pub fn brevity_penalty(&self) -> f64 {
        let (own, reference) = (self.prediction_tokens as f64, self.reference_tokens as f64);
        match own {
            own if own >= reference => 1.0,
            0.0 => 0.0,
            own => (1.0 - reference / own).exp(),
        }
    }
}

/// How often each run of `n` tokens occurs.
fn n_grams(tokens: &[String], n: usize) -> HashMap<&[String], u64> {
    let mut counts = HashMap::new();
    tokens.windows(n).for_each(|run| *counts.entry(run).or_insert(0) += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_pairs_are_those_of_the_corpus() {
        let pairs = [("a b c d e", "a b c d f"), ("g", "g h")];
        let mut sum = BleuCounts::default();
        for (prediction, reference) in pairs {
            sum.add(&BleuCounts::of(prediction, &[reference], BleuTokenizer::None));
        }
        assert_eq!((sum.matches, sum.totals), ([5, 3, 2, 1], [6, 4, 3, 2]));
        assert_eq!((sum.prediction_tokens, sum.reference_tokens), (6, 7));
        assert!(sum.score() > 0.0 && sum.score() < 100.0);
        assert_eq!(BleuCounts::default().score(), 0.0);
    }

    #[test]
    fn the_nearest_of_several_references_has_the_length() {
        let counts = BleuCounts::of("a b c", &["a b", "a b c d", "x"], BleuTokenizer::None);
        assert_eq!((counts.reference_tokens, counts.matches), (2, [3, 2, 1, 0]));
    }
}
