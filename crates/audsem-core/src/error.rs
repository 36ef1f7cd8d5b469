//! Errors of this crate.

use std::io;
use std::path::{Path, PathBuf};

use crate::run::{Change, Lacking, Unfinished};
use crate::terminal::counted;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong before or beside the records themselves. Every message says what failed and
/// where, and ends with a hint when there is a next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}{}", path.display(), write_hint(source))]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// An input is not what the command expects.
    #[error("{}", with_path(problem, path))]
    Input {
        /// The input.
        path: PathBuf,
        /// What is wrong with it, and what was expected; may end in a hint.
        problem: String,
    },
    /// The output folder holds something else than a run of this command.
    #[error(
        "the output folder is not empty and is not a run folder of this command ({problem}): {}\n\
         hint: name an empty or new folder with --output",
        path.display()
    )]
    NotARunFolder {
        /// The output folder.
        path: PathBuf,
        /// What was found there.
        problem: String,
    },
    /// The output folder holds a run with another configuration or other inputs.
    #[error(
        "the output folder holds a run that differs from this one: {}{}\n\
         hint: name another --output, or pass --fresh to delete that run and start again",
        path.display(),
        changes.iter().map(|change| format!("\n  {change}")).collect::<String>()
    )]
    Changed {
        /// The output folder.
        path: PathBuf,
        /// The fields that differ.
        changes: Vec<Change>,
    },
    /// The output folder holds a run of another command.
    #[error(
        "the output folder holds a run of {was}, and this is {now}: {}\n\
         hint: name another folder with --output, or pass --fresh to delete that run",
        path.display()
    )]
    OtherCommand {
        /// The output folder.
        path: PathBuf,
        /// The command whose run it holds.
        was: String,
        /// This command.
        now: String,
    },
    /// A flag, variable or configuration file has a value that cannot be used.
    #[error("{what}: {problem}")]
    Config {
        /// The flag, variable or file.
        what: String,
        /// What is wrong and what is expected.
        problem: String,
    },
    /// An input is a run folder whose run has not ended.
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
    /// A run folder does not hold what its run has made.
    #[error(transparent)]
    Lacking(#[from] Lacking),
    /// Another process is using the output folder.
    #[error("another process is using the output folder: {}\nhint: wait until it has ended, or stop it first", path.display())]
    InUse {
        /// The output folder.
        path: PathBuf,
    },
    /// The output folder was removed or replaced during the run.
    #[error("the output folder was removed or replaced while this run was writing to it: {}", path.display())]
    FolderGone {
        /// The output folder.
        path: PathBuf,
    },
    /// A stop was requested before the run could begin.
    #[error("stopped on request, while waiting for {waiting_for}")]
    Stopped {
        /// What it waited for.
        waiting_for: String,
    },
    /// Too many records failed.
    #[error(
        "{failed} of {read} records failed in step `{step}`, more than --max-fail-rate {max_fail_rate} allows\n\
         hint: the rejects-*.jsonl files in the output folder name each one with its fault; the same command continues \
         where it stopped, with a higher --max-fail-rate if this many failures are expected"
    )]
    TooManyFailures {
        /// The step.
        step: String,
        /// Records that failed.
        failed: u64,
        /// Records read.
        read: u64,
        /// The limit, as a share of the records read.
        max_fail_rate: f64,
    },
    /// A stage cannot continue with any record: its server is gone, a program it needs is missing.
    #[error(transparent)]
    Stage(Box<dyn std::error::Error + Send + Sync>),
    /// A stage did not account for every record it read: an error in the program.
    #[error(
        "{step} shard {shard} read {} but accounted for {accounted}; this is an error in the program",
        counted(*read, "records")
    )]
    Unaccounted {
        /// The step.
        step: String,
        /// The shard's name.
        shard: String,
        /// Records read.
        read: u64,
        /// Records kept, dropped or failed.
        accounted: u64,
    },
}

/// What is wrong, where, and then the next step, if the problem ends in a hint.
fn with_path(problem: &str, path: &Path) -> String {
    match problem.split_once("\nhint:") {
        Some((what, hint)) => format!("{what}: {}\nhint:{hint}", path.display()),
        None => format!("{problem}: {}", path.display()),
    }
}

impl Error {
    /// A [`Error::Read`] for `path`.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    /// A [`Error::Write`] for `path`.
    pub fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    /// A [`Error::Input`] for `path`.
    pub fn input(path: &Path, problem: impl Into<String>) -> Self {
        Self::Input { path: path.to_owned(), problem: problem.into() }
    }
}

fn write_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "\nhint: free some space or name an --output on another disk; the same command then continues where it stopped"
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "\nhint: name a folder you may write to with --output"
        }
        _ => "",
    }
}
