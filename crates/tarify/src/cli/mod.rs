//! The command line: clap types only, one file for each subcommand.

mod check;
mod examples;
mod index;
mod media;
mod pack;
mod rename;
mod transcode;
mod why;

pub use crate::shards::ShardsArgs;
pub use check::CheckArgs;
pub use index::IndexArgs;
pub use media::{EncodingArgs, ProgramArgs};
pub use pack::PackArgs;
pub use rename::RenameArgs;
pub use transcode::TranscodeArgs;
pub use why::WhyArgs;

use audsem_core::cli::{CommandExamples, CommandOutput, GlobalArgs, HasGlobal, Without};
use clap::{Parser, Subcommand};

use crate::error::Error;

/// Pack, repair, transcode, check and index WebDataset tars, and build training shards.
#[derive(Debug, Parser)]
#[command(name = "audsem-tarify", version, max_term_width = 100)]
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
    /// Transcode clips to 720p, 25 frames per second, and pack them with their metadata into tars
    Pack(PackArgs),
    /// Copy tars with members renamed as readers expect them: `VIDEO_ID (1_0-3_5).mp4`
    Rename(RenameArgs),
    /// Copy video tars with smaller videos: 360p, 2 frames per second
    Transcode(TranscodeArgs),
    /// Check tars: pairs, keys, truncation, sizes.json, JSON fields, sound; exit code 1 if anything is wrong
    Check(CheckArgs),
    /// Write tar_mp4_mapping.csv, sizes.json and a Parquet table with the location of every member
    Index(IndexArgs),
    /// Build train/valid WebDataset shards from generated text and tars of clips
    Shards(Box<ShardsArgs>),
    /// Say what became of a clip or a video in the run folders of a pipeline, and why it was left out
    Why(WhyArgs),
}

impl Command {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<CommandOutput, Error> {
        let summary = match self {
            Self::Pack(args) => crate::pack::run(&args.config(), &args.run.options(global)?),
            Self::Rename(args) => crate::rename::run(&args.config(), &args.run.options(global)?),
            Self::Transcode(args) => crate::transcode::run(&args.config(), &args.run.options(global)?),
            Self::Check(args) => crate::check::run(&args.config(), &args.run.options(global)?),
            Self::Index(args) => crate::index::run(&args.config(), &args.run.options(global)?),
            Self::Shards(args) => args.run(global),
            Self::Why(args) => return args.run(global),
        };
        Ok(summary?.into())
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
