//! The rejects file: JSON lines that name each record left out, with the reason.

use std::fmt::{self, Display, Write as _};

use serde::{Deserialize, Serialize};

use super::outcome::{LeftOut, Outcome};
use crate::clip_id::Seconds;
use crate::reason::Reason;

/// One line of `rejects-*.jsonl`, parsed.
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
    /// How many records the line stands for; 1 where the line does not say.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub records: u64,
    /// The value that decided.
    pub detail: String,
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_one(n: &u64) -> bool {
    *n == 1
}

/// What a line says beside the step.
#[derive(Clone, Copy)]
struct Line<'a> {
    outcome: &'static str,
    reason: &'static str,
    records: u64,
    key: &'a dyn Display,
    detail: &'a dyn Display,
}

/// Formats lines directly instead of through a serialiser, because a run often drops millions of records.
#[derive(Debug, Clone, Default)]
struct RejectWriter {
    lines: Vec<u8>,
}

impl RejectWriter {
    /// Appends a line to those not written yet.
    fn append(&mut self, step: &str, line: Line<'_>) {
        self.lines.extend_from_slice(b"{\"key\":\"");
        self.push_json(line.key);
        self.append_middle(step, line);
        self.push_json(line.detail);
        self.end(b"");
    }

    /// Appends what stands between key and detail.
    fn append_middle(&mut self, step: &str, line: Line<'_>) {
        for (name, value) in
            [("\",\"step\":\"", step), ("\",\"outcome\":\"", line.outcome), ("\",\"reason\":\"", line.reason)]
        {
            self.lines.extend_from_slice(name.as_bytes());
            self.lines.extend_from_slice(value.as_bytes());
        }
        self.lines.push(b'"');
        if line.records != 1 {
            self.lines.extend_from_slice(b",\"records\":");
            self.lines.extend_from_slice(itoa::Buffer::new().format(line.records).as_bytes());
        }
        self.lines.extend_from_slice(b",\"detail\":\"");
    }

    /// Ends a line with the rest of its detail.
    fn end(&mut self, detail: &[u8]) {
        self.lines.extend_from_slice(detail);
        self.lines.extend_from_slice(b"\"}\n");
    }

    /// Appends a value as the inside of a JSON string.
    fn push_json(&mut self, value: &dyn Display) {
        let _ = write!(JsonText(&mut self.lines), "{value}");
    }
}

/// Escapes what is written for the inside of a JSON string, piece by piece.
struct JsonText<'a>(&'a mut Vec<u8>);

impl fmt::Write for JsonText<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        // Without an early end, so that the compiler tests many bytes at once.
        let special = piece.bytes().fold(false, |found, b| found | (b < 0x20) | (b == b'"') | (b == b'\\'));
        if special {
            let quoted = serde_json::to_string(piece).map_err(|_| fmt::Error)?;
            self.0.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
        } else {
            self.0.extend_from_slice(piece.as_bytes());
        }
        Ok(())
    }
}

/// Appends a detail as it stands in a line, for [`RejectBatch::file_dropped_clip`].
pub fn escape(text: &mut String, detail: impl Display) {
    let mut bytes = Vec::new();
    let _ = write!(JsonText(&mut bytes), "{detail}");
    text.push_str(std::str::from_utf8(&bytes).expect("text with escapes between its characters is text"));
}

