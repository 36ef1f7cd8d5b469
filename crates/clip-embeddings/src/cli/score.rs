//! Flags of `score`.

use audsem_core::cli::RunArgs;
use clap::{Args, ValueEnum};

use crate::score::Config;
use crate::sets::{Modality, SetPath};

/// Which scores are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScoreKind {
    /// The mean dissimilarity: one pass
    Mean,
    /// Also the nearest reference vectors: every pair is compared
    Knn,
}

/// Flags of `score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// Embeddings to score (run folder, folder of Parquet files, or one file) and their name; repeat for more
    #[arg(short, long, value_name = "[NAME=]PATH", required = true, num_args = 1..)]
    pub input: Vec<SetPath>,
    /// What to compare with: embeddings, or what `reference build` has written; repeat for more
    #[arg(long = "reference", value_name = "[NAME=]PATH", required = true, num_args = 1..)]
    pub reference: Vec<SetPath>,
    /// Which scores to compute
    #[arg(long, value_enum, default_value = "mean")]
    pub score: ScoreKind,
    /// With --score knn: how many neighbours `mean_top_k` is the mean of
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub top_k: u16,
    /// What the input is of [default: seen from its columns]
    #[arg(long, value_enum)]
    pub modality: Option<Modality>,
    /// Weigh every batch of N reference vectors the same, the last and shorter one too, as programs do
    /// that average over batches [default: every vector counts the same]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub compat_batch: Option<u64>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ScoreArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config {
            inputs: self.input.clone(),
            references: self.reference.clone(),
            modality: self.modality,
            compat_batch: self.compat_batch,
            top_k: (self.score == ScoreKind::Knn).then_some(usize::from(self.top_k)),
        }
    }
}
