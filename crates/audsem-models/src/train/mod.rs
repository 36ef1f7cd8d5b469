//! Training: optimiser, learning-rate schedules, gradient accumulation, the loop, and the state from which an interrupted
//! training continues with bit-identical results.

mod adamw;
mod gradients;
mod schedule;
mod state;
mod trainer;

pub use adamw::{AdamW, AdamWConfig, is_decayed};
pub use gradients::{Accumulated, Gradients};
pub use schedule::Schedule;
pub use state::StateFile;
pub use trainer::{EpochSummary, TrainConfig, TrainTask, Trainer};
