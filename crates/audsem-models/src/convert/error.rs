//! Why weights cannot be converted.

use std::path::{Path, PathBuf};

use audsem_core::pickle::PickleError;

use super::{TensorMismatch, WeightFormat};

/// Why a weight file cannot be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A file cannot be read.
    #[error("cannot read weights: {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file has no bytes.
    #[error("cannot read weights: {}: the file is empty", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file is not what its format says.
    #[error("cannot read {} as weights of {}: {message}", .path.display(), .format.name())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format it was read as.
        format: WeightFormat,
        /// The first thing that is not as expected.
        message: String,
    },
    /// The contents of a file are not as expected.
    #[error("{message}")]
    Content {
        /// What is not as expected.
        message: String,
    },
    /// The pickle in a file is not as expected.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// The tensors are not those of the network.
    #[error(
        "the weights are not those of {network}: {mismatch}\nhint: check `--network`, or convert the tensors as they are with `--network plain`"
    )]
    Mismatch {
        /// The network.
        network: &'static str,
        /// The differences.
        mismatch: TensorMismatch,
    },
    /// A file of the model folder cannot be written.
    #[error(transparent)]
    Write(#[from] audsem_core::error::Error),
    /// The network cannot be set up from the configuration that the file gives.
    #[error(transparent)]
    Network(#[from] Box<crate::Error>),
}

impl ConvertError {
    pub(super) fn content(message: impl Into<String>) -> Self {
        Self::Content { message: message.into() }
    }

    /// The error with the file it is about.
    pub(super) fn of_file(self, path: &Path, format: WeightFormat) -> Self {
        match self {
            Self::Content { .. } | Self::Pickle(_) => {
                Self::Format { path: path.to_owned(), format, message: self.to_string() }
            }
            other => other,
        }
    }
}

impl From<crate::Error> for ConvertError {
    fn from(error: crate::Error) -> Self {
        Self::Network(Box::new(error))
    }
}
