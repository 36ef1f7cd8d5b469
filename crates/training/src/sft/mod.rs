//! Supervised fine-tuning on questions and answers about sounds: the loop, for any [`TrainableModel`].
//!
//! [`TrainableModel`]: audsem_models::train::TrainableModel

mod fine_tuning;
mod hearing;
mod loss;
mod state;
#[cfg(test)]
mod tests;
mod validate;

pub use fine_tuning::{FineTuning, LoopConfig, TrainingEvent};
pub use hearing::{HearingProof, prove_hearing};
pub use loss::{LossNormalizer, TokenSums};
pub use state::{LeftOutExample, LoopState};
pub use validate::Validation;
