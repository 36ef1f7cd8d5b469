//! Metrics of a classifier.

use serde::{Deserialize, Serialize};

/// Counts of verdicts against truth; *positive* means that a caption names a sound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Sounds found.
    pub true_positive: u64,
    /// Others taken for sounds.
    pub false_positive: u64,
    /// Sounds missed.
    pub false_negative: u64,
    /// Others recognised.
    pub true_negative: u64,
}

/// Metrics of a set of verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Share of right verdicts.
    pub accuracy: f64,
    /// Share of sounds among what was taken for sounds.
    pub precision: f64,
    /// Share of sounds that were found.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Mean negative log probability of the truth.
    pub loss: f64,
    /// The counts behind these.
    pub confusion: Confusion,
}

impl Metrics {
    /// Computes metrics from probabilities of *positive* and the truth. Ratios with a zero denominator are 0, as in scikit-learn.
    #[must_use]
    pub fn of(verdicts: impl IntoIterator<Item = (f32, bool)>) -> Self {
        let (mut c, mut loss, mut n) = (Confusion::default(), 0.0, 0u64);
        for (probability, truth) in verdicts {
            match (probability > 0.5, truth) {
                (true, true) => c.true_positive += 1,
                (true, false) => c.false_positive += 1,
                (false, true) => c.false_negative += 1,
                (false, false) => c.true_negative += 1,
            }
            let right = f64::from(if truth { probability } else { 1.0 - probability });
            loss -= right.max(1e-12).ln();
            n += 1;
        }
        Self::of_counts(c, if n == 0 { 0.0 } else { loss / n as f64 })
    }

    /// From counts and mean loss.
    #[must_use]
    pub fn of_counts(confusion: Confusion, loss: f64) -> Self {
        let ratio = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
        let Confusion { true_positive: found, false_positive: wrong, false_negative: missed, true_negative } =
            confusion;
        Self {
            accuracy: ratio(found + true_negative, found + wrong + missed + true_negative),
            precision: ratio(found, found + wrong),
            recall: ratio(found, found + missed),
            f1: ratio(2 * found, 2 * found + wrong + missed),
            loss,
            confusion,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_counts_give_known_ratios() {
        let verdicts = [(0.9, true), (0.8, true), (0.4, true), (0.7, false), (0.1, false), (0.5, false)];
        let metrics = Metrics::of(verdicts);
        assert_eq!(
            metrics.confusion,
            Confusion { true_positive: 2, false_positive: 1, false_negative: 1, true_negative: 2 }
        );
        for (got, expected) in [
            (metrics.accuracy, 4.0 / 6.0),
            (metrics.precision, 2.0 / 3.0),
            (metrics.recall, 2.0 / 3.0),
            (metrics.f1, 2.0 / 3.0),
        ] {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
    }

    #[test]
    fn empty_and_one_sided_sets_give_numbers() {
        for verdicts in [vec![], vec![(0.1, true)], vec![(0.9, false)], vec![(0.0, true)]] {
            let metrics = Metrics::of(verdicts);
            assert!(
                [metrics.accuracy, metrics.precision, metrics.recall, metrics.f1, metrics.loss]
                    .iter()
                    .all(|value| value.is_finite())
            );
        }
    }
}
