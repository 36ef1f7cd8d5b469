//! Deciding about many rows: every distinct text is judged once.

use std::fmt;

use audsem_core::run::{RejectBatch, ShardError, escape};
use audsem_core::tables::{ClipRow, ClipRowBuffers, ClipRowRef, CueRef, Row, text_hash};

use super::labels::{Label, Labels, Policy, Thresholds};
use super::memory::{Known, Memory, Place};
use super::pipeline::Rules;
use super::reason::RowFault;

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

/// What a thread keeps from one row group to the next; it never shows in the output.
#[derive(Debug, Default)]
pub(super) struct Desk {
    memory: Memory,
    hashes: Vec<u64>,
    /// Of each row, the place of its text in the memory, and what is known of it.
    places: Vec<u32>,
    known: Vec<Known>,
    /// Rows whose texts are new, their places and labels.
    new: Vec<(usize, u32, Label)>,
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

impl Judge {
    /// Judges `n_rows` rows in order; `row` gives each of them, more than once. `file` may take in the rejects of
    /// some rows while they are in the cache; else they are in what is returned.
    ///
    /// # Errors
    /// Those of `file`.
    pub(super) fn rows<'a>(
        &self,
        desk: &mut Desk,
        row: impl Fn(usize) -> CueRef<'a>,
        n_rows: usize,
        rejects: RejectBatch,
        file: &mut dyn FnMut(&mut RejectBatch) -> Result<(), ShardError>,
    ) -> Result<Judged, ShardError> {
        let mut judged = Judged { clips: ClipRowBuffers::default(), n_kept: 0, rejects };
        for from in (0..n_rows).step_by(ROWS_TOGETHER) {
            let to = n_rows.min(from + ROWS_TOGETHER);
            self.learn(desk, (from..to).map(|i| row(i).text));
            desk.memory.recall(&desk.places, &mut desk.known);
            for (i, (known, hash)) in (from..to).zip(desk.known.iter().zip(&desk.hashes)) {
                take(row(i), *hash, *known, desk.memory.said(*known), &mut judged);
            }
            file(&mut judged.rejects)?;
        }
        Ok(judged)
    }

    /// Sees to it that the verdicts on some texts are in the memory, and notes where.
    fn learn<'a>(&self, desk: &mut Desk, texts: impl Iterator<Item = &'a str> + Clone) {
        let Desk { memory, hashes, places, new, .. } = desk;
        hashes.clear();
        hashes.extend(texts.clone().map(text_hash));
        memory.make_room(hashes.len());
        places.clear();
        new.clear();
        for (i, &hash) in hashes.iter().enumerate() {
            places.push(match memory.place(hash) {
                Place::Known(place) => place,
                Place::New(place) => {
                    new.push((i, place, Label::ABSENT));
                    place
                }
            });
        }
        for (i, _, label) in new.iter_mut() {
            *label = self.labels.of(hashes[*i]);
        }
        let (mut texts, mut next) = (texts, 0);
        for &(i, place, label) in new.iter() {
            let text = texts.nth(i - next).expect("there are as many texts as hashes");
            next = i + 1;
            memory.learn(place, label, |said| {
                if let Some(reason) = label.verdict(self.policy, self.thresholds) {
                    escape(said, ByLabel { label, text });
                    return Some(reason);
                }
                let from = said.len();
                let (rule, reason) = self.rules.apply_to(text, said)?;
                let dropped = said.split_off(from);
                escape(said, ByRule { rule, said: &dropped });
                Some(reason)
            });
        }
    }

    /// The label of a text, for `explain`.
    pub fn label(&self, text: &str) -> Label {
        self.labels.of(text_hash(text))
    }
}

/// Files one row whose text has been judged.
fn take(cue: CueRef<'_>, hash: u64, known: Known, said: &str, judged: &mut Judged) {
    let CueRef { row_id, video_id, start_ms, dur_ms, text } = cue;
    let Some(end_ms) = start_ms.checked_add(dur_ms) else {
        let detail = format_args!("{start_ms} ms + {dur_ms} ms");
        judged.rejects.fail(format_args!("{video_id} row {row_id}"), RowFault::EndBeyondRange, detail);
        return;
    };
    if let Some(reason) = known.drop {
        judged.rejects.drop_clip(video_id, (start_ms, end_ms), reason, said);
        return;
    }
    let label = known.label;
    let clip = ClipRowRef {
        row_id,
        video_id,
        start_ms,
        end_ms,
        text,
        clean_text: said,
        text_hash: hash,
        bert_prob: label.bert_prob(),
        llm_yes_prob: label.llm_yes_prob(),
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
