//! AudSem stage 4: pack, repair, transcode, check and index WebDataset tars, and build training shards.
//!
//! Each subcommand is a module with a `Config` and a function `run` that fills a run folder.
//!
//! ```
//! use audsem_core::files::write_atomically;
//! use audsem_core::run::{RunOptions, Status};
//! use audsem_core::tar::{ShardOptions, ShardWriter};
//! use audsem_tarify::check;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
//! tar.write_sample("VID (1_0-3_5)", &[("flac", b"fLaC")])?;
//! write_atomically(&folder.path().join("0.tar"), &tar.finish()?.0)?;
//!
//! let config = check::Config {
//!     inputs: vec![folder.path().into()],
//!     task: None,
//!     semantic: false,
//!     fields: Vec::new(),
//!     verify: check::MediaCheck::Headers,
//!     ffmpeg: None,
//! };
//! let options = RunOptions { max_fail_rate: 0.0, ..RunOptions::new(folder.path().join("out")) };
//! let summary = check::run(&config, &options)?;
//! assert_eq!(summary.status, Status::CheckFailed);
//! assert_eq!(summary.step("part").map(|stats| stats.failed["no_json"]), Some(1));
//! # Ok(()) }
//! ```

pub mod check;
pub mod cli;
mod clip_rows;
pub mod encode;
pub mod error;
pub mod index;
pub mod pack;
pub mod reason;
pub mod rename;
pub mod shards;
pub mod sizes;
pub mod tables;
mod tar_output;
pub mod tars;
pub mod transcode;
pub mod why;
mod working_folder;

/// The binary, as `run.json` has it.
const TOOL: &str = "audsem-tarify";
