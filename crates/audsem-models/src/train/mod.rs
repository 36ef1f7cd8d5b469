//! Training: optimiser, learning-rate schedules, accumulation, the loop, and the state from which an interrupted training
//! goes on to the same bytes.

mod adamw;
mod gradients;
mod schedule;
mod state;
mod trainer;

pub use adamw::{AdamW, AdamWConfig, is_decayed};
pub use gradients::{Accumulated, Gradients};
pub use schedule::Schedule;
pub use state::StateFile;
pub use trainer::{EpochSummary, Task, TrainConfig, Trainer};
