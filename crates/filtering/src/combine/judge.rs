//! Deciding about many rows: every distinct text is judged once.

use std::collections::HashMap;
use std::fmt;

use audsem_core::clip_id::Seconds;
use audsem_core::run::RejectBatch;
use audsem_core::tables::{ClipRow, ClipRowBuffers, ClipRowRef, CueRef, Row, text_hash};
use foldhash::fast::FixedState;

use super::labels::{Label, Labels, Policy, Thresholds};
use super::pipeline::{Outcome, Rules};
use super::reason::{DropReason, RowFault};

/// Distinct texts a memory holds before it is emptied: some 60 MB with captions of usual length.
const MEMORY_TEXTS: usize = 400_000;

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

/// Verdicts of one thread on the texts it has met.
#[derive(Debug, Default)]
pub struct Memory {
    verdicts: HashMap<u64, Known, FixedState>,
    /// Clean captions and details of drops, one after the other.
    texts: String,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// `None`: kept.
    drop: Option<DropReason>,
    from: u32,
    to: u32,
    /// NaN where unknown: millions of these lie in a table, where an `Option` would cost 4 bytes more.
    bert_prob: f32,
    llm_yes_prob: f32,
}

/// What became of some rows.
pub struct Judged {
    /// The rows that were kept.
    pub clips: ClipRowBuffers,
    /// How many those are.
    pub n_kept: u64,
    /// The others.
    pub rejects: RejectBatch,
}

impl Judge {
    /// Judges one text: labels first, then the rules. Puts the clean caption into `texts`, or why it
    /// is left out; of a label only with `label_details`, as such rows are rarely filed.
    fn judge(&self, text: &str, hash: u64, texts: &mut String, label_details: bool) -> Known {
        use std::fmt::Write;

        let label = self.labels.of(hash);
        let from = texts.len();
        let drop = match label.verdict(self.policy, self.thresholds) {
            Some(reason) if !label_details => Ok(Some(reason)),
            Some(reason) => write!(texts, "rule 1: {}: {text}", label.describe()).map(|()| Some(reason)),
            None => match self.rules.apply(text) {
                Outcome::Keep(clean) => {
                    texts.push_str(&clean);
                    Ok(None)
                }
                Outcome::Drop { rule, reason, text } => write!(texts, "rule {rule}: {text}").map(|()| Some(reason)),
            },
        }
        .expect("writing to a string does not fail");
        let position = |at: usize| u32::try_from(at).expect("the memory is emptied long before 4 GiB");
        Known {
            drop,
            from: position(from),
            to: position(texts.len()),
            bert_prob: label.bert_prob().unwrap_or(f32::NAN),
            llm_yes_prob: label.llm_yes_prob().unwrap_or(f32::NAN),
        }
    }

    /// Judges rows in order.
    pub fn rows<'a>(
        &self,
        memory: &mut Memory,
        rows: impl Iterator<Item = CueRef<'a>>,
        rejects: RejectBatch,
    ) -> Judged {
        let mut judged = Judged { clips: ClipRowBuffers::default(), n_kept: 0, rejects };
        for cue in rows {
            self.row(memory, cue, &mut judged);
        }
        judged
    }

    fn row(&self, memory: &mut Memory, cue: CueRef<'_>, judged: &mut Judged) {
        let CueRef { row_id, video_id, start_ms, dur_ms, text } = cue;
        let Some(end_ms) = start_ms.checked_add(dur_ms) else {
            let detail = format_args!("{start_ms} ms + {dur_ms} ms");
            judged.rejects.fail(format_args!("{video_id} row {row_id}"), RowFault::EndBeyondRange, detail);
            return;
        };
        let hash = text_hash(text);
        let label_details = judged.rejects.files_all();
        let known = memory.known(hash, |texts| self.judge(text, hash, texts, label_details));
        let said = &memory.texts[known.from as usize..known.to as usize];
        if let Some(reason) = known.drop {
            let key = Key { video_id, start_ms, end_ms };
            // The label tables say it of each text already, and of most texts.
            let by_label = matches!(reason, DropReason::NotASound | DropReason::NoLabel | DropReason::UnknownLabel);
            if by_label {
                judged.rejects.drop_counted(key, reason, said);
            } else {
                judged.rejects.drop(key, reason, said);
            }
            return;
        }
        let known_prob = |prob: f32| (!prob.is_nan()).then_some(prob);
        let (bert_prob, llm_yes_prob) = (known_prob(known.bert_prob), known_prob(known.llm_yes_prob));
        ClipRow::push(
            &mut judged.clips,
            ClipRowRef {
                row_id,
                video_id,
                start_ms,
                end_ms,
                text,
                clean_text: said,
                text_hash: hash,
                bert_prob,
                llm_yes_prob,
            },
        );
        judged.n_kept += 1;
    }

    /// The label of a text, for `explain`.
    pub fn label(&self, text: &str) -> Label {
        self.labels.of(text_hash(text))
    }
}

impl Memory {
    fn known(&mut self, hash: u64, judge: impl FnOnce(&mut String) -> Known) -> Known {
        if let Some(known) = self.verdicts.get(&hash) {
            return *known;
        }
        if self.verdicts.len() == MEMORY_TEXTS {
            self.verdicts.clear();
            self.texts.clear();
        }
        let known = judge(&mut self.texts);
        self.verdicts.insert(hash, known);
        known
    }
}

/// A clip key without an owned id; ids that cannot be part of a key are shown as they are.
struct Key<'a> {
    video_id: &'a str,
    start_ms: u32,
    end_ms: u32,
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}-{})", self.video_id, Seconds(self.start_ms, '.'), Seconds(self.end_ms, '.'))
    }
}
