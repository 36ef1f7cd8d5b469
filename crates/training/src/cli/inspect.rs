//! Flags of `inspect`.

use audsem_core::cli::{CommandOutput, GlobalArgs};
use clap::Args;

use super::setup::SetupArgs;
use super::training::BatchArgs;
use crate::error::Result;
use crate::inspect::{Config, run};

/// Flags of `inspect`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Takes the flags of `sft` that say what is trained, and on what. Of the weights nothing is read but their headers. What is
learned of each example stands in [[ ]]. With --json the same as one object.")]
pub struct InspectArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub setup: SetupArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub batching: BatchArgs,
    /// Seed of the order of examples
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Threads that prepare examples
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub workers: u32,
}

impl InspectArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents it.
    pub fn run(&self, global: &GlobalArgs) -> Result<CommandOutput> {
        let setup = self.setup.setup()?;
        let (batches, seed, workers) = (self.batching.config(), self.seed, self.workers as usize);
        let inspection = run(&Config { setup, batches, seed, workers })?;
        let json = || serde_json::to_string(&inspection).expect("an inspection is plain data");
        Ok(CommandOutput::Text(if global.json { json() } else { inspection.to_string() }))
    }
}
