//! The mean direction of many vectors, from which a mean dissimilarity to a reference is computed.
//!
//! The mean of `1 − cos(x, y)` over all reference vectors `y` is `1 − ⟨x̂, m⟩` with `m` the mean of
//! the unit vectors `ŷ`, so one vector stands for the whole reference, and two passes stand for the
//! product of two sets.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A sum of unit vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DirectionSum {
    /// How many.
    pub count: u64,
    /// Their sum.
    #[serde(deserialize_with = "exact")]
    pub sum: Vec<f64>,
}

impl DirectionSum {
    /// The empty sum of vectors of `dim` numbers.
    pub fn new(dim: usize) -> Self {
        Self { count: 0, sum: vec![0.0; dim] }
    }

    /// Adds `x`, which `factor` makes a unit vector.
    pub fn add(&mut self, x: &[f32], factor: f64) {
        self.count += 1;
        for (sum, value) in self.sum.iter_mut().zip(x) {
            *sum += f64::from(*value) * factor;
        }
    }

    /// Adds another sum. The order of additions decides the last bits, so callers keep one.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for (sum, value) in self.sum.iter_mut().zip(&other.sum) {
            *sum += value;
        }
    }
}

/// Sums of unit vectors, batch by batch.
///
/// Without a batch size all rows are one batch, and the mean is the mean over all. With one, rows are
/// dealt to batches by their number among all rows of the reference, and the mean is the mean of the
/// batches' means: the weighting of programs that average over batches and then over their number,
/// where the last, shorter batch counts like a full one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchSums {
    /// Rows in a batch.
    pub batch: Option<u64>,
    /// Number of each batch that has rows, and its sum; ascending.
    pub sums: Vec<(u64, DirectionSum)>,
}

impl BatchSums {
    /// No rows yet.
    pub fn new(batch: Option<u64>) -> Self {
        Self { batch, sums: Vec::new() }
    }

    /// The sum that row number `row` goes into. Rows come in ascending order.
    pub fn of_row(&mut self, row: u64, dim: usize) -> &mut DirectionSum {
        let number = self.batch.map_or(0, |size| row / size);
        if self.sums.last().is_none_or(|(last, _)| *last != number) {
            self.sums.push((number, DirectionSum::new(dim)));
        }
        &mut self.sums.last_mut().expect("one was pushed").1
    }

    /// Adds the sums of the rows that follow.
    pub fn append(&mut self, other: Self) {
        for (number, sum) in other.sums {
            match self.sums.last_mut() {
                Some((last, total)) if *last == number => total.merge(&sum),
                _ => self.sums.push((number, sum)),
            }
        }
    }

    /// Vectors in all.
    pub fn count(&self) -> u64 {
        self.sums.iter().map(|(_, sum)| sum.count).sum()
    }

    /// The mean direction `m`; `None` without vectors.
    pub fn mean(&self) -> Option<Vec<f64>> {
        let (_, first) = self.sums.first()?;
        let mut mean = vec![0.0; first.sum.len()];
        let mut n_batches = 0u64;
        for (_, sum) in self.sums.iter().filter(|(_, sum)| sum.count > 0) {
            n_batches += 1;
            for (mean, value) in mean.iter_mut().zip(&sum.sum) {
                *mean += value / sum.count as f64;
            }
        }
        mean.iter_mut().for_each(|value| *value /= n_batches as f64);
        (n_batches > 0).then_some(mean)
    }
}

/// Parses numbers exactly: the JSON library writes the shortest text that identifies a number,
/// but its own parser may be off by one bit.
pub(crate) fn exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let texts = Vec::<Box<RawValue>>::deserialize(deserializer)?;
    texts.iter().map(|text| text.get().parse().map_err(serde::de::Error::custom)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sums_survive_json_to_the_last_bit() {
        let sum: Vec<f64> = (1..2000u32).map(|i| (f64::from(i) * 0.73).sin() / f64::from(i).powi(7)).collect();
        let sums = BatchSums { batch: Some(3), sums: vec![(5, DirectionSum { count: 9, sum })] };
        let back: BatchSums = serde_json::from_slice(&serde_json::to_vec(&sums).unwrap()).unwrap();
        assert_eq!(back, sums);
    }

    #[test]
    fn a_short_batch_weighs_as_much_as_a_full_one() {
        let mut sums = BatchSums::new(Some(2));
        for (row, x) in [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]].iter().enumerate() {
            sums.of_row(row as u64, 2).add(x, 1.0);
        }
        assert_eq!(sums.mean(), Some(vec![0.5, 0.5]));
        assert_eq!((sums.count(), sums.sums.len()), (3, 2));
        assert_eq!(BatchSums::new(None).mean(), None);
    }

    #[test]
    fn rows_of_one_batch_in_two_files_come_together() {
        let mut first = BatchSums::new(Some(4));
        let mut second = BatchSums::new(Some(4));
        (0..3).for_each(|row| first.of_row(row, 1).add(&[1.0], 1.0));
        (3..6).for_each(|row| second.of_row(row, 1).add(&[1.0], 0.5));
        first.append(second);
        let counts: Vec<_> = first.sums.iter().map(|(number, sum)| (*number, sum.count, sum.sum[0])).collect();
        assert_eq!(counts, [(0, 4, 3.5), (1, 2, 1.0)]);
    }
}
