//! Clips as inputs: what a command line names, the samples behind it, and which clip each of them is.
//!
//! Every command that reads tars, folders of sounds or lists uses this module, so that an input means the same clips
//! in every command:
//!
//! * [`ClipSource`] is a piece of the input that becomes one shard: a tar, a folder of sounds, or a part of a list.
//! * [`Description`] is the one rule from a sample to its clip: `key` in its JSON, else `original_filename`, else the
//!   name of the sample.
//! * [`Deduplicator`] accepts the first sample of each key, and [`KeyIndex`] does so across the sources of a run.

mod contents;
mod dedupe;
mod description;
mod folder;
mod key_index;
mod list;
mod naming;
mod reason;
mod samples;
mod source;

pub use contents::MediaBytes;
pub use dedupe::{Candidate, Deduplicator};
pub use description::{Description, MAX_JSON_BYTES, clip_key, clip_of_question, parse_clip};
pub use key_index::{ClipPlan, KeyIndex, PlannedSource, index_keys};
pub use reason::{ClipDrop, ClipFault};
pub use samples::{ClipEntry, MediaMember, for_each_head, for_each_sound, scan};
pub use source::{
    ClipContent, ClipRow, ClipSource, MediaFile, SourceKind, limited, list_captions, list_media, list_shards,
};
