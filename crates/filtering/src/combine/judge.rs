//! Deciding about many rows: every distinct text is judged once.

use std::fmt;

use audsem_core::run::{LeftOut, RejectBatch, ShardError, escape};
use audsem_core::tables::{ClipRow, ClipRowBuffers, ClipRowRef, CueRef, Row, text_hash};

use super::labels::Labels;
use super::memory::{Known, Memory};
use super::pipeline::Rules;
use super::policy::{Label, Policy, Thresholds};
use super::reason::{DropReason, RowFault};

/// Rows that are looked up together. Looking up waits for memory, and waits for many at once when
/// nothing else is in between; so many rows and what is noted of them stay in the cache.
const ROWS_TOGETHER: usize = 4096;

/// Everything that decides about a caption.
#[derive(Debug)]
pub struct Judge {
    /// The rules for its words.
    pub rules: Rules,
    /// The labels.
    pub labels: Labels,
    /// Which labels count.
    pub policy: Policy,
    /// From which probability on they say yes.
    pub thresholds: Thresholds,
}

/// What a thread keeps from one batch of rows to the next; it never shows in the output.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    memory: &'a Memory,
    hashes: Vec<u64>,
    /// Of each row what is known of its text; `None` where `new` says it.
    known: Vec<Option<Known<'a>>>,
    /// Rows whose texts were not in the memory.
    new: Vec<New>,
    /// What is said of those that the memory did not take.
    said: String,
}

/// A row whose text was not in the memory.
#[derive(Debug)]
struct New {
    row: usize,
    label: Label,
    drop: Option<DropReason>,
    /// Where in `said` it ends.
    to: usize,
}

/// What became of some rows.
pub(super) struct Judged {
    /// The rows that were kept.
    pub(super) clips: ClipRowBuffers,
    /// How many those are.
    pub(super) n_kept: u64,
    /// The others.
    pub(super) rejects: RejectBatch,
}

impl<'a> Desk<'a> {
    pub(super) fn new(memory: &'a Memory) -> Self {
        Self { memory, hashes: Vec::new(), known: Vec::new(), new: Vec::new(), said: String::new() }
    }

    /// Looks texts up.
    fn recall<'t>(&mut self, texts: impl Iterator<Item = &'t str>) {
        self.hashes.clear();
        self.hashes.extend(texts.map(text_hash));
        self.known.clear();
        self.known.extend(self.hashes.iter().map(|hash| self.memory.recall(*hash)));
    }

    /// Fetches what is said of the texts from memory, all at once: waiting for one after the other takes as long as
    /// everything else that is done with a row. Most of it lies in two lines of the cache.
    fn touch(&self) {
        let ends = |known: &Known<'_>| {
            let said = known.said.as_bytes();
            said.first().copied().unwrap_or(0) ^ said.last().copied().unwrap_or(0)
        };
        std::hint::black_box(self.known.iter().flatten().map(ends).fold(0, u8::wrapping_add));
    }
}

