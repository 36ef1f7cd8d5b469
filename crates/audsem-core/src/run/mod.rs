//! The run folder: what a subcommand leaves on disk, and how it resumes after a kill.
//!
//! ```text
//! out/
//!   run.json               effective config and its hash, input fingerprints, tool version, models
//!   part-00042.parquet     data: temporary name, flushed to disk, renamed
//!   part-00042.done.json   the only completion marker: config hash, input fingerprint, outputs, stats
//!   rejects-00042.jsonl    one line for each record left out
//!   stats.json             exact sum of the shard stats, step by step; which shards failed; whether that is all
//!   timing.json, log.jsonl wall-clock times: the only files that differ between equal runs
//! ```
//!
//! A step divides its work into [`Shard`]s. A shard's outputs depend on the configuration and on what
//! it reads, never on the number of workers, so a shard that is done is done for good: a re-run
//! skips it if its marker agrees with the configuration and the inputs.

mod accounts;
mod discard;
mod ending;
mod execute;
mod fingerprint;
mod folder;
mod handover;
mod marker;
mod open;
mod options;
mod outcome;
mod rejects;
mod required;
mod shard;
mod stats;
mod summary;

#[cfg(feature = "tables")]
pub(crate) use ending::unfinished;
pub use ending::{Unfinished, require_finished, warn_if_unfinished};
pub use execute::Step;
pub use fingerprint::{FileFingerprint, Fingerprint};
pub use handover::{Handover, JsonFile, ReadBack, ShardOutputs, StepOutputs};
pub use open::{Change, ModelFingerprint, Run, RunConfig, RunSpec};
pub use options::{RunOptions, ShardSelection};
pub use outcome::{LeftOut, Outcome};
pub use rejects::{RejectBatch, RejectDetail, escape};
pub use required::RequiredStep;
pub use shard::{OutputFile, Shard, ShardError, ShardOutput};
pub use stats::Stats;
pub use summary::{FailedShard, Status, Summary};
