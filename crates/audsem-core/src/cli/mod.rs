//! Command-line flags, configuration files and exit codes that every binary shares.
//!
//! A stage's `main` is one call of [`main`]; its `Cli` flattens [`GlobalArgs`], each subcommand
//! that writes a run folder flattens [`RunArgs`]. A value comes from, in this order: the flag, the
//! variable `AUDSEM_<FLAG>`, the file named by `--config`, the default.

mod args;
mod config;
mod documented;
mod exit;
#[cfg(feature = "nn")]
mod model;
mod slurm;

pub use args::{GlobalArgs, RunArgs};
pub use config::{ConfigError, parse_from};
pub use documented::undocumented;
pub use exit::{CommandOutput, HasGlobal, main};
#[cfg(feature = "nn")]
pub use model::ModelArgs;
