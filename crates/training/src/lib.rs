//! AudSem stage 6: train audio language models on the shards that `audsem-tarify shards` builds.
//!
//! Each subcommand is a module with a `Config` and a function `run` that fills a run folder.
//!
//! ```
//! use audsem_core::files::write_atomically;
//! use audsem_core::run::RunOptions;
//! use audsem_core::tar::{ShardOptions, ShardWriter};
//! use audsem_training::manifest::{self, Manifest};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
//! let json = br#"{"question": "What barks?", "thinking": "A bark.", "answer": "A dog."}"#;
//! tar.write_sample("VID (1_0-3_5)_qa_0", &[("flac", b"fLaC"), ("json", json)])?;
//! write_atomically(&folder.path().join("0000.tar"), &tar.finish()?.0)?;
//!
//! let config = manifest::Config { inputs: vec![folder.path().into()] };
//! let options = RunOptions::new(folder.path().join("index"));
//! manifest::run(&config, &options)?;
//! let manifest = Manifest::open(&options.output)?;
//! assert_eq!((manifest.rows.len(), manifest.rows[0].clip.as_str()), (1, "VID (1_0-3_5)"));
//! # Ok(()) }
//! ```

pub mod card;
pub mod checkpoint;
pub mod cli;
pub mod data;
pub mod error;
pub mod export;
mod finished;
pub mod generate;
pub mod grpo;
pub mod hand_over;
pub mod inspect;
pub mod manifest;
pub mod metrics;
pub mod reduce;
pub mod rewards;
pub mod setup;
pub mod sft;
pub mod tables;
pub mod update;
mod watch;

// Tests of this crate share files with those in `tests/`, which know it by its name.
#[cfg(test)]
extern crate self as audsem_training;

pub use error::{Error, Result};

/// The binary, as `run.json` has it.
const TOOL: &str = "audsem-training";
