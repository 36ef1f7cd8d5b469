//! Tests of this crate through its public interface and its binary.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod alone;
mod chaos;
mod clap2;
mod contamination;
mod dry_run;
mod embed;
mod embed_inputs;
mod empty;
mod extract;
mod hostile_models;
mod import;
mod kill;
mod lost;
mod matching;
mod merge;
mod original;
mod report;
mod score;
mod torch_file;
mod workbench;
