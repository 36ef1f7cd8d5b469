//! Flags of `check`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_core::records::Task;
use clap::Args;

use crate::check::{Config, MediaCheck};

/// Flags of `check`.
#[derive(Debug, Args)]
#[command(mut_arg("max_fail_rate", |arg| arg
    .default_value("0")
    .help("Share of samples with problems above which the exit code is 1; all problems are reported in any case")))]
pub struct CheckArgs {
    /// Tars (plain, gzip, zstd), or folders of them; a sizes.json next to them is checked as well
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Check that the tars are training shards of this task: the JSON must have its format (docs/formats.md)
    #[arg(long, value_enum)]
    pub task: Option<Task>,
    /// The training shards were built with --semantic
    #[arg(long, requires = "task")]
    pub semantic: bool,
    /// Further JSON fields that must be present and not empty
    #[arg(long, value_name = "FIELD", num_args = 1..)]
    pub require: Vec<String>,
    /// How thoroughly sounds and videos are checked
    #[arg(long, value_enum, default_value = "full")]
    pub verify: MediaCheck,
    /// The ffmpeg that decodes videos [default: from PATH]
    #[arg(long, value_name = "FILE")]
    pub ffmpeg: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl CheckArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config {
            inputs: self.input.clone(),
            task: self.task,
            semantic: self.semantic,
            fields: self.require.clone(),
            verify: self.verify,
            ffmpeg: self.ffmpeg.clone(),
        }
    }
}
