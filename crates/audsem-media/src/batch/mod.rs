//! A network over the clips of shards: clips → decode → features → batches by length → network → rows.
//!
//! [`BatchStep`] implements a command around a network, which is a [`ClipNetwork`]: it lists tars, folders and
//! lists of sounds or, for a network over [`ClipFrames`], of videos and pictures, drops repeated clips, decodes each clip once with a bounded queue, and writes one table for each
//! shard of input. Several networks share decoded clips, and each fails for itself. Resume, rejects, `--limit`, `--shard`, `--dry-run` and progress in seconds of sound or in frames are included.
//!
//! ```text
//! out/keys-00000.csv        keys of a source under which there are such media
//! out/part-00000.parquet    one row for each clip
//! ```
//!
//! A clip that cannot be decoded, or that the network refuses, is a counted reject and leaves other clips unaffected.
//! Rows do not depend on the number of workers, on the batch size, or on other clips.

mod frames;
mod joint;
mod length;
mod medium;
mod network;
mod part;
mod reason;
mod sound;
mod step;
mod table;

pub use frames::{ClipFrame, ClipFrames, FRAMES, FrameChoice, FrameDecoder};
pub use medium::{ClipDecoder, DecodedClip, MILLISECONDS};
pub use network::{AnyFeatures, AnyNetwork, ClipError, ClipIdentity, ClipNetwork};
pub use reason::MediaFault;
pub use sound::ClipSound;
pub use step::{BatchStep, DECODED, UNASKED};
pub use table::{ClipTable, ClipTables, JointOutput, row_table};
