//! The classes that a classifier finds likeliest.

use serde::{Deserialize, Serialize};

/// A class with its probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Index of the class in the classifier's output.
    pub index: usize,
    /// Probability that the class applies.
    pub probability: f32,
}

/// The `n` likeliest classes, the likeliest first, equal ones in order of index.
#[must_use]
pub fn top_classes(probabilities: &[f32], n: usize) -> Vec<ClassScore> {
    let scores =
        probabilities.iter().enumerate().map(|(index, probability)| ClassScore { index, probability: *probability });
    let mut scores: Vec<ClassScore> = scores.collect();
    scores.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    scores.truncate(n);
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first_and_equal_ones_in_order() {
        let indices =
            |probabilities: &[f32], n| top_classes(probabilities, n).iter().map(|s| s.index).collect::<Vec<_>>();
        assert_eq!(indices(&[0.1, 0.7, 0.3, 0.7], 3), [1, 3, 2]);
        assert_eq!(indices(&[0.5], 5), [0]);
        assert_eq!(top_classes(&[0.25, 0.5], 1), [ClassScore { index: 1, probability: 0.5 }]);
    }
}
