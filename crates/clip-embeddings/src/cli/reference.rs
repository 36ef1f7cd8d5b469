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
    /// A set of embeddings (run folder, folder of Parquet files, or one file) and its name; may be given several times
    #[arg(long = "reference", value_name = "[NAME=]PATH", required = true, num_args = 1..)]
    pub reference: Vec<SetPath>,
    /// Weight every batch of N vectors equally, including the last, shorter one, as programs do that
    /// average over batches [default: every vector has the same weight]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub compat_batch: Option<u64>,
    /// Also store the vectors, which are needed for nearest neighbours
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
