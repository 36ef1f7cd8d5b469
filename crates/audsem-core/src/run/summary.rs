//! The result of a run.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::folder::STATS;
use super::left::Share;
use super::required::{RequiredStep, StepWords};
use super::stats::Stats;
use crate::signals::{EXIT_STOPPED, stop_requested};
use crate::terminal::{by_number, counted, thousands};

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
    /// Restricted by `--shard`; the same command continues.
    ShardsLeft,
    /// Stopped on request; the same command continues.
    Interrupted,
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
    /// Counts of each step, in order; in JSON an object by step, as in `stats.json`.
    #[serde(serialize_with = "as_object")]
    pub steps: Vec<(String, Stats)>,
    /// Shards that failed.
    pub failed_shards: Vec<FailedShard>,
    /// Further results of the subcommand (metrics, file names), for people and programs.
    pub results: Map<String, Value>,
    /// What to type next, for people.
    #[serde(skip)]
    pub next: Option<String>,
    /// What of the work was this process's.
    #[serde(skip)]
    pub(super) share: Share,
    /// How the steps are put into words.
    #[serde(skip)]
    pub(super) words: Vec<StepWords>,
}

fn as_object<S: serde::Serializer>(steps: &[(String, Stats)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(steps.iter().map(|(step, stats)| (step, stats)))
}

impl Summary {
    /// Adds a result of the subcommand.
    #[must_use]
    pub fn with_result(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.results.insert(name.to_owned(), value.into());
        self
    }

    /// Says what to type next, if all went well.
    #[must_use]
    pub fn with_next(mut self, command: impl Into<String>) -> Self {
        if self.exit_code() == 0 && self.status == Status::Done && !self.dry_run {
            self.next = Some(command.into());
        }
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
            // What the rest would bring is open: the verdict is that of the run that ends.
            () if self.shards_left > 0 && stop_requested() => Status::Interrupted,
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

    /// The exit code: 0 done, 1 over the failure limit, empty, with broken input or a check failed, 3 stopped on request.
    pub fn exit_code(&self) -> u8 {
        match self.status {
            Status::Done | Status::ShardsLeft => 0,
            Status::OverFailLimit | Status::Empty | Status::BrokenInput | Status::CheckFailed => 1,
            Status::Interrupted => EXIT_STOPPED,
        }
    }

    /// How the run ended, in lines for people; empty if all is well.
    pub fn verdict(&self) -> Vec<String> {
        match self.status {
            Status::Done => Vec::new(),
            Status::ShardsLeft => {
                vec![self.share.words(self.shards_left)]
            }
            Status::Interrupted => {
                let (left, are) = (counted(self.shards_left, "shards"), by_number(self.shards_left, "is", "are"));
                let stopped = format!("stopped on request: {left} {are} left; run the same command again to continue");
                [stopped].into_iter().chain(self.failed()).collect()
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

    /// How many shards failed, which, and what to type next. The cause of each was told when it failed, perhaps hours ago:
    /// this says where it can be read again.
    fn failed(&self) -> Option<String> {
        const NAMED: usize = 5;
        let n = self.failed_shards.len();
        if n == 0 {
            return None;
        }
        let names = self.failed_shards.iter().map(|failed| format!("{}-{}", failed.step, failed.shard));
        let names: Vec<String> = names.take(NAMED).chain((n > NAMED).then(|| "…".to_owned())).collect();
        let written = self.output.join(STATS);
        let written = if self.dry_run { String::new() } else { format!(" and in {}", written.display()) };
        Some(format!(
            "{} failed and {} not done: {}; the cause is told above{written}; run the same command again to try {} again",
            counted(n, "shards"),
            by_number(n, "is", "are"),
            names.join(", "),
            by_number(n, "it", "them")
        ))
    }

    fn failures(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.failed().into_iter().collect();
        for (step, stats) in self.steps_over_limit() {
            let place = if step == "part" { String::new() } else { format!(" in step `{step}`") };
            let words = self.words.iter().find(|words| words.step == step.as_str());
            let common = stats.failed.iter().max_by(|(a, n), (b, m)| n.cmp(m).then(b.cmp(a)));
            let why = common.map(|(reason, n)| {
                let meaning = words.and_then(|words| words.meaning(reason));
                let meaning = meaning.map(|meaning| format!(": {meaning}")).unwrap_or_default();
                format!(", {} of them as `{reason}`{meaning}", thousands(*n))
            });
            lines.push(format!(
                "{} of {} failed{place}, more than --max-fail-rate {} allows{}\n  hint: rejects-*.jsonl there name \
                 each one; if that is to be expected, run the same command with a higher --max-fail-rate: nothing is \
                 done twice",
                thousands(stats.n_failed()),
                counted(stats.read, "records"),
                self.max_fail_rate,
                why.unwrap_or_default()
            ));
        }
        lines
    }
}

impl Summary {
    /// Whether a step is of interest to those who run the command. Indexes, plans and lists that left nothing out are
    /// bookkeeping, where another step has its words.
    fn is_told(&self, step: &str, stats: &Stats) -> bool {
        let has_words = |step: &str| self.words.iter().any(|words| words.step == step);
        let left_out = stats.n_left_out() > 0;
        has_words(step) || left_out || !self.steps.iter().any(|(step, _)| has_words(step))
    }
}

/// For people; `{:#}` has every step, also those that only keep books.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.verdict();
        // The reason of a failure comes first, so that nobody has to look for it among the counts.
        let (first, last) = if self.exit_code() == 1 { (&verdict[..], &[][..]) } else { (&[][..], &verdict[..]) };
        first.iter().try_for_each(|line| writeln!(f, "error: {line}"))?;
        let dry = if self.dry_run { " (dry run: nothing written)" } else { "" };
        writeln!(f, "{} {}: {}{dry}", self.tool, self.command, self.output.display())?;
        let all = f.alternate();
        for (step, stats) in self.steps.iter().filter(|(step, stats)| all || self.is_told(step, stats)) {
            write_stats(f, step, stats, self.words.iter().find(|words| words.step == step.as_str()))?;
        }
        self.results.iter().try_for_each(|(name, value)| write_result(f, name, value))?;
        if self.steps.iter().any(|(_, stats)| stats.n_left_out() > 0) && !self.dry_run {
            writeln!(f, "  each record that was left out has a line in {}/rejects-*.jsonl", self.output.display())?;
        }
        last.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        self.next.iter().try_for_each(|next| writeln!(f, "next: {next}"))
    }
}

/// A number of bytes as people read it: `1.5 GB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Writes a result for people: nothing where there is nothing to tell, and a list of several on lines of their own.
fn write_result(f: &mut fmt::Formatter<'_>, name: &str, value: &Value) -> fmt::Result {
    match value {
        Value::Number(n) if n.as_u64() == Some(0) => Ok(()),
        Value::Array(list) if list.is_empty() => Ok(()),
        Value::Array(list) if list.len() > 1 => {
            writeln!(f, "  {name}:")?;
            list.iter().try_for_each(|value| writeln!(f, "    {}", in_words(value)))
        }
        value => writeln!(f, "  {name}: {}", in_words(value)),
    }
}

/// A value as people read it: `samples 1,200, shards 2`.
fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(n) => n.as_u64().map_or_else(|| n.to_string(), thousands),
        Value::Array(list) => list.iter().map(in_words).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let named: Vec<String> = map.iter().map(|(name, value)| format!("{name} {}", in_words(value))).collect();
            named.join(", ")
        }
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

fn write_stats(f: &mut fmt::Formatter<'_>, step: &str, stats: &Stats, words: Option<&StepWords>) -> fmt::Result {
    let name = if step == "part" { String::new() } else { format!("{step}: ") };
    let read = words.map_or_else(|| thousands(stats.read), |words| counted(stats.read, words.unit));
    let parts = [("dropped", stats.n_dropped()), ("failed", stats.n_failed())].into_iter().filter(|(_, n)| *n > 0);
    let left_out: String = parts.map(|(what, n)| format!(", {} {what}", thousands(n))).collect();
    let (kept, bytes) = (thousands(stats.kept), size(stats.bytes));
    writeln!(f, "  {name}{read} in, {kept} kept{left_out}; {bytes} written")?;
    for (kind, counts) in [("dropped ", &stats.dropped), ("failed ", &stats.failed), ("", &stats.counts)] {
        let mut sorted: Vec<_> = counts.iter().filter(|(_, n)| **n > 0).collect();
        sorted.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        for (reason, n) in sorted {
            let meaning = words.and_then(|words| words.meaning(reason)).map(|meaning| format!(": {meaning}"));
            writeln!(f, "    {:>12}  {kind}{reason}{}", thousands(*n), meaning.unwrap_or_default())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_written_for_people() {
        for (bytes, expected) in [(0, "0 B"), (3624, "3.6 kB"), (388_574_000, "388.6 MB"), (2_500_000_000, "2.5 GB")] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn results_are_written_for_people() {
        struct Result(Value);
        impl fmt::Display for Result {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_result(f, "it", &self.0)
            }
        }
        for (value, expected) in [
            (json!(0), ""),
            (json!([]), ""),
            (json!(1200), "  it: 1,200\n"),
            (json!(-0.5), "  it: -0.5\n"),
            (json!(["one note."]), "  it: one note.\n"),
            (json!(["one note.", "another \"note\"."]), "  it:\n    one note.\n    another \"note\".\n"),
            (json!({ "samples": 1200, "shards": ["a", "b"] }), "  it: samples 1,200, shards a, b\n"),
            (json!(true), "  it: true\n"),
        ] {
            assert_eq!(Result(value).to_string(), expected);
        }
    }
}
