//! The command line: clap types only, one file for each subcommand.

mod combine;
mod filter;

pub use combine::{CombineArgs, Requirement};
pub use filter::{Bound, FilterArgs};

use audsem_core::cli::{CommandOutput, GlobalArgs, HasGlobal, RunArgs};
use audsem_core::run::RunOptions;
use audsem_models::nn::limit_threads;
use clap::{Parser, Subcommand};

use crate::error::Error;

/// Describe clips with networks, join what they say, filter it, and write training text from it.
#[derive(Debug, Parser)]
#[command(name = "audsem-metadata-eval", version, max_term_width = 100)]
pub struct Cli {
    /// Flags of every binary.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands, in the order a pipeline uses them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join the tables of the extractors and the clip table: one row for each clip
    Combine(CombineArgs),
    /// Leave out clips by lists, scores, thresholds and conditions on columns
    Filter(FilterArgs),
}

impl Command {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<CommandOutput, Error> {
        let summary = match self {
            Self::Combine(args) => crate::combine::run(&args.config(), &options(&args.run, global)?),
            Self::Filter(args) => crate::filter::run(&args.config(), &options(&args.run, global)?),
        };
        Ok(summary?.into())
    }
}

/// The options of a command, whose networks and matrix products keep to its `--workers` too.
fn options(run: &RunArgs, global: &GlobalArgs) -> Result<RunOptions, Error> {
    let options = run.options(global)?;
    limit_threads(options.workers);
    Ok(options)
}

impl HasGlobal for Cli {
    fn global(&self) -> &GlobalArgs {
        &self.global
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_command_and_flag_has_help() {
        let missing: Vec<String> = audsem_core::cli::undocumented(&super::Cli::command());
        assert!(missing.is_empty(), "no help text: {missing:?}");
    }
}
