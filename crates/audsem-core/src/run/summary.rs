//! What a run came to.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::stats::Stats;

/// A shard whose input could not be worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedShard {
    /// The step.
    pub step: String,
    /// The shard's name.
    pub shard: String,
    /// What was wrong.
    pub error: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything is done.
    Done,
    /// Stopped on request or restricted by `--shard`; the same command goes on.
    ShardsLeft,
    /// Done, but shards failed or more records failed than `--max-fail-rate` allows.
    OverFailLimit,
    /// Done, but what was checked did not pass.
    CheckFailed,
}

/// The result of a subcommand: printed as a table for people or, with `--json`, as one JSON object.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Binary.
    pub tool: String,
    /// Subcommand.
    pub command: String,
    /// The run folder.
    pub output: PathBuf,
    /// How it ended.
    pub status: Status,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The share of failed records that was allowed.
    pub max_fail_rate: f64,
    /// Shards not done yet, over all steps that were reached.
    pub shards_left: usize,
    /// Counts of each step, in order.
    pub steps: Vec<(String, Stats)>,
    /// Shards that failed.
    pub failed_shards: Vec<FailedShard>,
    /// Further results of the subcommand (metrics, file names), for people and programs.
    pub results: Map<String, Value>,
}

impl Summary {
    /// Adds a result of the subcommand.
    #[must_use]
    pub fn with_result(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.results.insert(name.to_owned(), value.into());
        self
    }

    /// The counts of a step.
    pub fn step(&self, name: &str) -> Option<&Stats> {
        self.steps.iter().find(|(step, _)| step == name).map(|(_, stats)| stats)
    }

    /// The exit code: 0 done or stopped in good order, 1 over the failure limit or a check failed.
    pub fn exit_code(&self) -> u8 {
        match self.status {
            Status::Done | Status::ShardsLeft => 0,
            Status::OverFailLimit | Status::CheckFailed => 1,
        }
    }

    /// What there is to say about how the run ended, in lines; nothing where all is well.
    pub fn verdict(&self) -> Vec<String> {
        match self.status {
            Status::Done if self.steps.iter().all(|(_, stats)| stats.read == 0) && !self.steps.is_empty() => {
                vec!["nothing was read: the input holds no records".to_owned()]
            }
            Status::Done => Vec::new(),
            Status::ShardsLeft => {
                vec![format!("{} shards left; run the same command again to go on", self.shards_left)]
            }
            Status::OverFailLimit => self.failures(),
            Status::CheckFailed => vec!["the check failed".to_owned()],
        }
    }

    fn failures(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.failed_shards.is_empty() {
            let n = self.failed_shards.len();
            lines.push(format!("{n} shards failed and are not done; run the same command again to try them again"));
        }
        let (failed, read) =
            self.steps.iter().fold((0, 0), |(failed, read), (_, stats)| (failed + stats.n_failed(), read + stats.read));
        if failed as f64 > self.max_fail_rate * read as f64 {
            lines.push(format!(
                "{failed} of {read} records failed, more than --max-fail-rate {} allows; rejects-*.jsonl there name \
                 each one. If that is to be expected, run the same command with a higher --max-fail-rate: nothing is \
                 done twice",
                self.max_fail_rate
            ));
        }
        lines
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dry = if self.dry_run { " (dry run: nothing written)" } else { "" };
        writeln!(f, "{} {}: {}{dry}", self.tool, self.command, self.output.display())?;
        for (step, stats) in &self.steps {
            write_stats(f, step, stats)?;
        }
        for FailedShard { step, shard, error } in &self.failed_shards {
            writeln!(f, "  shard {step}-{shard} failed: {error}")?;
        }
        for (name, value) in &self.results {
            match value {
                Value::String(text) => writeln!(f, "  {name}: {text}")?,
                value => writeln!(f, "  {name}: {value}")?,
            }
        }
        self.verdict().iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

fn write_stats(f: &mut fmt::Formatter<'_>, step: &str, stats: &Stats) -> fmt::Result {
    let name = if step == "part" { String::new() } else { format!("{step}: ") };
    writeln!(
        f,
        "  {name}{} in, {} kept, {} dropped, {} failed, {} bytes written",
        stats.read,
        stats.kept,
        stats.n_dropped(),
        stats.n_failed(),
        stats.bytes
    )?;
    let lines = [("dropped", &stats.dropped), ("failed", &stats.failed), ("", &stats.counts)];
    for (kind, counts) in lines {
        let mut sorted: Vec<_> = counts.iter().collect();
        sorted.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        for (reason, n) in sorted {
            let kind = if kind.is_empty() { String::new() } else { format!("{kind} ") };
            writeln!(f, "    {n:>12}  {kind}{reason}")?;
        }
    }
    Ok(())
}