/// Filed outcomes: counts, and lines for the rejects file. A shard has one, and may give one to each thread inside;
/// [`super::ShardOutput::file_batch`] merges them.
///
/// Where most records are left out, writing the lines is most of the work, so it should not be left
/// to the one thread that owns the output.
#[derive(Debug, Clone)]
pub struct RejectBatch {
    step: &'static str,
    /// Whether lines are written at all: not on a dry run.
    on_file: bool,
    lines: RejectWriter,
    kept: u64,
    dropped: Vec<(&'static str, u64)>,
    failed: Vec<(&'static str, u64)>,
    /// What stands between key and detail of a dropped record, by reason.
    middles: Vec<(&'static str, Vec<u8>)>,
}

impl RejectBatch {
    pub(super) fn new(step: &'static str, on_file: bool) -> Self {
        Self {
            step,
            on_file,
            lines: RejectWriter::default(),
            kept: 0,
            dropped: Vec::new(),
            failed: Vec::new(),
            middles: Vec::new(),
        }
    }

    /// As [`super::ShardOutput::file`].
    pub fn file<T, D: Display>(&mut self, key: impl Display, outcome: Outcome<T, D>) -> Option<T> {
        match outcome {
            Ok(kept) => {
                self.file_kept(1);
                Some(kept)
            }
            Err(left_out) => {
                self.file_left_out(key, left_out);
                None
            }
        }
    }

    /// As [`super::ShardOutput::file_kept`].
    pub fn file_kept(&mut self, n: u64) {
        self.kept += n;
    }

    /// As [`super::ShardOutput::file_left_out`].
    pub fn file_left_out<D: Display>(&mut self, key: impl Display, left_out: LeftOut<D>) {
        self.file_many(key, left_out, 1);
    }

    /// As [`super::ShardOutput::file_many`].
    pub fn file_many<D: Display>(&mut self, key: impl Display, left_out: LeftOut<D>, n: u64) {
        let (outcome, reason) = (left_out.outcome(), left_out.reason());
        count(if left_out.is_failure() { &mut self.failed } else { &mut self.dropped }, reason, n);
        if self.on_file {
            let line = Line { outcome, reason, records: n, key: &key, detail: left_out.detail() };
            self.lines.append(self.step, line);
        }
    }

    /// Files a dropped clip of which `ClipId` may not be made (its video's id may be anything), with a
    /// detail that [`escape`] has made once for many lines.
    pub fn file_dropped_clip(
        &mut self,
        video_id: &str,
        (start_ms, end_ms): (u32, u32),
        reason: impl Reason,
        detail: &str,
    ) {
        let reason = reason.name();
        count(&mut self.dropped, reason, 1);
        if !self.on_file {
            return;
        }
        let lines = &mut self.lines.lines;
        lines.extend_from_slice(b"{\"key\":\"");
        let _ = JsonText(lines).write_str(video_id);
        lines.extend_from_slice(b" (");
        Seconds(start_ms, '.').append(lines);
        lines.push(b'-');
        Seconds(end_ms, '.').append(lines);
        lines.push(b')');
        let known = self.middles.iter().position(|(known, _)| std::ptr::eq(*known, reason) || *known == reason);
        let middle = known.unwrap_or_else(|| {
            let mut writer = RejectWriter::default();
            writer.append_middle(self.step, Line { outcome: "dropped", reason, records: 1, key: &"", detail: &"" });
            self.middles.push((reason, writer.lines));
            self.middles.len() - 1
        });
        lines.extend_from_slice(&self.middles[middle].1);
        self.lines.end(detail.as_bytes());
    }

    pub(super) fn lines(&self) -> &[u8] {
        &self.lines.lines
    }

    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    pub(super) fn dropped(&self) -> &[(&'static str, u64)] {
        &self.dropped
    }

    pub(super) fn failed(&self) -> &[(&'static str, u64)] {
        &self.failed
    }

    /// Clears the batch but keeps its memory.
    pub(super) fn clear(&mut self) {
        self.lines.lines.clear();
        self.kept = 0;
        self.dropped.clear();
        self.failed.clear();
    }
}

fn count(counts: &mut Vec<(&'static str, u64)>, name: &'static str, n: u64) {
    match counts.iter_mut().find(|(known, _)| std::ptr::eq(*known, name) || *known == name) {
        Some((_, sum)) => *sum += n,
        None => counts.push((name, n)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy)]
    struct Charset;

    impl Reason for Charset {
        fn name(self) -> &'static str {
            "charset"
        }

        fn describe(self) -> &'static str {
            "characters that captions do not have"
        }
    }

    fn line(key: &str, detail: &str, records: u64) -> String {
        let mut writer = RejectWriter::default();
        writer.append("part", Line { outcome: "dropped", reason: "charset", records, key: &key, detail: &detail });
        String::from_utf8(writer.lines).unwrap()
    }

    #[test]
    fn a_line_says_how_many_records_it_stands_for_unless_it_is_one() {
        assert_eq!(
            line("v (0.0-1.0)", "[a]", 1),
            "{\"key\":\"v (0.0-1.0)\",\"step\":\"part\",\"outcome\":\"dropped\",\"reason\":\"charset\",\"detail\":\"[a]\"}\n"
        );
        assert!(line("v", "", 57).contains("\"reason\":\"charset\",\"records\":57,\"detail\":\"\""));
    }

    proptest! {
        #[test]
        fn every_line_reads_back(key in any::<String>(), detail in any::<String>(), records in 1u64..5) {
            let read: RejectDetail = serde_json::from_str(&line(&key, &detail, records)).unwrap();
            let mut batch = RejectBatch::new("part", true);
            let mut escaped = "before".to_owned();
            escape(&mut escaped, &detail);
            batch.file_dropped_clip(&read.key, (1500, 12_000), Charset, &escaped["before".len()..]);
            let clip = format!("{} (1.5-12.0)", read.key);
            prop_assert_eq!(std::str::from_utf8(batch.lines()).unwrap(), line(&clip, &detail, 1));
            prop_assert_eq!((read.key, read.detail, read.records), (key, detail, records));
        }
    }
}
