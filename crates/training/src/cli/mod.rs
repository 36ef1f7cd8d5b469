//! The command line: clap types only, one file for each subcommand.

mod compose;
mod examples;
mod export;
mod export_dataset;
mod generate;
mod grpo;
mod index;
mod inspect;
mod lora;
mod numbers;
mod rewards;
mod setup;
mod sft;
mod training;

pub use compose::ComposeArgs;
pub use export::ExportArgs;
pub use export_dataset::{ExportConfigArgs, ExportDatasetArgs};
pub use generate::GenerateArgs;
pub use grpo::{GroupArgs, GrpoArgs, ObjectiveArgs, RolloutServerArgs, SamplingArgs};
pub use index::IndexArgs;
pub use inspect::InspectArgs;
pub use lora::{LoraArgs, LoraScope};
pub use rewards::{CompatChoice, RewardFlags, RewardsArgs};
pub use setup::{ExampleArgs, SetupArgs};
pub use sft::SftArgs;
pub use training::{BatchArgs, SavingArgs, ScheduleName, UpdateArgs};

use audsem_core::cli::{CommandExamples, CommandOutput, GlobalArgs, HasGlobal, Without};
use clap::{Parser, Subcommand};

use crate::error::Result;

/// Train audio language models on question-answer and caption shards.
#[derive(Debug, Parser)]
#[command(name = "audsem-training", version, max_term_width = 100)]
pub struct Cli {
    /// Flags of every binary.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands, in the order in which a training uses them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the examples of training shards with their places, and tell what cannot be trained on
    Index(IndexArgs),
    /// Make an audio language model of a Whisper's encoder and a language model
    Compose(ComposeArgs),
    /// Show what a training would learn from, how many parameters it trains, and what memory it needs
    Inspect(Box<InspectArgs>),
    /// Fine-tune an audio language model on questions and answers about sounds
    Sft(Box<SftArgs>),
    /// Train an audio language model by rewards of what it writes, in groups of completions
    Grpo(Box<GrpoArgs>),
    /// Make a complete model folder of a training, which transformers opens
    Export(ExportArgs),
    /// Ask an audio language model about sound files
    Generate(Box<GenerateArgs>),
    /// Score completions that are already written, and tell what reinforcement learning would learn from them
    Rewards(Box<RewardsArgs>),
    /// Write examples as rows of another engine, with their sounds as files
    ExportDataset(Box<ExportDatasetArgs>),
    /// Write a script that trains with another engine, with the same rewards
    ExportConfig(Box<ExportConfigArgs>),
}

impl Command {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<CommandOutput> {
        match self {
            Self::Index(args) => Ok(crate::manifest::run(&args.config(), &args.run.options(global)?)?.into()),
            Self::Compose(args) => args.run(global),
            Self::Inspect(args) => args.run(global),
            Self::Sft(args) => Ok(args.run(global)?.into()),
            Self::Grpo(args) => Ok(args.run(global)?.into()),
            Self::Export(args) => Ok(crate::export::run(&args.config(), &args.run.options(global)?)?.into()),
            Self::Generate(args) => args.run(global),
            Self::Rewards(args) => Ok(CommandOutput::Text(args.text(global.json)?)),
            Self::ExportDataset(args) => Ok(crate::hand_over::run(&args.config()?, &args.run.options(global)?)?.into()),
            Self::ExportConfig(args) => Ok(CommandOutput::Text(args.text(global.json)?)),
        }
    }
}

impl HasGlobal for Cli {
    fn global(&self) -> &GlobalArgs {
        &self.global
    }

    fn examples() -> &'static [CommandExamples] {
        examples::EXAMPLES
    }

    fn without() -> &'static [Without] {
        examples::WITHOUT
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_help_has_what_people_need() {
        let faults: Vec<String> = audsem_core::cli::faults::<super::Cli>();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}
