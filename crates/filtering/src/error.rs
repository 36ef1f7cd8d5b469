//! Errors of this crate.

use audsem_core::run::ShardError;
use audsem_core::tables::TableError;
use audsem_llm::TextError;
use audsem_media::program::MediaError;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What keeps a subcommand of this crate from running. Records that are left out are not errors:
/// they are counted and filed with their reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The run folder, an input or a flag.
    #[error(transparent)]
    Core(#[from] audsem_core::error::Error),
    /// A table cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A language model cannot be asked.
    #[error(transparent)]
    Text(#[from] TextError),
    /// ffmpeg, ffprobe or yt-dlp cannot be run.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// A site refuses further requests.
    #[error(
        "the site refuses further requests, at {key}: {detail}\n\
         hint: wait some hours, ask less often (--requests-per-hour), or use your own account (--cookies, \
         --cookies-from-browser); the same command then continues where it stopped"
    )]
    Blocked {
        /// The video that was asked for.
        key: String,
        /// The message of the site.
        detail: String,
    },
    /// A network cannot be loaded, run or trained.
    #[error(transparent)]
    Network(#[from] audsem_models::Error),
    /// A model cannot be found, or its weights do not fit.
    #[error(transparent)]
    Model(#[from] audsem_core::weights::ModelError),
    /// Labelled captions cannot be used for training.
    #[error("cannot train on labelled captions: {}: {problem}\nhint: give a CSV file with the columns text (or Caption), label (or matches_condition) and, for a fixed split, split", .path.display())]
    Labelled {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        problem: String,
    },
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
