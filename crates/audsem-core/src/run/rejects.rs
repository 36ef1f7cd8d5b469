//! The rejects file: one JSON line for each record left out, with the reason.

use std::fmt::{Display, Write as _};
use std::io::Write;

use serde::{Deserialize, Serialize};

use super::shard::OutputFile;
use crate::error::{Error, Result};
use crate::reason::Reason;

/// One line of `rejects-*.jsonl`, as readers get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectDetail {
    /// The record's key: a clip key, or the place of a record that has none.
    pub key: String,
    /// The step that left it out.
    pub step: String,
    /// `dropped` (by a rule) or `failed` (broken).
    pub outcome: String,
    /// The reason's name.
    pub reason: String,
    /// The value that decided.
    pub detail: String,
}

/// Writes lines without going through a serialiser: millions of drops are usual.
#[derive(Debug, Clone, Default)]
pub(super) struct RejectWriter {
    line: Vec<u8>,
    text: String,
}

impl RejectWriter {
    pub(super) fn write(
        &mut self,
        file: &mut OutputFile,
        step: &str,
        outcome: &str,
        reason: &str,
        record: (&dyn Display, &dyn Display),
    ) -> Result<()> {
        self.line.clear();
        self.append(step, outcome, reason, record);
        file.write_all(&self.line).map_err(Error::write(file.path()))
    }

    /// Appends a line to those not written yet.
    fn append(&mut self, step: &str, outcome: &str, reason: &str, (key, detail): (&dyn Display, &dyn Display)) {
        self.line.extend_from_slice(b"{\"key\":");
        self.push_json(key);
        for (name, value) in [(",\"step\":\"", step), ("\",\"outcome\":\"", outcome), ("\",\"reason\":\"", reason)] {
            self.line.extend_from_slice(name.as_bytes());
            self.line.extend_from_slice(value.as_bytes());
        }
        self.line.extend_from_slice(b"\",\"detail\":");
        self.push_json(detail);
        self.line.extend_from_slice(b"}\n");
    }

    /// Appends a value as a JSON string.
    fn push_json(&mut self, value: &dyn Display) {
        self.text.clear();
        let _ = write!(self.text, "{value}");
        if self.text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            self.line.push(b'"');
            self.line.extend_from_slice(self.text.as_bytes());
            self.line.push(b'"');
        } else {
            serde_json::to_writer(&mut self.line, &self.text).expect("a string is JSON and memory does not fail");
        }
    }
}

/// Rejects that a thread inside a shard gathers; [`super::ShardOutput::take_rejects`] takes them in.
///
/// Where most records are left out, writing the lines is most of the work, so it should not be left
/// to the one thread that owns the output.
#[derive(Debug, Clone)]
pub struct RejectBatch {
    step: &'static str,
    /// Whether lines are written at all: not on a dry run.
    on_file: bool,
    /// Whether the user wants every left-out record on file.
    all: bool,
    lines: RejectWriter,
    dropped: Vec<(&'static str, u64)>,
    failed: Vec<(&'static str, u64)>,
}

impl RejectBatch {
    pub(super) fn new(step: &'static str, on_file: bool, all: bool) -> Self {
        Self { step, on_file, all, lines: RejectWriter::default(), dropped: Vec::new(), failed: Vec::new() }
    }

    /// As [`super::ShardOutput::drop`].
    pub fn drop(&mut self, key: impl Display, reason: impl Reason, detail: impl Display) {
        count(&mut self.dropped, reason.name());
        if self.on_file {
            self.lines.append(self.step, "dropped", reason.name(), (&key, &detail));
        }
    }

    /// For a reason too common to file: counts the record, and files it if the user wants all.
    pub fn drop_counted(&mut self, key: impl Display, reason: impl Reason, detail: impl Display) {
        if self.all {
            return self.drop(key, reason, detail);
        }
        count(&mut self.dropped, reason.name());
    }

    /// As [`super::ShardOutput::fail`].
    pub fn fail(&mut self, key: impl Display, fault: impl Reason, detail: impl Display) {
        count(&mut self.failed, fault.name());
        if self.on_file {
            self.lines.append(self.step, "failed", fault.name(), (&key, &detail));
        }
    }

    /// Whether [`RejectBatch::drop_counted`] files its records, so that a detail is worth making.
    pub fn files_all(&self) -> bool {
        self.on_file && self.all
    }

    pub(super) fn lines(&self) -> &[u8] {
        &self.lines.line
    }

    pub(super) fn dropped(&self) -> &[(&'static str, u64)] {
        &self.dropped
    }

    pub(super) fn failed(&self) -> &[(&'static str, u64)] {
        &self.failed
    }
}

fn count(counts: &mut Vec<(&'static str, u64)>, name: &'static str) {
    match counts.iter_mut().find(|(known, _)| std::ptr::eq(*known, name) || *known == name) {
        Some((_, n)) => *n += 1,
        None => counts.push((name, 1)),
    }
}
