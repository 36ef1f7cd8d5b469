//! The order of examples: a function of the seed, the epoch and the folders' sizes and weights.

use std::collections::HashSet;

use audsem_core::tables::text_hash;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::DataSet;
use crate::tables::ManifestRow;

/// Easy examples before difficult ones: by a number of each example, in the first epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct Curriculum {
    /// The number of each example; those without come last.
    values: Vec<f64>,
    /// Epochs that are sorted; later ones are not.
    epochs: usize,
}

impl Curriculum {
    /// Sorts by `column`: `duration_ms`, `text_bytes`, or a numeric field of the examples' JSON. A leading `-` puts the
    /// largest first. Also tells how many examples lack the number.
    #[must_use]
    pub fn new(rows: &[ManifestRow], column: &str, epochs: usize) -> (Self, usize) {
        let (sign, name) = column.strip_prefix('-').map_or((1.0, column), |name| (-1.0, name));
        let number = |row: &ManifestRow| match name {
            "duration_ms" => row.duration_ms.map(f64::from),
            "text_bytes" => Some(f64::from(row.text_bytes)),
            _ => row.numbers.iter().find(|number| number.name == name).map(|number| number.value),
        };
        let values: Vec<Option<f64>> = rows.iter().map(number).collect();
        let absent = values.iter().filter(|value| value.is_none()).count();
        let values = values.into_iter().map(|value| value.map_or(f64::INFINITY, |value| sign * value)).collect();
        (Self { values, epochs }, absent)
    }
}

/// The order of the examples of a data set.
#[derive(Debug, Clone)]
pub struct EpochOrder {
    seed: u64,
    /// First row, rows, and rows in an epoch, of each folder.
    parts: Vec<(usize, usize, usize)>,
    curriculum: Option<Curriculum>,
    shuffled: bool,
}

impl EpochOrder {
    /// A random order of each epoch.
    #[must_use]
    pub fn shuffled(data: &DataSet, seed: u64, curriculum: Option<Curriculum>) -> Self {
        let mut first = 0;
        let mut parts = Vec::new();
        for (rows, weight) in data.parts.iter().filter(|(rows, _)| *rows > 0) {
            // At least one, so that no folder is left out by its weight.
            let drawn = ((*rows as f64 * weight).round() as usize).max(1);
            parts.push((first, *rows, drawn));
            first += rows;
        }
        Self { seed, parts, curriculum, shuffled: true }
    }

    /// The order in which the examples are stored, each once.
    #[must_use]
    pub fn stored(rows: usize) -> Self {
        Self { seed: 0, parts: vec![(0, rows, rows)], curriculum: None, shuffled: false }
    }

    /// Examples in an epoch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|(_, _, drawn)| drawn).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of an epoch, counted from 0, in their order.
    ///
    /// A folder of weight `w` gives `w` times its examples, drawn without replacement: over the epochs each of its
    /// examples comes up equally often, give or take one.
    #[must_use]
    pub fn epoch(&self, epoch: usize) -> Vec<usize> {
        if !self.shuffled {
            return (0..self.len()).collect();
        }
        let mut order = Vec::with_capacity(self.len());
        for (part, (first, rows, drawn)) in self.parts.iter().enumerate() {
            order.extend(self.drawn(part, *rows, epoch * drawn, *drawn).into_iter().map(|row| first + row));
        }
        order.shuffle(&mut self.rng(&format!("epoch {epoch}")));
        if let Some(curriculum) = self.curriculum.as_ref().filter(|curriculum| epoch < curriculum.epochs) {
            // Stable: equal examples stay in random order.
            order.sort_by(|a, b| curriculum.values[*a].total_cmp(&curriculum.values[*b]));
        }
        order
    }

    /// Different rows among the first `reached` of all epochs.
    #[must_use]
    pub fn distinct(&self, reached: usize) -> usize {
        let mut seen: HashSet<usize> = HashSet::new();
        let (mut left, mut epoch) = (reached, 0);
        let all: usize = self.parts.iter().map(|(_, rows, _)| rows).sum();
        while left > 0 && seen.len() < all && !self.is_empty() {
            let order = self.epoch(epoch);
            seen.extend(order.iter().take(left));
            left = left.saturating_sub(order.len());
            epoch += 1;
        }
        seen.len()
    }

