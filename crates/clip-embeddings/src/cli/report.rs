//! Flags of `report` and `extract`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use super::score;
use crate::criterion::{Column, Side};
use crate::extract::{self, SoundFormat};
use crate::report::{self, ClipsMode};
use crate::sets::Modality;

/// Flags of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run folders of `score` or `match`, folders of such tables, or single tables
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// The column to report on [default: dissimilarity for scores, cosine for matches]
    #[arg(long, value_enum)]
    pub column: Option<Column>,
    /// Which side of a threshold is suspicious [default: over for dissimilarity, under for the others]
    #[arg(long, value_enum)]
    pub side: Option<Side>,
    /// Thresholds to try; for each one a list of the clips beyond it is written
    /// [default: 0.9, 0.95, 0.99 for dissimilarity; 0.3, 0.5, 0.7 for neighbours; 0.1, 0.2, 0.3 for matches]
    #[arg(long, value_name = "SCORE", num_args = 1.., value_delimiter = ',', allow_negative_numbers = true, value_parser = score)]
    pub threshold: Vec<f32>,
    /// Tables with `key` and `text`, such as the run folder of `embed-text`, from which captions are added
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub text: Vec<PathBuf>,
    /// Audio shards that hold the clips, to listen to the extremes
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub shards: Vec<PathBuf>,
    /// Number of clips shown at either end
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub extremes: u16,
    /// How sounds are included in the page
    #[arg(long = "players", alias = "clips", value_enum, default_value = "embed")]
    pub clips: ClipsMode,
    /// Title of the page [default: depends on the column]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
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
            texts: self.text.clone(),
            column: self.column,
            side: self.side,
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
    /// Run folders of `score` or `match`, folders of such tables, or single tables
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// The column to go by [default: dissimilarity for scores, cosine for matches]
    #[arg(long, value_enum)]
    pub column: Option<Column>,
    /// Which side of the threshold is suspicious [default: over for dissimilarity, under for the others]
    #[arg(long, value_enum)]
    pub side: Option<Side>,
    /// Audio shards that hold the clips
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    pub shards: Vec<PathBuf>,
    /// Copy clips beyond this threshold [default: 0.95 for dissimilarity, 0.5 for neighbours, 0.2 for matches]
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = score)]
    pub threshold: Option<f32>,
    /// Modality whose scores count (for scores; matches have none)
    #[arg(long, value_enum, default_value = "audio")]
    pub modality: Modality,
    /// How copies are stored
    #[arg(long, value_enum, default_value = "keep")]
    pub format: SoundFormat,
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
            column: self.column,
            side: self.side,
            threshold: self.threshold,
            format: self.format,
        }
    }
}
