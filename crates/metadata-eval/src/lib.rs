//! AudSem stage 3: what networks say about each clip, joined to one row, filtered, and written up as training text.
//!
//! Each subcommand is a module with a `Config` and a function `run` that fills a run folder. Extractors write one table
//! for each shard of clips; `combine` joins these tables with the clip table of stage 1 on the clip's name and times.
//!
//! ```
//! use audsem_core::files::write_atomically;
//! use audsem_core::run::RunOptions;
//! use audsem_core::tables::{read_parquet, write_parquet};
//! use audsem_metadata_eval::combine::{self, Extractor};
//! use audsem_metadata_eval::tables::{AudioFeatures, ClipMetadata};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let mut row = AudioFeatures::of_key("dQw4w9WgXcQ (12_0-15_54)");
//! row.audio_caption = Some("A door creaks slowly.".to_owned());
//! let mut bytes = Vec::new();
//! write_parquet([&row], &mut bytes)?;
//! let table = folder.path().join("audio.parquet");
//! write_atomically(&table, &bytes)?;
//!
//! let config = combine::Config { audio: vec![table], require: vec![Extractor::Audio], ..combine::Config::default() };
//! combine::run(&config, &RunOptions::new(folder.path().join("out")))?;
//! let rows: Vec<ClipMetadata> = read_parquet(&folder.path().join("out/part-00000.parquet"))?;
//! assert_eq!((rows[0].start_ms, rows[0].end_ms), (Some(12_000), Some(15_540)));
//! assert_eq!(rows[0].audio_caption.as_deref(), Some("A door creaks slowly."));
//! # Ok(()) }
//! ```

pub mod audio;
pub mod audio_caption;
pub mod checkpoint;
pub mod cli;
pub mod combine;
pub mod contribution;
mod decoder;
pub mod error;
pub mod filter;
pub mod image;
pub mod import;
pub mod lint;
mod networks;
mod parquet;
pub mod reason;
mod record_files;
pub mod sample;
pub mod sat;
pub mod tables;
pub mod video;
pub mod write;

/// The binary, as `run.json` has it.
const TOOL: &str = "audsem-metadata-eval";
