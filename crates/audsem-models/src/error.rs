//! Errors of this crate.

use std::path::PathBuf;

use audsem_core::weights::ModelError;
use thiserror::Error as ThisError;

/// What can go wrong in loading, running or training a network.
#[derive(Debug, ThisError)]
pub enum Error {
    /// A tensor operation failed: shapes, memory, device.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The model folder or its weights.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// `config.json` asks for something this network does not have.
    #[error("config.json: `{key}` is not supported: `{value}`\nhint: supported: {supported}")]
    Unsupported {
        /// Its key.
        key: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        supported: String,
    },
    /// A tokenizer cannot be read, trained or applied.
    #[error("tokenizer: {}: {message}", .path.display())]
    Tokenizer {
        /// Its file; empty for one trained in memory.
        path: PathBuf,
        /// What the library says.
        message: String,
    },
    /// A trainable tensor received no gradient, or one that is not finite.
    #[error(
        "training broke: step {step}: {what}: {names:?}\nhint: lower the learning rate; if this happens at step 0, an operation without a gradient is in the network"
    )]
    Gradient {
        /// Optimizer step, from 0.
        step: usize,
        /// What is wrong.
        what: &'static str,
        /// The tensors concerned.
        names: Vec<String>,
    },
    /// Weights cannot be serialised.
    #[error("cannot write weights as safetensors: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
