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
    /// Embeddings to score (run folder, folder of Parquet files, or one file) and their name; may be given several times
    #[arg(short, long, value_name = "[NAME=]PATH", required = true, num_args = 1..)]
    pub input: Vec<SetPath>,
    /// Reference to compare with: embeddings, or the output of `reference build`; may be given several times
    #[arg(long = "reference", value_name = "[NAME=]PATH", required = true, num_args = 1..)]
    pub reference: Vec<SetPath>,
    /// Which scores to compute
    #[arg(long, value_enum, default_value = "mean")]
    pub score: ScoreKind,
    /// With --score knn: number of neighbours averaged in `mean_top_k`
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub top_k: u16,
    /// Modality of the input [default: inferred from its columns]
    #[arg(long, value_enum)]
    pub modality: Option<Modality>,
    /// Weight every batch of N reference vectors equally, including the last, shorter one, as programs do
    /// that average over batches [default: every vector has the same weight]
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
