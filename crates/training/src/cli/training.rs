//! Flags of batches, updates and checkpoints, which trainings share.

use audsem_models::train::{AdamWConfig, Schedule};
use clap::{Args, ValueEnum};

use super::numbers::{share, weight};
use crate::data::BatchConfig;
use crate::update::UpdateConfig;

/// How the learning rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScheduleName {
    /// Falls linearly to 0
    Linear,
    /// Falls to 0 along half a cosine
    Cosine,
    /// Stays
    Constant,
}

impl From<ScheduleName> for Schedule {
    fn from(name: ScheduleName) -> Self {
        match name {
            ScheduleName::Linear => Self::Linear,
            ScheduleName::Cosine => Self::Cosine,
            ScheduleName::Constant => Self::ConstantWithWarmup,
        }
    }
}

/// What is a batch.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
pub struct BatchArgs {
    /// Most examples in a batch
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: u32,
    /// Most tokens in a batch; sequences are packed without padding, and none sees another [default: no limit]
    #[arg(long, value_name = "N")]
    pub batch_tokens: Option<usize>,
    /// Examples among which those of similar length are put together; up to --batch-size none are
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub bucket: usize,
}

impl BatchArgs {
    /// What these flags ask for.
    #[must_use]
    pub fn config(&self) -> BatchConfig {
        BatchConfig { batch_size: self.batch_size as usize, batch_tokens: self.batch_tokens, window: self.bucket }
    }
}

/// How weights are updated.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
pub struct UpdateArgs {
    /// Highest learning rate
    #[arg(long, value_name = "RATE", default_value_t = 2e-4, value_parser = weight)]
    pub lr: f64,
    /// How the learning rate changes
    #[arg(long, value_enum, default_value = "linear")]
    pub schedule: ScheduleName,
    /// Share of the training over which the learning rate rises from 0
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub warmup: f64,
    /// Weight decay, not applied to biases and norms
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = weight)]
    pub weight_decay: f64,
    /// Scale gradients down to this norm; 0 leaves them as they are
    #[arg(long, value_name = "NORM", default_value_t = 1.0, value_parser = weight)]
    pub max_grad_norm: f64,
    /// Updates one after the other that may be skipped because gradients are not finite
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub max_bad_steps: usize,
}

impl UpdateArgs {
    /// What these flags ask for.
    #[must_use]
    pub fn config(&self) -> UpdateConfig {
        let max_grad_norm = (self.max_grad_norm > 0.0).then_some(self.max_grad_norm);
        UpdateConfig {
            learning_rate: self.lr,
            schedule: self.schedule.into(),
            warmup: self.warmup,
            optimizer: AdamWConfig { weight_decay: self.weight_decay, max_grad_norm, ..AdamWConfig::default() },
            max_bad_steps: self.max_bad_steps,
        }
    }
}

/// What is recorded and saved.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Saving")]
pub struct SavingArgs {
    /// Updates between two records of metrics
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub log_steps: usize,
    /// Updates between two validations [default: one at the end of each epoch]
    #[arg(long, value_name = "N")]
    pub eval_steps: Option<usize>,
    /// Updates between two checkpoints [default: one at the end of each epoch]
    #[arg(long, value_name = "N")]
    pub save_steps: Option<usize>,
    /// Checkpoints to keep, beside the best
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub keep_last: usize,
}
