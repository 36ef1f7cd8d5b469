//! Embeddings of sounds and captions by a CLAP model.
//!
//! `embed-audio` and `embed-text` read shards as stage 1 wrote them, or any sounds on disk. One shard of input becomes
//! one table. Features exist in memory only. A row depends on its own sound or caption, never on what lies beside it.
//!
//! Two steps: *keys* notes which source has which key; *part* embeds each source, but what an earlier one has.
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
