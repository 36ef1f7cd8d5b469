//! How values are distributed.

use serde::Serialize;

use crate::grpo::advantage::{deviation, mean};

/// Bars of a histogram.
const BARS: usize = 10;

/// A summary of values.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// How many values there are.
    pub n: usize,
    /// Their mean.
    pub mean: Option<f64>,
    /// Their standard deviation, divided by their number less one.
    pub std: f64,
    /// The least value.
    pub min: Option<f64>,
    /// The value below which a tenth lies.
    pub p10: Option<f64>,
    /// The value below which half lies.
    pub median: Option<f64>,
    /// The value below which nine tenths lie.
    pub p90: Option<f64>,
    /// The largest value.
    pub max: Option<f64>,
    /// How many values lie in each tenth of the range.
    pub histogram: Vec<u64>,
}

impl Distribution {
    /// The distribution of some values.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            n: sorted.len(),
            mean: mean(sorted.iter().copied()),
            std: deviation(sorted.iter().copied()),
            min: sorted.first().copied(),
            p10: quantile(&sorted, 0.1),
            median: quantile(&sorted, 0.5),
            p90: quantile(&sorted, 0.9),
            max: sorted.last().copied(),
            histogram: histogram(&sorted),
        }
    }

    /// The histogram as a line of bars.
    pub fn bars(&self) -> String {
        let most = self.histogram.iter().copied().max().unwrap_or(0).max(1);
        let bar = |count: &u64| match (count * 8).div_ceil(most) {
            0 => ' ',
            height => char::from_u32(0x2580 + u32::try_from(height).unwrap_or(8)).unwrap_or(' '),
        };
        self.histogram.iter().map(bar).collect()
    }
}

/// The value at a share of sorted values, between two of them where it falls there.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * (sorted.len().checked_sub(1)?) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a slice")]
    let (low, part) = (place.floor() as usize, place.fract());
    let high = sorted.get(low + 1).copied().unwrap_or(sorted[low]);
    Some(sorted[low] + part * (high - sorted[low]))
}

fn histogram(sorted: &[f64]) -> Vec<u64> {
    let (Some(low), Some(high)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let mut counts = vec![0; BARS];
    for value in sorted {
        let share = if high > low { (value - low) / (high - low) } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of ten bars")]
        let bar = (share * BARS as f64) as usize;
        counts[bar.min(BARS - 1)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_summarised() {
        let all = Distribution::of((0..=10).rev().map(f64::from));
        assert_eq!((all.n, all.mean, all.min, all.max), (11, Some(5.0), Some(0.0), Some(10.0)));
        assert_eq!((all.p10, all.median, all.p90), (Some(1.0), Some(5.0), Some(9.0)));
        assert!((all.std - 11f64.sqrt()).abs() < 1e-12);
        assert_eq!(all.histogram, [1, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
        assert_eq!(Distribution::of([0.0, 1.0].into_iter()).median, Some(0.5));
        let none = Distribution::of(std::iter::empty());
        assert_eq!((none.n, none.mean, none.bars().as_str()), (0, None, ""));
    }

    #[test]
    fn bars_are_as_high_as_their_counts() {
        let values = [0.0; 8].into_iter().chain([1.0]);
        assert_eq!(Distribution::of(values).bars(), "█        ▁");
    }
}
