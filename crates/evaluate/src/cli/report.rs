//! Flags of `report`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use crate::report::{self, NamedFolder};

/// Flags of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Run folders of `score`, the main one first; a name before it is shown on the page
    #[arg(short, long, value_name = "[NAME=]DIR", required = true, num_args = 1..)]
    pub input: Vec<NamedFolder>,
    /// Folders and tars with the sounds of the questions, to listen to the examples
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub sounds: Vec<PathBuf>,
    /// Run folders of the data pipeline in its order, whose counts are shown
    #[arg(long, value_name = "[NAME=]DIR", num_args = 1..)]
    pub pipeline: Vec<NamedFolder>,
    /// Run folders of trainings, whose curves are shown
    #[arg(long, value_name = "[NAME=]DIR", num_args = 1..)]
    pub training: Vec<NamedFolder>,
    /// Published results to stand beside the scores (TOML) [default: those that are built in]
    #[arg(long, value_name = "FILE.toml")]
    pub published: Option<PathBuf>,
    /// Examples of each data set
    #[arg(long, value_name = "N", default_value_t = 9)]
    pub examples: u16,
    /// Resamples of the bootstrap of differences between runs
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub resamples: u32,
    /// Title of the page
    #[arg(long, value_name = "TEXT", default_value = "Evaluation")]
    pub title: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ReportArgs {
    /// What the flags ask for.
    #[must_use]
    pub fn config(&self) -> report::Config {
        report::Config {
            inputs: self.input.clone(),
            sounds: self.sounds.clone(),
            pipeline: self.pipeline.clone(),
            training: self.training.clone(),
            published: self.published.clone(),
            examples: usize::from(self.examples),
            resamples: self.resamples,
            title: self.title.clone(),
        }
    }
}
