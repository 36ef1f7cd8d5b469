//! Flags of `contamination`.

use audsem_core::cli::RunArgs;
use clap::Args;

use super::cosine;
use crate::contamination::Config;
use crate::sets::SetPath;

/// Flags of `contamination`.
#[derive(Debug, Args)]
pub struct ContaminationArgs {
    /// Embeddings to search (run folder, folder of Parquet files, or one file); may be given several times
    #[arg(short, long, value_name = "[NAME=]PATH", required = true, num_args = 1..)]
    pub input: Vec<SetPath>,
    /// Embeddings of a benchmark and its name; may be given several times; without it only duplicates are searched
    #[arg(long = "benchmark", value_name = "[NAME=]PATH", num_args = 1..)]
    pub benchmark: Vec<SetPath>,
    /// Minimum cosine at which a benchmark item counts as near
    #[arg(long, value_name = "COSINE", default_value_t = 0.9, value_parser = cosine)]
    pub threshold: f32,
    /// Maximum number of items listed for each record and benchmark, the nearest first
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub top_k: u16,
    /// Also find near duplicates within the input: records with an earlier one at this cosine or above
    #[arg(long, value_name = "COSINE", value_parser = cosine)]
    pub near_duplicates: Option<f32>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ContaminationArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config {
            inputs: self.input.clone(),
            benchmarks: self.benchmark.clone(),
            threshold: self.threshold,
            top_k: usize::from(self.top_k),
            near_duplicates: self.near_duplicates,
        }
    }
}
