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

/// How a prediction differs from its reference.
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

/// A shortest way to a place in both sequences. The place tells the difference of deletions and insertions, so that errors
/// and substitutions tell both.
#[derive(Clone, Copy)]
struct Way {
    errors: u32,
    substitutions: u32,
}

/// Aligns a prediction with its reference (Wagner and Fischer, 1974). Of several alignments with as few errors it counts the one
/// that jiwer takes (through rapidfuzz): seen from the end, a deletion goes before an insertion, and an insertion before a
/// substitution. Takes the product of both lengths in time, and the length of the reference in memory.
#[must_use]
pub fn align<T: PartialEq>(reference: &[T], prediction: &[T]) -> EditCounts {
    let before = reference.iter().zip(prediction).take_while(|(one, other)| one == other).count();
    let (reference, prediction) = (&reference[before..], &prediction[before..]);
    let behind = reference.iter().rev().zip(prediction.iter().rev()).take_while(|(one, other)| one == other).count();
    let (reference, prediction) = (&reference[..reference.len() - behind], &prediction[..prediction.len() - behind]);
    let way = shortest_way(reference, prediction);
    let (substitutions, others) = (u64::from(way.substitutions), u64::from(way.errors - way.substitutions));
    let deletions = (others + reference.len() as u64 - prediction.len() as u64) / 2;
    let hits = (before + behind + reference.len()) as u64 - substitutions - deletions;
    EditCounts { hits, substitutions, deletions, insertions: others - deletions }
}

fn shortest_way<T: PartialEq>(reference: &[T], prediction: &[T]) -> Way {
    let mut ways: Vec<Way> = (0..=reference.len() as u32).map(|n| Way { errors: n, substitutions: 0 }).collect();
    for said in prediction {
        let mut diagonal = ways[0];
        ways[0].errors += 1;
        let mut left = ways[0];
        for (word, way) in reference.iter().zip(&mut ways[1..]) {
            let (above, step) = (*way, u32::from(word != said));
            let errors = (diagonal.errors + step).min(above.errors + 1).min(left.errors + 1);
            let substitutions = if errors == left.errors + 1 {
                left.substitutions
            } else if diagonal.errors == above.errors + 1 {
                above.substitutions
            } else {
                diagonal.substitutions + step
            };
            diagonal = above;
            left = Way { errors, substitutions };
            *way = left;
        }
    }
    ways[reference.len()]
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