    /// `n` rows of a folder from place `from` of an endless sequence, in which one random order of all rows follows
    /// another.
    fn drawn(&self, part: usize, rows: usize, from: usize, n: usize) -> Vec<usize> {
        let mut drawn = Vec::with_capacity(n);
        let mut at = from;
        while drawn.len() < n {
            let (round, place) = (at / rows, at % rows);
            let mut order: Vec<usize> = (0..rows).collect();
            order.shuffle(&mut self.rng(&format!("folder {part} round {round}")));
            let take = (n - drawn.len()).min(rows - place);
            drawn.extend(&order[place..place + take]);
            at += take;
        }
        drawn
    }

    /// A generator for one purpose.
    fn rng(&self, purpose: &str) -> ChaCha8Rng {
        seeded(self.seed, purpose)
    }
}

/// A generator for one purpose of a training.
pub(super) fn seeded(seed: u64, purpose: &str) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(text_hash(&format!("{seed} {purpose}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::NamedNumber;

    fn rows(n: usize) -> Vec<ManifestRow> {
        let row = |i: usize| ManifestRow {
            tar: String::new(),
            key: i.to_string(),
            pair: None,
            clip: String::new(),
            video_id: None,
            json_offset: 0,
            json_bytes: 0,
            json_sha256: String::new(),
            audio_offset: 0,
            audio_bytes: 0,
            audio_suffix: String::new(),
            duration_ms: Some((n - i) as u32),
            text_bytes: 0,
            numbers: if i.is_multiple_of(2) {
                vec![NamedNumber { name: "hard".to_owned(), value: (i % 4) as f64 }]
            } else {
                Vec::new()
            },
        };
        (0..n).map(row).collect()
    }

    fn data(parts: &[(usize, f64)]) -> DataSet {
        DataSet { rows: rows(parts.iter().map(|(n, _)| n).sum()), parts: parts.to_vec(), digests: Vec::new() }
    }

    #[test]
    fn an_epoch_has_each_example_once_in_an_order_of_its_own() {
        let order = EpochOrder::shuffled(&data(&[(50, 1.0), (7, 1.0)]), 3, None);
        let epochs: Vec<Vec<usize>> = (0..3).map(|epoch| order.epoch(epoch)).collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..57).collect::<Vec<_>>());
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
        assert_eq!(order.epoch(1), epochs[1], "asked again, and not in order");
        assert_ne!(EpochOrder::shuffled(&data(&[(57, 1.0)]), 4, None).epoch(0), epochs[0]);
    }

    #[test]
    fn weights_are_exact_and_fair_over_epochs() {
        let order = EpochOrder::shuffled(&data(&[(10, 0.3), (4, 2.5)]), 1, None);
        let mut counts = [0usize; 14];
        for epoch in 0..10 {
            let drawn = order.epoch(epoch);
            assert_eq!(drawn.iter().filter(|row| **row < 10).count(), 3);
            assert_eq!(drawn.len(), 13);
            drawn.iter().for_each(|row| counts[*row] += 1);
        }
        assert_eq!((order.distinct(13), order.distinct(0), order.distinct(10_000)), (7, 0, 14));
        assert_eq!(counts[..10], [3; 10]);
        assert_eq!(counts[10..], [25; 4]);
    }

    #[test]
    fn a_curriculum_sorts_its_epochs_alone() {
        let data = data(&[(40, 1.0)]);
        let (curriculum, absent) = Curriculum::new(&data.rows, "hard", 1);
        assert_eq!(absent, 20);
        let order = EpochOrder::shuffled(&data, 1, Some(curriculum));
        let kinds: Vec<usize> = order.epoch(0).iter().map(|row| if row % 2 == 1 { 9 } else { row % 4 }).collect();
        assert!(kinds.is_sorted(), "{kinds:?}");
        let first: Vec<usize> = order.epoch(0)[..10].to_vec();
        assert!(!first.is_sorted(), "equal ones are in random order: {first:?}");
        assert!(!order.epoch(1).iter().map(|row| row % 4).is_sorted());
        let (longest_last, _) = Curriculum::new(&data.rows, "duration_ms", 1);
        assert!(EpochOrder::shuffled(&data, 1, Some(longest_last)).epoch(0).iter().rev().is_sorted());
        let (longest_first, _) = Curriculum::new(&data.rows, "-duration_ms", 1);
        assert!(EpochOrder::shuffled(&data, 1, Some(longest_first)).epoch(0).is_sorted());
    }
}
