//! The result of a run.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::required::RequiredStep;
use super::stats::Stats;

/// A shard that failed.
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
    /// Stopped on request or restricted by `--shard`; the same command continues.
    ShardsLeft,
    /// Done, but shards failed or more records failed than `--max-fail-rate` allows.
    OverFailLimit,
    /// Done, but with an empty result: everything was dropped, or there was nothing to read.
    Empty,
    /// Done, but input files are cut or damaged, and an unknown part of their content is lost.
    BrokenInput,
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
    /// Why the result is empty, if the status is [`Status::Empty`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty: Option<String>,
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

    /// Marks the result as empty, unless the run has already failed otherwise: an empty result is not a success.
    #[must_use]
    pub fn as_empty(mut self, why: impl Into<String>) -> Self {
        if self.status == Status::Done {
            self.status = Status::Empty;
            self.empty = Some(why.into());
        }
        self
    }

    /// Records that input files are cut or damaged, unless the run has already failed otherwise: it is not known how much is lost.
    #[must_use]
    pub fn as_broken_input(mut self) -> Self {
        if self.status == Status::Done {
            self.status = Status::BrokenInput;
        }
        self
    }

    /// Sets the status by the counts of the steps.
    pub(super) fn judge(&mut self, required: &[RequiredStep]) {
        let empty = |required: &RequiredStep| self.step(required.step.name).and_then(|stats| required.why_empty(stats));
        let empty = required.iter().find_map(empty);
        self.status = match () {
            () if !self.failed_shards.is_empty() || self.steps_over_limit().next().is_some() => Status::OverFailLimit,
            () if self.shards_left > 0 => Status::ShardsLeft,
            () if empty.is_some() => Status::Empty,
            () => Status::Done,
        };
        if self.status == Status::Empty {
            self.empty = empty;
        }
    }

    /// Steps in which more records failed than allowed. Each step counts by itself, because a later step that reads the
    /// remaining records again would make the share of failed records look smaller.
    fn steps_over_limit(&self) -> impl Iterator<Item = &(String, Stats)> {
        self.steps.iter().filter(|(_, stats)| stats.is_over(self.max_fail_rate))
    }

    /// The exit code: 0 done or stopped on request, 1 over the failure limit, empty, with broken input or a check failed.
    pub fn exit_code(&self) -> u8 {
        match self.status {
            Status::Done | Status::ShardsLeft => 0,
            Status::OverFailLimit | Status::Empty | Status::BrokenInput | Status::CheckFailed => 1,
        }
    }

    /// How the run ended, in lines for people; empty if all is well.
    pub fn verdict(&self) -> Vec<String> {
        match self.status {
            Status::Done => Vec::new(),
            Status::ShardsLeft => {
                vec![format!("{} shards left; run the same command again to continue", self.shards_left)]
            }
            Status::OverFailLimit => self.failures(),
            Status::Empty => self.empty.iter().cloned().collect(),
            Status::BrokenInput => vec![
                "input files are cut or damaged: everything after these places is lost; \
                 rejects-*.jsonl name each\n  hint: copy these files again, and run the same command with --fresh"
                    .to_owned(),
            ],
            Status::CheckFailed => vec!["the check failed".to_owned()],
        }
    }

    fn failures(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.failed_shards.is_empty() {
            let n = self.failed_shards.len();
            lines.push(format!("{n} shards failed and are not done; run the same command again to try them again"));
        }
        for (step, stats) in self.steps_over_limit() {
            let place = if step == "part" { String::new() } else { format!(" in step `{step}`") };
            lines.push(format!(
                "{} of {} records failed{place}, more than --max-fail-rate {} allows; rejects-*.jsonl there name \
                 each one. If that is to be expected, run the same command with a higher --max-fail-rate: nothing is \
                 done twice",
                stats.n_failed(),
                stats.read,
                self.max_fail_rate
            ));
        }
        lines
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.verdict();
        // The reason of a failure comes first, so that nobody has to look for it among the counts.
        let (first, last) = if self.exit_code() == 0 { (&[][..], &verdict[..]) } else { (&verdict[..], &[][..]) };
        first.iter().try_for_each(|line| writeln!(f, "error: {line}"))?;
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
        last.iter().try_for_each(|line| writeln!(f, "  {line}"))
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
