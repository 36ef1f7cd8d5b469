//! Options that every subcommand with a run folder has.

use std::path::PathBuf;

use crate::progress::ProgressDisplay;

/// Which of the shards this process works on: those whose number modulo `count` is `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardSelection {
    /// Number of this process, from 0.
    pub index: usize,
    /// Total number of processes.
    pub count: usize,
}

impl ShardSelection {
    /// Every shard.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// Whether shard number `shard` (from 0) is this process's.
    pub fn includes(self, shard: usize) -> bool {
        shard % self.count == self.index
    }
}

/// The values of `--output`, `--workers`, `--shard`, `--limit` and the other flags of every run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run folder.
    pub output: PathBuf,
    /// Threads to use, at least 1. Never changes a byte of the data.
    pub workers: usize,
    /// Which shards this process works on. Never changes a byte of the data.
    pub shard: ShardSelection,
    /// Stop after this many records; part of the configuration.
    pub limit: Option<u64>,
    /// Seed of every random choice; part of the configuration.
    pub seed: u64,
    /// Run everything except models, media and writing.
    pub dry_run: bool,
    /// Delete an earlier run in the output folder first.
    pub fresh: bool,
    /// The share of failed records above which the run ends with exit code 1.
    pub max_fail_rate: f64,
    /// How progress is shown.
    pub progress: ProgressDisplay,
    /// Write a separate line for each dropped record, also for frequent ones.
    pub all_rejects: bool,
}

impl RunOptions {
    /// Plain options for one output folder, as tests and library users want them: one worker,
    /// everything, no progress shown.
    pub fn new(output: impl Into<PathBuf>) -> Self {
        Self {
            output: output.into(),
            workers: 1,
            shard: ShardSelection::ALL,
            limit: None,
            seed: 0,
            dry_run: false,
            fresh: false,
            max_fail_rate: 1.0,
            progress: ProgressDisplay::Hidden,
            all_rejects: false,
        }
    }
}
