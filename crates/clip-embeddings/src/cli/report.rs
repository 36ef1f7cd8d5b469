//! Flags of `report` and `extract`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use super::dissimilarity;
use crate::extract::{self, Format};
use crate::report::{self, ClipsMode};
use crate::sets::Modality;

/// Flags of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Scores: `score` run folders, folders of tables, or tables
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Thresholds to try; for each one a list of what is over it is written
    #[arg(long, value_name = "D", num_args = 1.., value_delimiter = ',', default_values_t = [0.9, 0.95, 0.99], value_parser = dissimilarity)]
    pub threshold: Vec<f32>,
    /// Audio shards in which the clips are, to listen to the extremes
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub shards: Vec<PathBuf>,
    /// Clips shown at either end
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub extremes: u16,
    /// How the page has its sounds
    #[arg(long, value_enum, default_value = "embed")]
    pub clips: ClipsMode,
    /// Title of the page
    #[arg(long, value_name = "TEXT", default_value = "Dissimilarity to the reference")]
    pub title: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ReportArgs {
    /// What the flags ask for.
    pub fn config(&self) -> report::Config {
        report::Config {
            scores: self.input.clone(),
            shards: self.shards.clone(),
            thresholds: self.threshold.clone(),
            extremes: usize::from(self.extremes),
            clips: self.clips,
            title: self.title.clone(),
        }
    }
}

/// Flags of `extract`.
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// Scores: `score` run folders, folders of tables, or tables
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Audio shards in which the clips are
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    pub shards: Vec<PathBuf>,
    /// Copy clips whose dissimilarity is over this
    #[arg(long, value_name = "D", default_value_t = 0.95, value_parser = dissimilarity)]
    pub threshold: f32,
    /// Whose scores count
    #[arg(long, value_enum, default_value = "audio")]
    pub modality: Modality,
    /// How copies are stored
    #[arg(long, value_enum, default_value = "keep")]
    pub format: Format,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ExtractArgs {
    /// What the flags ask for.
    pub fn config(&self) -> extract::Config {
        extract::Config {
            scores: self.input.clone(),
            shards: self.shards.clone(),
            modality: self.modality,
            threshold: self.threshold,
            format: self.format,
        }
    }
}
