//! Judging rows in batches: every distinct text is judged once.

use std::collections::HashMap;
use std::fmt;

use audsem_core::clip_id::ClipId;
use audsem_core::run::{LeftOut, RejectBatch, ShardError, escape};
use audsem_core::tables::{ClipRow, ClipRowBuffers, ClipRowRef, CueRef, Row, text_hash};
use foldhash::fast::FixedState;

use super::labels::Labels;
use super::pipeline::CaptionRules;
use super::policy::{Label, Policy, Thresholds};
use super::reason::{DropReason, RowFault};
use super::verdicts::{Verdict, VerdictCache};

/// Rows of a batch. Look-ups are bound by memory latency, which overlaps when many are issued back to back; this many
/// rows and their verdicts stay in the L2 cache.
const BATCH_ROWS: usize = 4096;

/// Everything that decides about a caption.
#[derive(Debug)]
pub struct Judge {
    /// The rules for its words.
    pub rules: CaptionRules,
    /// The labels.
    pub labels: Labels,
    /// Which labels must say yes.
    pub policy: Policy,
    /// The lowest probability that counts as yes.
    pub thresholds: Thresholds,
}

/// Buffers of a batch of rows, reused for the next one.
#[derive(Debug)]
pub(super) struct BatchBuffers<'a> {
    cache: &'a VerdictCache,
    hashes: Vec<u64>,
    /// The verdict on the text of each row; `None` until it is judged.
    verdicts: Vec<Option<Verdict>>,
    /// The outputs of all verdicts, concatenated.
    outputs: String,
    /// Rows whose texts were not in the cache, with the labels of the texts.
    unknown: Vec<(usize, Label)>,
    /// Verdicts on the distinct texts of those rows.
    new: HashMap<u64, Verdict, FixedState>,
}

/// The outcomes of a batch of rows.
pub(super) struct Judged {
    /// The rows that were kept.
    pub(super) clips: ClipRowBuffers,
    /// Number of rows kept.
    pub(super) n_kept: u64,
    /// The rows that were dropped or failed.
    pub(super) rejects: RejectBatch,
}

impl<'a> BatchBuffers<'a> {
    pub(super) fn new(cache: &'a VerdictCache) -> Self {
        Self {
            cache,
            hashes: Vec::new(),
            verdicts: Vec::new(),
            outputs: String::new(),
            unknown: Vec::new(),
            new: HashMap::default(),
        }
    }

    /// Starts a batch: looks its texts up in the cache. Tells whether the cache has room.
    fn recall<'t>(&mut self, texts: impl Iterator<Item = &'t str>) -> bool {
        self.hashes.clear();
        self.hashes.extend(texts.map(text_hash));
        self.verdicts.clear();
        self.outputs.clear();
        self.cache.recall(&self.hashes, &mut self.verdicts, &mut self.outputs)
    }
}

impl Judge {
    /// Judges `n_rows` rows in order; `row` returns a row and may be called repeatedly. `file` may take the rejects of some
    /// rows while they are in the cache; the other rejects are in the returned value.
    ///
    /// # Errors
    /// Those of `file`.
    pub(super) fn rows<'a>(
        &self,
        buffers: &mut BatchBuffers<'_>,
        row: impl Fn(usize) -> CueRef<'a>,
        n_rows: usize,
        rejects: RejectBatch,
        file: &mut dyn FnMut(&mut RejectBatch) -> Result<(), ShardError>,
    ) -> Result<Judged, ShardError> {
        let mut judged = Judged { clips: ClipRowBuffers::default(), n_kept: 0, rejects };
        for from in (0..n_rows).step_by(BATCH_ROWS) {
            let to = n_rows.min(from + BATCH_ROWS);
            let has_room = buffers.recall((from..to).map(|i| row(i).text));
            self.judge_unknown(buffers, |i| row(from + i).text);
            if has_room && !buffers.new.is_empty() {
                buffers.cache.add(buffers.new.drain(), &buffers.outputs);
            }
            for (i, (verdict, hash)) in (from..to).zip(buffers.verdicts.iter().zip(&buffers.hashes)) {
                let verdict = verdict.as_ref().expect("every text of the batch is judged");
                file_row(row(i), *hash, verdict, &buffers.outputs, &mut judged);
            }
            file(&mut judged.rejects)?;
        }
        Ok(judged)
    }

    /// Judges the texts of a batch that were not in the cache; `text` gives that of a row.
    fn judge_unknown<'t>(&self, buffers: &mut BatchBuffers<'_>, text: impl Fn(usize) -> &'t str) {
        let BatchBuffers { hashes, verdicts, outputs, unknown, new, .. } = buffers;
        new.clear();
        unknown.clear();
        let rows = verdicts.iter().enumerate().filter(|(_, verdict)| verdict.is_none());
        // A separate loop, so that the memory latency of the label look-ups overlaps.
        unknown.extend(rows.map(|(row, _)| (row, self.labels.of(hashes[row]))));
        for &(row, label) in unknown.iter() {
            verdicts[row] = Some(*new.entry(hashes[row]).or_insert_with(|| {
                let from = outputs.len();
                let drop = self.judge(text(row), label, outputs);
                Verdict::new(label, drop, outputs, from)
            }));
        }
    }

    /// Decides about a text. Appends the clean caption to `output`, or the escaped detail of the reject.
    fn judge(&self, text: &str, label: Label, output: &mut String) -> Option<DropReason> {
        if let Some(reason) = label.verdict(self.policy, self.thresholds) {
            escape(output, ByLabel { label, text });
            return Some(reason);
        }
        let from = output.len();
        let (rule, reason) = self.rules.apply_to(text, output)?;
        let dropped = output.split_off(from);
        escape(output, ByRule { rule, caption: &dropped });
        Some(reason)
    }

    /// The label of a text, for `explain`.
    pub fn label(&self, text: &str) -> Label {
        self.labels.of(text_hash(text))
    }
}

/// Files one row whose text has been judged.
fn file_row(cue: CueRef<'_>, hash: u64, verdict: &Verdict, outputs: &str, judged: &mut Judged) {
    let CueRef { row_id, video_id, start_ms, dur_ms, text } = cue;
    let Some(end_ms) = start_ms.checked_add(dur_ms) else {
        let detail = format_args!("{start_ms} ms + {dur_ms} ms");
        let fault = LeftOut::fail(RowFault::EndBeyondRange, detail);
        judged.rejects.file_left_out(format_args!("{video_id} row {row_id}"), fault);
        return;
    };
    let output = verdict.output(outputs);
    if let Some(reason) = verdict.drop {
        judged.rejects.file_dropped_clip(video_id, (start_ms, end_ms), reason, output);
        return;
    }
    let key = ClipId::new(video_id, start_ms, end_ms).ok().map(|clip| clip.tar_key());
    let clip = ClipRowRef {
        row_id,
        key: key.as_deref(),
        video_id,
        start_ms,
        end_ms,
        text,
        clean_text: output,
        text_hash: hash,
        bert_prob: verdict.label.bert_prob(),
        llm_yes_prob: verdict.label.llm_yes_prob(),
    };
    ClipRow::push(&mut judged.clips, clip);
    judged.n_kept += 1;
}

/// Shows why rule 1 drops a caption.
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

/// Shows why another rule drops a caption.
struct ByRule<'a> {
    rule: u8,
    /// The caption as the rule received it.
    caption: &'a str,
}

impl fmt::Display for ByRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rule ")?;
        f.write_str(itoa::Buffer::new().format(self.rule))?;
        f.write_str(": ")?;
        f.write_str(self.caption)
    }
}
