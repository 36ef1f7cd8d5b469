//! The command line: clap types only, one file for each subcommand.

mod audio;
mod audio_caption;
mod combine;
mod contribution;
mod convert_weights;
mod examples;
mod filter;
mod image;
mod import;
mod lint;
mod networks;
mod sample;
mod video;
mod write;

pub use audio::{AudioArgs, MusicArgs, SatArgs};
pub use audio_caption::AudioCaptionArgs;
pub use combine::{CombineArgs, Requirement};
pub use contribution::ContributionArgs;
pub use convert_weights::{ConvertWeightsArgs, FormatChoice, NetworkChoice};
pub use filter::{Bound, FilterArgs};
pub use image::ImageArgs;
pub use import::ImportArgs;
pub use lint::LintArgs;
pub use networks::{ModelPath, PlacementArgs};
pub use sample::SampleArgs;
pub use video::VideoArgs;
pub use write::{Backend, PromptArgs, ShowPromptArgs, WriteArgs};

use audsem_core::cli::{CommandExamples, CommandOutput, GlobalArgs, HasGlobal, RunArgs, Without};
use audsem_core::run::RunOptions;
use audsem_models::nn::limit_threads;
use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::write::product::Product;

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
    /// Convert a weight file of another library to a model folder
    ConvertWeights(ConvertWeightsArgs),
    /// Tag each sound with audio networks
    Audio(AudioArgs),
    /// Tag each second of each sound with a streaming network
    Sat(SatArgs),
    /// Label and describe the frames of each video, or each picture, with image networks
    Image(ImageArgs),
    /// Describe each video with a video language model in this process
    Video(VideoArgs),
    /// Describe each sound with an audio language model, behind a server or in this process
    AudioCaption(Box<AudioCaptionArgs>),
    /// Join the tables of the extractors and the clip table: one row for each clip
    Combine(CombineArgs),
    /// Convert the outputs of the Python reference pipeline into tables
    ImportReference(ImportArgs),
    /// Leave out clips by lists, scores, thresholds and conditions on columns
    Filter(FilterArgs),
    /// Write a caption of each clip, with reasoning
    Caption(Box<WriteArgs>),
    /// Write open questions about each clip, with reasoning and answers
    Qa(Box<WriteArgs>),
    /// Write questions with four options about each clip, with reasoning and answers
    Mcqa(Box<WriteArgs>),
    /// Have a model listen to each clip and write a caption, with hints from its pictures
    VisualCaption(Box<WriteArgs>),
    /// Show the prompt that a writer or a judge gets about a clip
    Prompt(Box<ShowPromptArgs>),
    /// Look for faults in captions and questions that are already written, whoever wrote them
    Lint(LintArgs),
    /// Measure how often a model finds the answers to multiple-choice questions without hearing
    Contribution(Box<ContributionArgs>),
    /// Make a page to listen to: clips, and what several outputs say about each of them
    Sample(SampleArgs),
}

impl Command {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<CommandOutput, Error> {
        let summary = match self {
            Self::ConvertWeights(args) => return Ok(args.run(global)?),
            Self::AudioCaption(args) => args.run(&options(&args.run, global)?),
            Self::Audio(args) => crate::audio::run(&args.config()?, &options(&args.run, global)?),
            Self::Image(args) => crate::image::run(&args.config()?, &options(&args.run, global)?),
            Self::Video(args) => crate::video::run(&args.config()?, &options(&args.run, global)?),
            Self::Sat(args) => crate::sat::run(&args.config()?, &options(&args.run, global)?),
            Self::Combine(args) => crate::combine::run(&args.config(), &options(&args.run, global)?),
            Self::ImportReference(args) => crate::import::run(&args.config(), &options(&args.run, global)?),
            Self::Filter(args) => crate::filter::run(&args.config(), &options(&args.run, global)?),
            Self::Caption(args) => args.run(Product::Caption, &options(&args.run, global)?),
            Self::Qa(args) => args.run(Product::Qa, &options(&args.run, global)?),
            Self::Mcqa(args) => args.run(Product::Mcqa, &options(&args.run, global)?),
            Self::VisualCaption(args) => args.run(Product::VisualCaption, &options(&args.run, global)?),
            Self::Contribution(args) => args.run(&options(&args.run, global)?),
            Self::Prompt(args) => return Ok(CommandOutput::Text(args.text()?)),
            Self::Lint(args) => return Ok(CommandOutput::Text(args.text(global.json)?)),
            Self::Sample(args) => return Ok(CommandOutput::Text(args.text(global.json)?)),
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
