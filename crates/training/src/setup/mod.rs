//! What trainings begin with: a model, examples, and how these become sequences. Supervised and reinforcement training share
//! all of it.

mod begin;
mod config;
mod data;
mod inputs;
mod thread;

pub use begin::BegunTraining;
pub use config::{TrainedPart, TrainingSetup};
pub use data::TrainingData;
pub use inputs::{HashedSetup, Inputs};
pub use thread::in_training_thread;
