//! The command line: clap types only, one file for each subcommand.

mod combine;
mod extract;
mod label;

use audsem_core::cli::{GlobalArgs, HasGlobal};
use clap::{Parser, Subcommand};

pub use combine::{CombineArgs, ExplainArgs};
pub use extract::ExtractArgs;
pub use label::LabelArgs;

/// Closed captions to a clean clip table, media and audio shards.
#[derive(Debug, Parser)]
#[command(name = "audsem-filtering", version, max_term_width = 100)]
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
    /// Captions dumps and subtitle files to a table of bracketed sound captions
    Extract(Box<ExtractArgs>),
    /// Ask a language model server whether each distinct caption names a sound
    Label(Box<LabelArgs>),
    /// Cues and labels to a clean clip table and a list of distinct captions
    Combine(Box<CombineArgs>),
    /// Which rule of `combine` decides about a caption, and what each rule makes of it
    Explain(Box<ExplainArgs>),
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
