//! Flags of `rename`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use crate::rename::{Config, Unmatched};

/// Flags of `rename`.
#[derive(Debug, Args)]
pub struct RenameArgs {
    /// Tars (plain, gzip, zstd), or folders of them
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Prefix of each member name, such as `tar/` for readers that expect it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prefix: String,
    /// What to do with members whose names are not clip names
    #[arg(long, value_enum, default_value = "refuse")]
    pub unmatched: Unmatched,
    /// Modification time of the members, seconds since 1970
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub mtime: u64,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl RenameArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config { inputs: self.input.clone(), prefix: self.prefix.clone(), unmatched: self.unmatched, mtime: self.mtime }
    }
}
