//! Flags of `import-reference`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use crate::import::{Config, ReferenceKind};

/// Flags of `import-reference`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Files that the reference pipeline has written, or folders of them
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// What the files hold
    #[arg(long, value_enum)]
    pub kind: ReferenceKind,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ImportArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config { inputs: self.input.clone(), kind: self.kind }
    }
}
