//! WebDataset tars: the key rule, a one-pass reader and a deterministic shard writer.
//!
//! A tar holds *samples*: consecutive members whose names share a key (`VID (1_0-3_5).flac`,
//! `VID (1_0-3_5).json`). [`SampleReader`] yields them with their bytes, [`MemberReader`] walks the
//! members alone and can skip payloads without reading them, [`ShardWriter`] writes them.
//!
//! ```
//! use audsem_core::tar::{SampleReader, ShardOptions, ShardWriter};
//!
//! let mut writer = ShardWriter::new(Vec::new(), ShardOptions::default());
//! writer.write_sample("VID (1_0-3_5)", &[("flac", b"fLaC"), ("json", b"{}")])?;
//! let (bytes, counts) = writer.finish()?;
//! assert_eq!(counts.samples, 1);
//!
//! let mut reader = SampleReader::from_reader("memory", std::io::Cursor::new(bytes))?;
//! let sample = reader.next_sample()?.expect("one sample was written");
//! assert_eq!(sample.key, "VID (1_0-3_5)");
//! assert_eq!(sample.get("json"), Some(&b"{}"[..]));
//! # Ok::<(), audsem_core::tar::TarError>(())
//! ```

mod error;
mod grouping;
mod key;
mod list;
mod members;
mod reader;
mod source;
mod split;
mod writer;

#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod tests;

pub use error::TarError;
pub use grouping::{Grouping, MemberRole};
pub use key::{is_metadata, split_key};
pub use list::{TarInput, is_tar, list_tars, split_ending, tars_under};
pub use members::{MAX_MEMBER_BYTES, Member, MemberReader};
pub use reader::{ReadCounts, Sample, SampleReader};
pub use split::{ShardPlanner, SplitLimits, plan_shards, stored_bytes};
pub use writer::{MAX_NAME_BYTES, ShardCounts, ShardOptions, ShardWriter};

/// Size of a tar block in bytes; headers take one, payloads are padded to a multiple of it.
pub const BLOCK: usize = 512;
