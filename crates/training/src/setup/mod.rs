//! What trainings begin with: a model, examples, and how these become sequences. Supervised and reinforcement training share
//! all of it.

mod begin;
mod config;
mod data;
mod inputs;
mod purpose;
mod thread;

pub use begin::BegunTraining;
pub use config::{AdapterUse, TrainedPart, TrainingSetup};
pub use data::{TrainingData, count_examples};
pub use inputs::{HashedSetup, Inputs};
pub use purpose::purpose;
pub use thread::{STACK_BYTES, in_training_thread};
