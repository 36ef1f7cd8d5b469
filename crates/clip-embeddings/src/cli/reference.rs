//! Flags of `reference`.

use audsem_core::cli::RunArgs;
use clap::{Args, Subcommand};

use crate::reference::Config;
use crate::sets::SetPath;

/// Flags of `reference`.
#[derive(Debug, Args)]
pub struct ReferenceArgs {
    /// What to do with references.
    #[command(subcommand)]
    pub command: ReferenceCommand,
}

/// What can be done with references.
#[derive(Debug, Subcommand)]
pub enum ReferenceCommand {
    /// Write reference.json, the mean direction of sets of embeddings, and with --index their vectors
    Build(BuildArgs),
}

/// Flags of `reference build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// A set of embeddings (run folder, folder of Parquet files, or one file) and its name; repeat for more
    #[arg(long = "reference", value_name = "[NAME=]PATH", required = true, num_args = 1..)]
    pub reference: Vec<SetPath>,
    /// Weigh every batch of N vectors the same, the last and shorter one too, as programs do that
    /// average over batches [default: every vector counts the same]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub compat_batch: Option<u64>,
    /// Keep the vectors themselves, which nearest neighbours need
    #[arg(long)]
    pub index: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl BuildArgs {
    /// What the flags ask for.
    pub fn config(&self) -> Config {
        Config { sets: self.reference.clone(), compat_batch: self.compat_batch, index: self.index }
    }
}
