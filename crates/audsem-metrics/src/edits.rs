//! The least number of edits between two sequences, of words or of characters: the counts behind word error rates.
//!
//! ```
//! use audsem_metrics::edits::align;
//!
//! let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
//! let counts = align(&words("a b c d"), &words("a x c"));
//! assert_eq!((counts.hits, counts.substitutions, counts.deletions, counts.insertions), (2, 1, 1, 0));
//! assert_eq!(counts.rate(), Some(0.5));
//! ```

use serde::{Deserialize, Serialize};

/// How a prediction differs from its reference. Which edits make up the least number may be ambiguous; their sum is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditCounts {
    /// Elements of the reference that are there.
    pub hits: u64,
    /// Elements that another one stands for.
    pub substitutions: u64,
    /// Elements of the reference that are absent.
    pub deletions: u64,
    /// Elements that the reference lacks.
    pub insertions: u64,
}

impl EditCounts {
    /// Substitutions, deletions and insertions.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.substitutions + self.deletions + self.insertions
    }

    /// Elements of the reference.
    #[must_use]
    pub fn reference(&self) -> u64 {
        self.hits + self.substitutions + self.deletions
    }

    /// Errors for each element of the reference; none where it has no element.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        (self.reference() > 0).then(|| self.errors() as f64 / self.reference() as f64)
    }

    /// Adds the counts of another pair.
    pub fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
    }
}

/// The best way to a place in both sequences.
#[derive(Clone, Copy, Default)]
struct Path {
    cost: u32,
    substitutions: u32,
    deletions: u32,
    insertions: u32,
}

/// Aligns a prediction with its reference (Wagner and Fischer, 1974). Takes the product of both lengths in time, and the length
/// of the prediction in memory.
#[must_use]
pub fn align<T: PartialEq>(reference: &[T], prediction: &[T]) -> EditCounts {
    let before = reference.iter().zip(prediction).take_while(|(one, other)| one == other).count();
    let (reference, prediction) = (&reference[before..], &prediction[before..]);
    let behind = reference.iter().rev().zip(prediction.iter().rev()).take_while(|(one, other)| one == other).count();
    let (reference, prediction) = (&reference[..reference.len() - behind], &prediction[..prediction.len() - behind]);
    let best = shortest_path(reference, prediction);
    let (substitutions, deletions) = (u64::from(best.substitutions), u64::from(best.deletions));
    let hits = (before + behind + reference.len()) as u64 - substitutions - deletions;
    EditCounts { hits, substitutions, deletions, insertions: u64::from(best.insertions) }
}

fn shortest_path<T: PartialEq>(reference: &[T], prediction: &[T]) -> Path {
    let mut row: Vec<Path> =
        (0..=prediction.len() as u32).map(|n| Path { cost: n, insertions: n, ..Path::default() }).collect();
    for (done, word) in reference.iter().enumerate() {
        let mut diagonal = row[0];
        let n = done as u32 + 1;
        row[0] = Path { cost: n, deletions: n, ..Path::default() };
        for (place, said) in prediction.iter().enumerate() {
            let (above, left) = (row[place + 1], row[place]);
            let mut best = diagonal;
            if said != word {
                best.cost += 1;
                best.substitutions += 1;
                if above.cost + 1 < best.cost {
                    best = Path { cost: above.cost + 1, deletions: above.deletions + 1, ..above };
                }
                if left.cost + 1 < best.cost {
                    best = Path { cost: left.cost + 1, insertions: left.insertions + 1, ..left };
                }
            }
            diagonal = above;
            row[place + 1] = best;
        }
    }
    row[prediction.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn empty_sides_are_all_of_one_kind() {
        let counts = align::<char>(&[], &[]);
        assert_eq!((counts, counts.rate()), (EditCounts::default(), None));
        assert_eq!(align(&['a', 'b'], &[]), EditCounts { deletions: 2, ..EditCounts::default() });
        let inserted = align(&[], &['a']);
        assert_eq!((inserted.insertions, inserted.rate()), (1, None));
        assert!(align(&['a'], &['b', 'c', 'd']).rate() > Some(1.0), "a rate may be above 1");
    }

    /// The table of the textbook, without what makes ours fast.
    fn distance(reference: &[u8], prediction: &[u8]) -> u64 {
        let mut table = vec![vec![0; prediction.len() + 1]; reference.len() + 1];
        for i in 0..=reference.len() {
            for j in 0..=prediction.len() {
                table[i][j] = match (i, j) {
                    (0, n) | (n, 0) => n as u64,
                    (i, j) => {
                        let differs = u64::from(reference[i - 1] != prediction[j - 1]);
                        (table[i - 1][j - 1] + differs).min(table[i - 1][j] + 1).min(table[i][j - 1] + 1)
                    }
                };
            }
        }
        table[reference.len()][prediction.len()]
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_textbook(
            reference in prop::collection::vec(0u8..4, 0..12), prediction in prop::collection::vec(0u8..4, 0..12)
        ) {
            let counts = align(&reference, &prediction);
            prop_assert_eq!(counts.errors(), distance(&reference, &prediction));
            prop_assert_eq!(counts.reference(), reference.len() as u64);
            prop_assert_eq!(counts.hits + counts.substitutions + counts.insertions, prediction.len() as u64);
        }
    }
}
