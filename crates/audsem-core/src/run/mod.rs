//! The run folder: what a subcommand leaves on disk, and how it resumes after a kill.
//!
//! ```text
//! out/
//!   run.json               effective config and its hash, input fingerprints, tool version, models
//!   part-00042.parquet     data: temporary name, flushed to disk, renamed
//!   part-00042.done.json   the only completion marker: config hash, input fingerprint, outputs, stats
//!   rejects-00042.jsonl    one line for each record left out
//!   stats.json             exact sum of the shard stats, step by step; which shards there are and which failed;
//!                          whether that is all
//!   timing.json, log.jsonl wall-clock times: the only files that differ between equal runs
//! ```
//!
//! A step divides its work into [`Shard`]s. A shard's outputs depend on the configuration and on what
//! it reads, never on the number of workers, so a shard that is done is done for good: a re-run
//! skips it if its marker agrees with the configuration and the inputs.
//!
//! Readers go through [`CompletedRun`], which counts the shards and their files before any of them is read.

mod accounts;
mod completed;
mod discard;
mod ending;
mod entry;
mod execute;
mod facts;
mod fingerprint;
mod folder;
mod fresh;
mod handover;
mod left;
mod marker;
mod open;
mod options;
mod outcome;
mod planned;
mod reads;
mod record;
mod rejects;
mod required;
mod scratch;
mod shard;
mod spread;
mod stats;
mod summary;

pub use completed::{CompletedRun, check_growing};
pub use ending::{Lacking, Unfinished};
pub use execute::Step;
pub use facts::RunFacts;
pub use fingerprint::{FileFingerprint, Fingerprint};
pub use handover::{Handover, JsonFile, ReadBack, ShardOutputs, StepOutputs};
pub use open::{Change, ModelFingerprint, Run, RunConfig, RunSpec, log_event};
pub use options::{RunOptions, ShardSelection};
pub use outcome::{LeftOut, Outcome};
pub use reads::{FileState, FingerprintPiece, Reads};
pub use record::{KnownReason, KnownReasons, RunFolder};
pub use rejects::{RejectBatch, RejectDetail, escape};
pub use required::RequiredStep;
pub use scratch::ScratchFolder;
pub use shard::{OutputFile, Shard, ShardError, ShardOutput};
pub use spread::{is_place, spread};
pub use stats::Stats;
pub use summary::{FailedShard, Status, Summary};