impl Judge {
    /// Judges `n_rows` rows in order; `row` gives each of them, more than once. `file` may take in the rejects of
    /// some rows while they are in the cache; else they are in what is returned.
    ///
    /// # Errors
    /// Those of `file`.
    pub(super) fn rows<'a>(
        &self,
        desk: &mut Desk<'_>,
        row: impl Fn(usize) -> CueRef<'a>,
        n_rows: usize,
        rejects: RejectBatch,
        file: &mut dyn FnMut(&mut RejectBatch) -> Result<(), ShardError>,
    ) -> Result<Judged, ShardError> {
        let mut judged = Judged { clips: ClipRowBuffers::default(), n_kept: 0, rejects };
        for from in (0..n_rows).step_by(ROWS_TOGETHER) {
            let to = n_rows.min(from + ROWS_TOGETHER);
            desk.recall((from..to).map(|i| row(i).text));
            self.learn(desk, |i| row(from + i).text);
            desk.touch();
            let (mut new, mut said) = (desk.new.iter(), 0);
            for (i, (known, hash)) in (from..to).zip(desk.known.iter().zip(&desk.hashes)) {
                let known = known.unwrap_or_else(|| {
                    let New { label, drop, to, .. } = new.next().expect("what is not known is new");
                    Known::new(*label, *drop, &desk.said[std::mem::replace(&mut said, *to)..*to])
                });
                take(row(i), *hash, known, &mut judged);
            }
            file(&mut judged.rejects)?;
        }
        Ok(judged)
    }

    /// Judges the texts that are not known; `text` gives that of a row.
    fn learn<'t>(&self, desk: &mut Desk<'_>, text: impl Fn(usize) -> &'t str) {
        let Desk { memory, hashes, known, new, said } = desk;
        new.clear();
        said.clear();
        for (row, _) in known.iter().enumerate().filter(|(_, known)| known.is_none()) {
            new.push(New { row, label: Label::ABSENT, drop: None, to: 0 });
        }
        for new in new.iter_mut() {
            new.label = self.labels.of(hashes[new.row]);
        }
        new.retain_mut(|new| {
            let hash = hashes[new.row];
            // Another row may have brought the text since, or another thread.
            known[new.row] = memory.recall(hash);
            if known[new.row].is_none() {
                let from = said.len();
                new.drop = self.judge(text(new.row), new.label, said);
                known[new.row] = memory.learn(hash, Known::new(new.label, new.drop, &said[from..]));
                if known[new.row].is_some() {
                    said.truncate(from);
                }
                new.to = said.len();
            }
            known[new.row].is_none()
        });
    }

    /// Decides about a text. Appends the clean caption to `said`, or the detail of the reject, escaped.
    fn judge(&self, text: &str, label: Label, said: &mut String) -> Option<DropReason> {
        if let Some(reason) = label.verdict(self.policy, self.thresholds) {
            escape(said, ByLabel { label, text });
            return Some(reason);
        }
        let from = said.len();
        let (rule, reason) = self.rules.apply_to(text, said)?;
        let dropped = said.split_off(from);
        escape(said, ByRule { rule, said: &dropped });
        Some(reason)
    }

    /// The label of a text, for `explain`.
    pub fn label(&self, text: &str) -> Label {
        self.labels.of(text_hash(text))
    }
}

/// Files one row whose text has been judged.
fn take(cue: CueRef<'_>, hash: u64, known: Known<'_>, judged: &mut Judged) {
    let CueRef { row_id, video_id, start_ms, dur_ms, text } = cue;
    let Some(end_ms) = start_ms.checked_add(dur_ms) else {
        let detail = format_args!("{start_ms} ms + {dur_ms} ms");
        let fault = LeftOut::fail(RowFault::EndBeyondRange, detail);
        judged.rejects.file_left_out(format_args!("{video_id} row {row_id}"), fault);
        return;
    };
    if let Some(reason) = known.drop {
        judged.rejects.file_dropped_clip(video_id, (start_ms, end_ms), reason, known.said);
        return;
    }
    let clip = ClipRowRef {
        row_id,
        video_id,
        start_ms,
        end_ms,
        text,
        clean_text: known.said,
        text_hash: hash,
        bert_prob: known.bert_prob,
        llm_yes_prob: known.llm_yes_prob,
    };
    ClipRow::push(&mut judged.clips, clip);
    judged.n_kept += 1;
}

/// Why rule 1 leaves a caption out.
struct ByLabel<'a> {
    label: Label,
    text: &'a str,
}

impl fmt::Display for ByLabel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rule 1: ")?;
        fmt::Display::fmt(&self.label, f)?;
        f.write_str(": ")?;
        f.write_str(self.text)
    }
}

/// Why another rule leaves a caption out.
struct ByRule<'a> {
    rule: u8,
    /// The caption as the rule met it.
    said: &'a str,
}

impl fmt::Display for ByRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rule ")?;
        f.write_str(itoa::Buffer::new().format(self.rule))?;
        f.write_str(": ")?;
        f.write_str(self.said)
    }
}
