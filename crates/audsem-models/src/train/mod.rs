//! Training: optimiser, learning-rate schedules, gradient accumulation, the loop, and the state from which an interrupted
//! training continues with bit-identical results; and [`TrainableModel`], what a language model in training does.

mod adamw;
mod audit;
mod gradients;
pub(crate) mod head;
pub(crate) mod layerwise;
mod schedule;
mod sequence;
mod snapshot;
mod state;
mod trainer;

pub use adamw::{AdamW, AdamWConfig, is_decayed};
pub use audit::audit_gradients;
pub use gradients::{Accumulated, Gradients};
pub use schedule::Schedule;
pub use sequence::{LossGradient, PolicySnapshot, Sound, TargetScores, TrainableModel, TrainingSequence};
pub use state::StateFile;
pub use trainer::{EpochSummary, TrainConfig, TrainTask, Trainer};
