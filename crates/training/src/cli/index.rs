//! Flags of `index`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use crate::manifest::Config;

/// Flags of `index`.
#[derive(Debug, Args)]
#[command(after_help = "\
An example is a question with its answer about one sound; a sample with several pairs (`shards --layout together`) is
several examples. Examples without a sound, without JSON that can be read, or without an answer are listed in
rejects-*.jsonl with the reason; a damaged tar is used up to the damage, and the exit code is then 1.
Training commands take the output folder as --data; they also take a folder of shards, and index it first.")]
pub struct IndexArgs {
    /// Folders of training shards (uncompressed tars of KEY.flac and KEY.json), or single tars
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl IndexArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config { inputs: self.input.clone() }
    }
}
