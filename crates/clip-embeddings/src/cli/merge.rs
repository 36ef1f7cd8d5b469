//! Flags of `merge-shards`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use crate::merge::{Config, MergeMode};

/// Flags of `merge-shards`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// A folder of tars, or a tar; may be given several times: tars are numbered in this order
    #[arg(long = "source", value_name = "PATH", required = true, num_args = 1..)]
    pub source: Vec<PathBuf>,
    /// How shards are put into the output folder
    #[arg(long, value_enum, default_value = "link")]
    pub mode: MergeMode,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl MergeArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config { sources: self.source.clone(), mode: self.mode }
    }
}
