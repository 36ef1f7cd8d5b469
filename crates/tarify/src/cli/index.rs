//! Flags of `index`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use crate::index::Config;

/// Flags of `index`.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// Tars (plain, gzip, zstd), or folders of them
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
