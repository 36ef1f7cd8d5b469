//! The interface of a network that runs over clips.

use audsem_core::batch::BatchError;
use audsem_core::run::OutputFile;
use audsem_core::tables::TableError;

use super::{ClipTable, MediaFault};
use crate::audio::Audio;

/// A clip as its row names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipIdentity {
    /// The clip's key.
    pub key: String,
    /// The tar it lies in, or its own path below the input.
    pub place: String,
}

/// Why a clip has no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipError {
    /// The kind of the fault, which is counted.
    pub fault: MediaFault,
    /// What was found.
    pub detail: String,
}

impl ClipError {
    /// A fault with what was found.
    pub fn new(fault: MediaFault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into() }
    }
}

/// A network, or any measure, that gives each clip an output and each output a row.
///
/// Features are made on many threads at once, one clip after the other; [`ClipNetwork::forward`] sees batches of them.
/// A row must depend on its own clip alone: padding is masked by the network.
pub trait ClipNetwork: Sync {
    /// What the network reads of one clip.
    type Features: Send;
    /// What it gives for one clip.
    type Output;

    /// Makes the features of a decoded clip.
    ///
    /// # Errors
    /// Why this clip cannot be used; it becomes a reject.
    fn features(&self, clip: &ClipIdentity, audio: &Audio) -> Result<Self::Features, ClipError>;

    /// What a clip costs in a batch, its length for example: clips of similar cost share batches.
    fn cost(&self, features: &Self::Features) -> usize {
        let _ = features;
        1
    }

    /// Runs a batch; one result for each clip, in order. A clip's error makes it a reject.
    ///
    /// # Errors
    /// [`BatchError::OutOfMemory`] halves the batch; [`BatchError::Failed`] ends the run.
    fn forward(&self, batch: &[&Self::Features]) -> Result<Vec<Result<Self::Output, ClipError>>, BatchError>;

    /// Begins the table of one shard in `file`; [`super::row_table`] makes one of typed rows.
    ///
    /// # Errors
    /// Its first bytes cannot be written.
    fn table<'f>(&self, file: &'f mut OutputFile) -> Result<Box<dyn ClipTable<Self::Output> + 'f>, TableError>;
}
