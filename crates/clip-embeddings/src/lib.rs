//! AudSem stage 2: distances of clips and captions to reference sets, contamination with benchmarks,
//! and how well clips and captions match.
//!
//! Each subcommand is a module with a `Config` and a function `run` that fills a run folder.
//!
//! ```
//! use audsem_clip_embeddings::score;
//! use audsem_clip_embeddings::tables::Score;
//! use audsem_core::files::write_atomically;
//! use audsem_core::run::RunOptions;
//! use audsem_core::tables::{AudioEmbedding, AudioEmbeddingRef, VectorWriter, read_parquet};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let table = |name: &str, vectors: &[[f32; 2]]| -> Result<String, Box<dyn std::error::Error>> {
//!     let mut bytes = Vec::new();
//!     let mut writer = VectorWriter::<AudioEmbedding, _>::new(&mut bytes, 2, &[])?;
//!     for vector in vectors {
//!         let row = AudioEmbeddingRef { key: "VID (1_0-3_5)", shard: "0.tar", n_samples: 120_000, is_longer: false };
//!         writer.push(row, vector)?;
//!     }
//!     writer.finish()?;
//!     let path = folder.path().join(name);
//!     write_atomically(&path, &bytes)?;
//!     Ok(path.display().to_string())
//! };
//! let (clips, reference) = (table("clips.parquet", &[[0.0, 3.0]])?, table("reference.parquet", &[[1.0, 0.0], [0.0, 1.0]])?);
//! let config = score::Config {
//!     inputs: vec![clips.parse()?],
//!     references: vec![reference.parse()?],
//!     modality: None,
//!     compat_batch: None,
//!     top_k: Some(1),
//! };
//! score::run(&config, &RunOptions::new(folder.path().join("out")))?;
//! let scores: Vec<Score> = read_parquet(&folder.path().join("out/part-00000.parquet"))?;
//! // Cosines 0 and 1: the mean dissimilarity is one half, the nearest reference vector the same.
//! assert_eq!((scores[0].dissimilarity, scores[0].nearest), (0.5, Some(1.0)));
//! # Ok(()) }
//! ```

pub mod cli;
pub mod contamination;
pub mod criterion;
pub mod embed;
pub mod error;
pub mod extract;
pub mod import;
pub mod matching;
pub mod mean_embedding;
pub mod merge;
mod missing;
pub mod model_tag;
pub mod nearest;
pub mod product;
pub mod reason;
pub mod reference;
mod rejects;
mod repeats;
pub mod report;
pub mod score;
pub mod scores;
pub mod sets;
pub mod tables;
mod texts;
mod unit_rows;
pub mod vector_math;

/// The binary, as `run.json` has it.
const TOOL: &str = "audsem-clip-embeddings";
