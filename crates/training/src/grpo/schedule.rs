//! The weight of the distance to the reference policy over the steps of a training.

use serde::{Deserialize, Serialize};

/// A weight that changes evenly from `start` to `end` over the first `steps` updates, and stays there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KlWeight {
    /// Weight of the first update.
    pub start: f64,
    /// Weight after `steps` updates.
    pub end: f64,
    /// Updates of the change; with 0 the weight is `end` throughout.
    pub steps: usize,
}

impl KlWeight {
    /// A weight that stays.
    pub fn constant(weight: f64) -> Self {
        Self { start: weight, end: weight, steps: 0 }
    }

    /// The weight of an update, counted from 0.
    pub fn at(self, step: usize) -> f64 {
        if step >= self.steps {
            return self.end;
        }
        self.start + (self.end - self.start) * step as f64 / self.steps as f64
    }

    /// Whether the reference policy is never asked.
    pub fn is_zero(self) -> bool {
        self.end == 0.0 && (self.steps == 0 || self.start == 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_changes_evenly_and_stays() {
        let falling = KlWeight { start: 0.1, end: 0.02, steps: 4 };
        for (step, expected) in [(0, 0.1), (1, 0.08), (2, 0.06), (4, 0.02), (9, 0.02)] {
            assert!((falling.at(step) - expected).abs() < 1e-12, "{step}");
        }
        assert!(!falling.is_zero() && KlWeight::constant(0.0).is_zero());
        assert!(!KlWeight { start: 0.1, end: 0.0, steps: 3 }.is_zero());
        assert_eq!(KlWeight::constant(0.5).at(0), 0.5);
    }
}
