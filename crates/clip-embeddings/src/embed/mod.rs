//! Embeddings of sounds and captions by a CLAP model.
//!
//! `embed-audio` and `embed-text` read shards as stage 1 wrote them, or any sounds on disk. One shard of input becomes
//! one table. Features exist in memory only. A row depends on its own sound or caption only, never on other rows.
//!
//! Two steps: *keys* records which source has which key; *part* embeds each source except keys of an earlier one.
//!
//! ```text
//! out/keys-00000.csv        keys of a source under which something can be embedded
//! out/part-00000.parquet    its table
//! ```

pub mod audio;
mod caption_cache;
mod model;
mod network;
pub mod similarity;
mod sounds;
pub mod text;

pub use model::ModelSettings;
pub use sounds::{CropRule, Windows};
