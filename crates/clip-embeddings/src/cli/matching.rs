//! Flags of `match`.

use audsem_core::cli::RunArgs;
use clap::Args;

use crate::matching::Config;
use crate::sets::SetPath;

/// Flags of `match`.
#[derive(Debug, Args)]
pub struct MatchArgs {
    /// Embeddings of clips (run folder, folder of Parquet files, or one file); may be given several times
    #[arg(long, value_name = "[NAME=]PATH", required = true, num_args = 1..)]
    pub audio: Vec<SetPath>,
    /// Embeddings of their captions; may be given several times; if a key is repeated, its first caption counts
    #[arg(long, value_name = "[NAME=]PATH", required = true, num_args = 1..)]
    pub text: Vec<SetPath>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl MatchArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config { audio: self.audio.clone(), text: self.text.clone() }
    }
}
