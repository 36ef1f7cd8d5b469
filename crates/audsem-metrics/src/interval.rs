//! How sure a score is: intervals, and tests of the difference between two models.
//!
//! Items that are about the same sound are no independent witnesses, so the bootstrap draws whole groups of them.
//!
//! ```
//! use audsem_metrics::interval::{mcnemar_exact, wilson};
//!
//! let interval = wilson(667, 1000);
//! assert!((interval.low - 0.637).abs() < 1e-3 && (interval.high - 0.696).abs() < 1e-3);
//! assert!((mcnemar_exact(1, 7) - 0.0703125).abs() < 1e-12);
//! ```

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The quantile of the normal distribution that belongs to 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// A range that holds the true value of 95 of 100 scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The interval of a share of `n` (Wilson, 1927); 0 to 1 where there is nothing to count.
#[must_use]
pub fn wilson(successes: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let n = n as f64;
    let share = successes as f64 / n;
    let scale = 1.0 / (1.0 + Z * Z / n);
    let middle = scale * (share + Z * Z / (2.0 * n));
    let half = scale * Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval { low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
}

/// What a bootstrap draws: how often, and by which random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resampling {
    /// Number of draws.
    pub draws: u32,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { draws: 2_000, seed: 0 }
    }
}

/// The percentile interval of a statistic (Efron, 1979): `groups` are drawn with replacement, as many as there are, and
/// `statistic` gets their numbers. None where there are fewer than two groups, or where no draw has a value.
pub fn bootstrap(
    groups: usize,
    resampling: Resampling,
    mut statistic: impl FnMut(&[usize]) -> Option<f64>,
) -> Option<Interval> {
    if groups < 2 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(resampling.seed);
    let mut drawn = vec![0; groups];
    let mut values: Vec<f64> = (0..resampling.draws)
        .filter_map(|_| {
            drawn.fill_with(|| rng.random_range(0..groups));
            statistic(&drawn)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&values, 0.025)?, high: quantile(&values, 0.975)? })
}

/// The sums of a group whose score is a ratio of them: right answers and items, errors and words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RatioSums {
    /// Sum above the line.
    pub numerator: f64,
    /// Sum below the line.
    pub denominator: f64,
}

impl RatioSums {
    /// The ratio of sums over the groups with these numbers; none where nothing stands below the line.
    #[must_use]
    pub fn ratio(all: &[Self], groups: impl IntoIterator<Item = usize>) -> Option<f64> {
        let mut sum = Self::default();
        for group in groups {
            sum.numerator += all[group].numerator;
            sum.denominator += all[group].denominator;
        }
        (sum.denominator > 0.0).then(|| sum.numerator / sum.denominator)
    }

    /// The interval of the ratio of sums over all groups.
    #[must_use]
    pub fn interval(all: &[Self], resampling: Resampling) -> Option<Interval> {
        bootstrap(all.len(), resampling, |drawn| Self::ratio(all, drawn.iter().copied()))
    }

    /// The interval of the difference between the ratios of two models on the same groups, the first less the second.
    ///
    /// # Panics
    /// The models have different numbers of groups.
    #[must_use]
    pub fn paired_difference(first: &[Self], second: &[Self], resampling: Resampling) -> Option<Interval> {
        assert_eq!(first.len(), second.len(), "both models answer the same groups");
        bootstrap(first.len(), resampling, |drawn| {
            let ratio = |all: &[Self]| Self::ratio(all, drawn.iter().copied());
            Some(ratio(first)? - ratio(second)?)
        })
    }
}

/// The value below which a share of sorted values lies, between two values in proportion, as NumPy has it by default.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * (sorted.len().checked_sub(1)? as f64);
    let (below, rest) = (place.floor() as usize, place.fract());
    let above = sorted[(below + 1).min(sorted.len() - 1)];
    Some(sorted[below] + rest * (above - sorted[below]))
}

/// The probability, under equal models, of a disagreement at least as uneven (McNemar's test, exact and two-sided): the items
/// that only the first, and only the second model has right.
#[must_use]
pub fn mcnemar_exact(only_first: u64, only_second: u64) -> f64 {
    let n = only_first + only_second;
    let fewer = only_first.min(only_second);
    let half = (0.5f64).ln() * n as f64;
    let (mut binomial, mut tail) = (0.0, 0.0);
    for k in 0..=fewer {
        // The logarithm of n over k, from that of n over k - 1.
        if k > 0 {
            binomial += ((n - k + 1) as f64).ln() - (k as f64).ln();
        }
        tail += (binomial + half).exp();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Values of SciPy: `binomtest` and its `proportion_ci(method="wilson")`.
    #[test]
    fn known_values() {
        for (successes, n, low, high) in [
            (0, 10, 0.0, 0.277_532_799_862_889_5),
            (5, 10, 0.236_593_090_512_564_2, 0.763_406_909_487_435_8),
            (10, 10, 0.722_467_200_137_110_5, 1.0),
        ] {
            let got = wilson(successes, n);
            assert!((got.low - low).abs() < 1e-12 && (got.high - high).abs() < 1e-12, "{got:?}");
        }
        assert_eq!(wilson(0, 0), Interval { low: 0.0, high: 1.0 });
        for (first, second, p) in [(0, 0, 1.0), (3, 3, 1.0), (0, 5, 0.0625), (10, 2, 0.038_574_218_75)] {
            assert!((mcnemar_exact(first, second) - p).abs() < 1e-12, "{first} {second}");
        }
        assert!(mcnemar_exact(400, 600) < 1e-9);
    }

    #[test]
    fn the_bootstrap_has_the_width_of_theory() {
        // 400 groups of one item, 60 % right: the deviation of the mean is 0.0245.
        let all: Vec<RatioSums> =
            (0..400).map(|n| RatioSums { numerator: f64::from(n % 5 < 3), denominator: 1.0 }).collect();
        let interval = RatioSums::interval(&all, Resampling::default()).unwrap();
        assert!((interval.low - 0.552).abs() < 0.006 && (interval.high - 0.648).abs() < 0.006, "{interval:?}");
        assert_eq!(RatioSums::interval(&all, Resampling::default()), Some(interval), "seeded");
        // The same items in 80 groups of five that agree: the deviation is that of 80 witnesses.
        let sure: Vec<RatioSums> =
            (0..80).map(|n| RatioSums { numerator: 5.0 * f64::from(n % 5 < 3), denominator: 5.0 }).collect();
        let wide = RatioSums::interval(&sure, Resampling::default()).unwrap();
        assert!(wide.high - wide.low > 2.0 * (interval.high - interval.low), "{wide:?}");
        assert_eq!(RatioSums::interval(&all[..1], Resampling::default()), None);
    }

    #[test]
    fn models_on_the_same_items_are_compared_item_by_item() {
        // The second is right wherever the first is, and on a tenth of the items more.
        let of = |right: &dyn Fn(u32) -> bool| -> Vec<RatioSums> {
            (0..300).map(|n| RatioSums { numerator: f64::from(right(n)), denominator: 1.0 }).collect()
        };
        let (first, second) = (of(&|n| n % 10 < 5), of(&|n| n % 10 < 6));
        let interval = RatioSums::paired_difference(&first, &second, Resampling::default()).unwrap();
        assert!(interval.low > -0.14 && interval.high < -0.06, "{interval:?}");
    }
}
