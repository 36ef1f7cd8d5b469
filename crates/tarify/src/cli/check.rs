//! Flags of `check`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use crate::check::Config;

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Tars (plain, gzip, zstd), or folders of them; a sizes.json beside them is checked as well
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// JSON fields that must be there and not be empty
    #[arg(long, value_name = "FIELD", num_args = 1..)]
    pub require: Vec<String>,
    /// Decode every sound to its end (videos are not decoded)
    #[arg(long)]
    pub verify: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl CheckArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config { inputs: self.input.clone(), fields: self.require.clone(), verify: self.verify }
    }
}
