//! Command-line flags, configuration files and exit codes that every binary shares.
//!
//! A stage's `main` is one call of [`main`]; its `Cli` flattens [`GlobalArgs`], each subcommand
//! that writes a run folder flattens [`RunArgs`]. A value comes from, in this order: the flag, the
//! variable `AUDSEM_<FLAG>`, the file named by `--config`, the default.

mod args;
mod binaries;
mod config;
mod exit;
mod faults;
#[cfg(feature = "nn")]
mod model;
mod nearest;
mod slurm;
mod whole;

pub use args::{GlobalArgs, RunArgs};
pub use config::{ConfigError, Place, matches_from};
pub use exit::{CommandOutput, HasGlobal, main};
pub use faults::faults;
#[cfg(feature = "nn")]
pub use model::ModelArgs;
pub use nearest::nearest;
pub use whole::{CommandExamples, Without, command};
