//! One update of the weights from summed gradients: schedule, clipping, and what happens to gradients that are none.
//!
//! Supervised and reinforcement training share this.

use audsem_core::terminal::counted;
use audsem_models::Error as NetworkError;
use audsem_models::train::{Accumulated, AdamW, AdamWConfig, Schedule, audit_gradients};
use candle_core::Var;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Settings of updates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct UpdateConfig {
    /// Highest learning rate.
    pub learning_rate: f64,
    /// How it changes over the training.
    pub schedule: Schedule,
    /// Share of the training over which it rises from 0.
    pub warmup: f64,
    /// The optimiser.
    pub optimizer: AdamWConfig,
    /// Updates one after the other that may have gradients that are not finite; they are skipped.
    pub max_bad_steps: usize,
}

impl Default for UpdateConfig {
    /// The settings of the published trainings: 2e-4, falling linearly, without warm-up and weight decay.
    fn default() -> Self {
        Self {
            learning_rate: 2e-4,
            schedule: Schedule::Linear,
            warmup: 0.0,
            optimizer: AdamWConfig::default(),
            max_bad_steps: 10,
        }
    }
}

/// Where a training stands, in units of which it has `total`: examples, or updates where their number is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingProgress {
    /// Units done.
    pub done: usize,
    /// Units in all.
    pub total: usize,
}

impl TrainingProgress {
    /// The share that is done, 0 to 1.
    #[must_use]
    pub fn share(self) -> f64 {
        self.done as f64 / self.total.max(1) as f64
    }
}

impl UpdateConfig {
    /// The learning rate of the update that begins at `progress`.
    #[must_use]
    pub fn learning_rate(&self, progress: TrainingProgress) -> f64 {
        let warmup = (self.warmup * progress.total as f64).round() as usize;
        self.learning_rate * self.schedule.factor(progress.done, warmup, progress.total)
    }
}

/// Counts of an [`Updater`], which a checkpoint keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateCounts {
    /// Updates, those that were skipped included.
    pub steps: usize,
    /// Updates that were skipped.
    pub bad: usize,
    /// Updates that were skipped one after the other, up to now.
    pub bad_in_a_row: usize,
}

/// Applies updates.
#[derive(Debug)]
pub struct Updater {
    config: UpdateConfig,
    vars: Vec<(String, Var)>,
    /// The optimiser; a checkpoint saves and restores it.
    pub optimizer: AdamW,
    /// Counts; a checkpoint saves and restores them.
    pub counts: UpdateCounts,
}

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Applied {
    /// The weights have changed; with the global norm of the gradient before clipping, and the learning rate.
    Changed {
        /// Norm of all gradients together.
        grad_norm: f64,
        /// The learning rate.
        learning_rate: f64,
    },
    /// A gradient was not finite, and nothing has changed.
    Skipped,
}

impl Updater {
    /// An updater of some tensors, before the first update.
    ///
    /// # Errors
    /// Memory or device.
    pub fn new(config: UpdateConfig, vars: &[(String, Var)]) -> Result<Self> {
        let optimizer = AdamW::new(vars.to_vec(), config.optimizer)?;
        Ok(Self { config, vars: vars.to_vec(), optimizer, counts: UpdateCounts::default() })
    }

    /// Takes one step. At the first of a training the gradients are audited: every trained tensor must have one that is
    /// not zero.
    ///
    /// # Errors
    /// A tensor has no gradient; or [`Error::Diverged`].
    pub fn apply(&mut self, sum: &Accumulated, progress: TrainingProgress) -> Result<Applied> {
        if self.counts.steps == 0 {
            audit_gradients(sum, &self.vars)?;
        }
        let learning_rate = self.config.learning_rate(progress);
        self.counts.steps += 1;
        match self.optimizer.step(sum, learning_rate) {
            Ok(grad_norm) => {
                self.counts.bad_in_a_row = 0;
                Ok(Applied::Changed { grad_norm, learning_rate })
            }
            Err(NetworkError::Gradient { what: NOT_FINITE, names, .. }) => {
                self.counts.bad += 1;
                self.counts.bad_in_a_row += 1;
                let (step, n) = (self.counts.steps, self.counts.bad_in_a_row);
                tracing::warn!(
                    "update {step} is skipped: gradients are not finite, of {}",
                    counted(names.len(), "tensors")
                );
                if n > self.config.max_bad_steps { Err(Error::Diverged { n, step }) } else { Ok(Applied::Skipped) }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What the optimiser calls a gradient that is not finite.
const NOT_FINITE: &str = "gradient is not finite";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use candle_core::{Device, Tensor};

    use super::*;

    fn config() -> UpdateConfig {
        let optimizer = AdamWConfig::default();
        UpdateConfig { learning_rate: 0.1, schedule: Schedule::Linear, warmup: 0.2, optimizer, max_bad_steps: 2 }
    }

    #[test]
    fn the_rate_follows_the_examples() {
        for (done, expected) in [(0, 0.0), (10, 0.05), (20, 0.1), (60, 0.05), (100, 0.0)] {
            let rate = config().learning_rate(TrainingProgress { done, total: 100 });
            assert!((rate - expected).abs() < 1e-12, "{done}: {rate}");
        }
    }

    #[test]
    fn gradients_that_are_none_are_skipped_and_then_end_the_training() {
        let var = Var::from_tensor(&Tensor::new(&[1f32], &Device::Cpu).unwrap()).unwrap();
        let vars = vec![("x".to_owned(), var)];
        let mut updater = Updater::new(config(), &vars).unwrap();
        let mut apply = |gradient: f32| {
            let mut sum = Accumulated::default();
            sum.add_tensor("x", &Tensor::new(&[gradient], &Device::Cpu).unwrap()).unwrap();
            let applied = updater.apply(&sum, TrainingProgress { done: 50, total: 100 });
            (applied, updater.counts)
        };
        assert!(matches!(apply(1.0).0.unwrap(), Applied::Changed { grad_norm: 1.0, .. }));
        let value = || vars[0].1.to_vec1::<f32>().unwrap()[0];
        let before = value();
        assert_eq!(apply(f32::NAN).0.unwrap(), Applied::Skipped);
        assert_eq!(apply(f32::INFINITY).0.unwrap(), Applied::Skipped);
        assert_eq!(value(), before);
        assert!(matches!(apply(1.0).0.unwrap(), Applied::Changed { .. }));
        assert!(value() < before);
        apply(f32::NAN).0.unwrap();
        apply(f32::NAN).0.unwrap();
        let (ended, counts) = apply(f32::NAN);
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("3 updates one after the other") && error.contains("--lr"), "{error}");
        assert_eq!((counts.steps, counts.bad), (7, 5));
    }
}
