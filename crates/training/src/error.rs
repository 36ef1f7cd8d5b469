//! Errors of this crate.

use std::path::PathBuf;

use audsem_core::run::ShardError;
use audsem_core::tables::TableError;
use audsem_core::terminal::{by_number, counted};

use crate::grpo::rollout::RolloutError;
use crate::rewards::{RewardConfigError, RewardProgramError};

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What keeps a subcommand of this crate from running. Samples that are left out are not errors: they are counted and
/// filed with their reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The run folder, an input or a flag.
    #[error(transparent)]
    Core(#[from] audsem_core::error::Error),
    /// A table cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A network cannot be loaded, run or trained.
    #[error(transparent)]
    Network(#[from] audsem_models::Error),
    /// A model cannot be found, or its weights do not fit.
    #[error(transparent)]
    Model(#[from] audsem_core::weights::ModelError),
    /// A shard no longer holds what its manifest says.
    #[error("{}: {problem}\nhint: index the shards again with --fresh", path.display())]
    Stale {
        /// The shard.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Rewards that contradict each other.
    #[error(transparent)]
    RewardConfig(#[from] RewardConfigError),
    /// A program that gives rewards has ended.
    #[error(transparent)]
    RewardProgram(#[from] RewardProgramError),
    /// A folder has nothing to train on.
    #[error("nothing to train on: {}\nhint: rejects-*.jsonl of its index say why each sample is left out", path.display())]
    NoExamples {
        /// The folder.
        path: PathBuf,
    },
    /// Clips are in both the training and the validation data.
    #[error(
        "{} {} in both the training and the validation data: {}\n\
         hint: split by clip, as `audsem-tarify shards --num-valid` does, or use --valid-share",
        counted(*n, "clips"),
        by_number(*n, "is", "are"),
        .clips.join(", ")
    )]
    Contaminated {
        /// Their number.
        n: usize,
        /// The keys of the first.
        clips: Vec<String>,
    },
    /// A training would learn from much less than it was given.
    #[error(
        "{failed} of {} cannot be learned from, more than --max-fail-rate {allowed} allows; most of them, {most}, as \
         `{reason}`, the first of which is {key}: {detail}{}",
        counted(*read, "examples"),
        .hint.map(|flag| format!("\nhint: {flag} changes that")).unwrap_or_default()
    )]
    TooManyLeftOut {
        /// Examples that were left out.
        failed: usize,
        /// Examples so far.
        read: usize,
        /// The share that may be left out.
        allowed: f64,
        /// The most frequent reason.
        reason: String,
        /// How many were left out for it.
        most: usize,
        /// The first of these.
        key: String,
        /// What was wrong with it.
        detail: String,
        /// The flag that decides.
        hint: Option<&'static str>,
    },
    /// Too many updates one after the other had gradients that are not finite.
    #[error(
        "training diverged: {} one after the other had gradients that are not finite, the last of them \
         update {step}\nhint: lower --lr, or clip with --max-grad-norm; --max-bad-steps allows more",
        counted(*n, "updates")
    )]
    Diverged {
        /// The updates.
        n: usize,
        /// The last of them.
        step: usize,
    },
    /// Another rank of a data-parallel training has ended with an error.
    #[error("another copy of the model could not be trained on, and its error is the cause")]
    RankLeft,
    /// GPUs cannot sum their gradients.
    #[cfg(feature = "nccl")]
    #[error("NCCL cannot sum gradients: {0}\nhint: name each GPU once, and look whether libnccl is installed")]
    Nccl(String),
    /// The model answers with and without the sound alike.
    #[error(
        "the model does not hear: the log-probabilities of {} are the same with the sound and with silence\n\
         hint: weights of its audio tower or projector are missing or zero",
        counted(*n, "answers")
    )]
    Deaf {
        /// Answers that were compared.
        n: usize,
    },
    /// A server that writes completions fails or refuses.
    #[error(transparent)]
    Text(#[from] audsem_llm::TextError),
    /// Completions of a server cannot be trained on.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// A model cannot be uploaded.
    #[error(transparent)]
    Push(#[from] audsem_core::hub::PushError),
    /// A page cannot be drawn.
    #[error(transparent)]
    Report(#[from] audsem_report::ReportError),
}

impl Error {
    /// Whether a server was not asked because a stop was requested.
    pub(crate) fn is_stop(&self) -> bool {
        matches!(self, Self::Text(audsem_llm::TextError::NotSent))
    }
}

impl From<Error> for ShardError {
    /// What this crate calls an error ends a run; for the bad input of one shard use [`ShardError::input`].
    fn from(error: Error) -> Self {
        match error {
            Error::Core(error) => Self::Fatal(error),
            other => Self::fatal(other),
        }
    }
}
