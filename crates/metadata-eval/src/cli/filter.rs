//! Flags of `filter`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use clap::Args;

use crate::filter::{Condition, Config, FilterThresholds};

/// Flags of `filter`.
#[derive(Debug, Args)]
pub struct FilterArgs {
    /// Outputs of `combine`: run folders or Parquet files
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Lists of clips to leave out: Parquet, CSV or JSON lines with a column `key` or `file_name`, or text with one key per
    /// line
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub exclude: Vec<PathBuf>,
    /// Tables of `audsem-clip-embeddings score`
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub scores: Vec<PathBuf>,
    /// Leave out clips that these tables score above this
    #[arg(long, value_name = "SCORE", default_value_t = 0.95, value_parser = number, requires = "scores")]
    pub max_dissimilarity: f64,
    /// Keep clips longer than this many seconds; `off` keeps clips of any length
    #[arg(long, value_name = "SECONDS", default_value = "3.0", value_parser = bound)]
    pub min_duration: Bound,
    /// Keep clips whose closed caption and audio caption are at least this similar; `off` does not compare them
    #[arg(long, value_name = "COSINE", default_value = "0.5", value_parser = bound)]
    pub min_similarity: Bound,
    /// Keep clips of which at most this share is speech [default: off]
    #[arg(long, value_name = "SHARE", default_value = "off", hide_default_value = true, value_parser = bound)]
    pub max_speech: Bound,
    /// Keep clips that meet this condition on a column, such as `ced_tags contains Rain`; may be given several times
    #[arg(long = "where", value_name = "COLUMN OP VALUE")]
    pub conditions: Vec<Condition>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

/// A threshold that may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound(Option<f64>);

fn bound(text: &str) -> Result<Bound, String> {
    if text == "off" { Ok(Bound(None)) } else { number(text).map(|number| Bound(Some(number))) }
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "expected a number".to_owned())
}

impl FilterArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config {
            inputs: self.input.clone(),
            exclude: self.exclude.clone(),
            scores: self.scores.clone(),
            thresholds: FilterThresholds {
                min_duration_s: self.min_duration.0,
                min_similarity: self.min_similarity.0,
                max_speech: self.max_speech.0,
                max_dissimilarity: self.max_dissimilarity,
            },
            conditions: self.conditions.clone(),
        }
    }
}
