//! What is known of the texts that were met, so that each is judged once.

use audsem_core::memory::{Entry, SharedTexts};

use super::policy::Label;
use super::reason::DropReason;

/// Distinct texts that are remembered: 45 MB, and what is said of them. Those met after that are judged each time.
const MAX_TEXTS: usize = 1 << 20;

/// What is said of a text usually takes no more.
const USUAL_BYTES: usize = 96;

/// Bytes of a table that a row takes at least, where texts do not repeat.
const BYTES_PER_ROW: u64 = 8;

/// What has been decided about one text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// The classifier's probability.
    pub(super) bert_prob: Option<f32>,
    /// The language model's.
    pub(super) llm_yes_prob: Option<f32>,
    /// `None`: kept.
    pub(super) drop: Option<DropReason>,
    /// The clean caption, or the detail of the reject, escaped.
    pub(super) said: &'a str,
}

impl<'a> Known<'a> {
    pub(super) fn new(label: Label, drop: Option<DropReason>, said: &'a str) -> Self {
        Self { bert_prob: label.bert_prob(), llm_yes_prob: label.llm_yes_prob(), drop, said }
    }
}

/// Verdicts of all threads on the texts they have met.
#[derive(Debug)]
pub(super) struct Memory {
    texts: SharedTexts,
}

impl Memory {
    /// For the texts of tables of so many bytes.
    pub(super) fn for_tables(n_bytes: u64) -> Self {
        let n_texts = usize::try_from(n_bytes / BYTES_PER_ROW + 1).unwrap_or(usize::MAX).min(MAX_TEXTS);
        Self { texts: SharedTexts::with_room_for(n_texts, n_texts * USUAL_BYTES) }
    }

    /// What is known of the text with this hash.
    pub(super) fn recall(&self, hash: u64) -> Option<Known<'_>> {
        self.texts.get(hash).map(unpack)
    }

    /// Remembers what has been decided about a text, if there is room for it, and gives back what is remembered.
    pub(super) fn learn(&self, hash: u64, known: Known<'_>) -> Option<Known<'_>> {
        self.texts.insert(hash, pack(known)).map(unpack)
    }
}

fn pack(known: Known<'_>) -> Entry<'_> {
    let bits = |prob: Option<f32>| u64::from(prob.unwrap_or(f32::NAN).to_bits());
    let reason = known.drop.map_or(0, |drop| 1 + drop as u64);
    Entry { text: known.said, values: [bits(known.bert_prob) << 32 | bits(known.llm_yes_prob), reason] }
}

#[expect(clippy::cast_possible_truncation, reason = "halves of a number, and a small one")]
fn unpack(entry: Entry<'_>) -> Known<'_> {
    let [probs, reason] = entry.values;
    let prob = |bits: u64| Some(f32::from_bits(bits as u32)).filter(|prob| !prob.is_nan());
    Known {
        bert_prob: prob(probs >> 32),
        llm_yes_prob: prob(probs),
        drop: (reason as usize).checked_sub(1).map(|i| DropReason::ALL[i]),
        said: entry.text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_is_remembered() {
        let memory = Memory::for_tables(1 << 12);
        let reasons = std::iter::once(None).chain(DropReason::ALL.iter().copied().map(Some));
        for (hash, drop) in (1..).zip(reasons) {
            for (bert_prob, llm_yes_prob) in [(Some(0.5), None), (None, Some(1.0)), (Some(0.0), Some(0.25))] {
                let known = Known { bert_prob, llm_yes_prob, drop, said: "dog barks" };
                let expected = (bert_prob, llm_yes_prob, drop, "dog barks");
                let same = |known: Known<'_>| {
                    assert_eq!((known.bert_prob, known.llm_yes_prob, known.drop, known.said), expected);
                };
                same(unpack(pack(known)));
                if llm_yes_prob.is_none() {
                    assert!(memory.recall(hash).is_none());
                    same(memory.learn(hash, known).expect("there is room"));
                    same(memory.recall(hash).expect("it is there"));
                }
            }
        }
    }
}
