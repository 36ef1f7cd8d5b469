//! The rejects file: one JSON line for each record left out, with the reason.

use std::fmt::{Display, Write as _};
use std::io::Write;

use serde::{Deserialize, Serialize};

use super::shard::OutputFile;
use crate::error::{Error, Result};

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
#[derive(Debug, Default)]
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
        (key, detail): (&dyn Display, &dyn Display),
    ) -> Result<()> {
        self.line.clear();
        self.line.extend_from_slice(b"{\"key\":");
        self.push_json(key);
        for (name, value) in [(",\"step\":\"", step), ("\",\"outcome\":\"", outcome), ("\",\"reason\":\"", reason)] {
            self.line.extend_from_slice(name.as_bytes());
            self.line.extend_from_slice(value.as_bytes());
        }
        self.line.extend_from_slice(b"\",\"detail\":");
        self.push_json(detail);
        self.line.extend_from_slice(b"}\n");
        file.write_all(&self.line).map_err(Error::write(file.path()))
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
