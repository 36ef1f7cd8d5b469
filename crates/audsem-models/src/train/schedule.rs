//! Learning rates over the steps of a training.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate changes, as the schedules of the transformers trainer compute it. All rise linearly from 0 over
/// the steps of the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Falls linearly to 0 at the last step.
    #[default]
    Linear,
    /// Falls to 0 at the last step along half a cosine.
    Cosine,
    /// Stays.
    ConstantWithWarmup,
}

impl Schedule {
    /// The factor of the learning rate at a step, counted from 0, of a training of `total` steps.
    #[must_use]
    pub fn factor(self, step: usize, warmup: usize, total: usize) -> f64 {
        if step < warmup {
            return step as f64 / warmup.max(1) as f64;
        }
        let rest = total.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Linear => total.saturating_sub(step) as f64 / rest,
            Self::Cosine => (0.5 * (1.0 + (PI * (step - warmup) as f64 / rest).cos())).max(0.0),
            Self::ConstantWithWarmup => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linear_schedule_rises_and_falls() {
        for (step, warmup, total, expected) in [
            (0, 0, 10, 1.0),
            (5, 0, 10, 0.5),
            (10, 0, 10, 0.0),
            (0, 4, 10, 0.0),
            (2, 4, 10, 0.5),
            (4, 4, 10, 1.0),
            (7, 4, 10, 0.5),
            (12, 4, 10, 0.0),
        ] {
            let factor = Schedule::Linear.factor(step, warmup, total);
            assert!((factor - expected).abs() < 1e-12, "{step} {warmup} {total}");
        }
    }
}
