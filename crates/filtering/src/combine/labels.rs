//! Labels of distinct texts, and the policy that reads them.

use std::path::PathBuf;

use audsem_core::tables::{Columns, ParquetFile, TableError, tables_under};
use clap::ValueEnum;
use serde::Serialize;

use super::reason::DropReason;

audsem_core::row! {
    table "bert labels";
    /// What `combine` needs of a classifier's verdict.
    struct Bert / BertRef / BertColumns / BertBuffers {
        /// XXH3 of the text.
        pub text_hash: u64,
        /// 1: sound.
        pub bert_label: i8,
        /// Probability of 1.
        pub bert_prob: f32,
    }
}

audsem_core::row! {
    table "llm labels";
    /// What `combine` needs of a language model's verdict.
    struct Llm / LlmRef / LlmColumns / LlmBuffers {
        /// XXH3 of the text.
        pub text_hash: u64,
        /// 1: sound, 0: none, -1: unknown.
        pub llm_label: i8,
        /// P(yes), where known.
        pub llm_yes_prob: Option<f32>,
    }
}

/// Which labels must say that a caption names a sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// No label is looked at.
    None,
    /// The classifier's.
    Bert,
    /// The language model's.
    Llm,
    /// Both.
    Both,
    /// One of them at least.
    Either,
}

impl Policy {
    /// Whether it reads the classifier's labels.
    pub fn reads_bert(self) -> bool {
        matches!(self, Self::Bert | Self::Both | Self::Either)
    }

    /// Whether it reads the language model's labels.
    pub fn reads_llm(self) -> bool {
        matches!(self, Self::Llm | Self::Both | Self::Either)
    }
}

/// Above which probability a label counts as yes; without a threshold the label itself counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Thresholds {
    /// For `bert_prob`.
    pub bert: Option<f32>,
    /// For `llm_yes_prob`; a row without one is judged by its label.
    pub llm: Option<f32>,
}

/// The labels of one text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    hash: u64,
    /// `NONE` when the classifier has not seen the text.
    bert_label: i8,
    bert_prob: f32,
    /// `NONE` when the language model has not seen the text.
    llm_label: i8,
    /// NaN when unknown.
    llm_prob: f32,
}

/// Stands for the absence of a label.
const NONE: i8 = i8::MIN;

/// What one label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Yes,
    No,
    Unknown,
    Nothing,
}

impl Label {
    const ABSENT: Self = Self { hash: 0, bert_label: NONE, bert_prob: f32::NAN, llm_label: NONE, llm_prob: f32::NAN };

    /// The classifier's probability.
    pub fn bert_prob(&self) -> Option<f32> {
        (!self.bert_prob.is_nan()).then_some(self.bert_prob)
    }

    /// The language model's probability.
    pub fn llm_yes_prob(&self) -> Option<f32> {
        (!self.llm_prob.is_nan()).then_some(self.llm_prob)
    }

    fn bert(&self, threshold: Option<f32>) -> Says {
        match (self.bert_label, threshold, self.bert_prob()) {
            (NONE, ..) => Says::Nothing,
            (_, Some(threshold), Some(prob)) if prob >= threshold => Says::Yes,
            (_, Some(_), Some(_)) => Says::No,
            (1, ..) => Says::Yes,
            _ => Says::No,
        }
    }

    fn llm(&self, threshold: Option<f32>) -> Says {
        match (self.llm_label, threshold, self.llm_yes_prob()) {
            (NONE, ..) => Says::Nothing,
            (_, Some(threshold), Some(prob)) if prob >= threshold => Says::Yes,
            (_, Some(_), Some(_)) => Says::No,
            (1, ..) => Says::Yes,
            (0, ..) => Says::No,
            _ => Says::Unknown,
        }
    }

    /// Why the policy leaves the text out; `None` when it lets it pass.
    pub fn verdict(&self, policy: Policy, thresholds: Thresholds) -> Option<DropReason> {
        let (bert, llm) = (self.bert(thresholds.bert), self.llm(thresholds.llm));
        let votes: &[Says] = match policy {
            Policy::None => return None,
            Policy::Bert => &[bert],
            Policy::Llm => &[llm],
            Policy::Both | Policy::Either => &[bert, llm],
        };
        let passes = match policy {
            Policy::Either => votes.contains(&Says::Yes),
            _ => votes.iter().all(|vote| *vote == Says::Yes),
        };
        if passes {
            return None;
        }
        // A clear no outweighs what is missing; what is missing outweighs an unclear answer.
        Some(match () {
            () if votes.contains(&Says::No) => DropReason::NotASound,
            () if votes.contains(&Says::Nothing) => DropReason::NoLabel,
            () => DropReason::UnknownLabel,
        })
    }

    /// The labels in words, for rejects and `explain`.
    pub fn describe(&self) -> String {
        let prob = |prob: Option<f32>| prob.map_or_else(|| "no probability".to_owned(), |prob| format!("{prob:.3}"));
        let part = |name: &str, label: i8, p: Option<f32>| match label {
            NONE => format!("{name} none"),
            label => format!("{name} {label} ({})", prob(p)),
        };
        format!(
            "{}, {}",
            part("bert", self.bert_label, self.bert_prob()),
            part("llm", self.llm_label, self.llm_yes_prob())
        )
    }
}

/// The labels of all texts: 24 bytes each, sorted by hash, and 4 bytes of index.
#[derive(Debug, Default)]
pub struct Labels {
    sorted: Vec<Label>,
    /// Where the labels begin whose hashes begin with the bits of the index; one more at the end.
    /// Hashes are spread evenly, so each of these stretches holds about one label.
    starts: Vec<u32>,
    /// How far a hash is shifted to give the index.
    shift: u32,
}

impl Labels {
    /// Reads label tables. Of several verdicts of one kind on a text the first counts, but a
    /// language model's unclear answer gives way to any clear one.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn read(bert: &[PathBuf], llm: &[PathBuf]) -> Result<Self, TableError> {
        let mut labels = Vec::new();
        for path in bert {
            for columns in ParquetFile::<Bert>::open(path)?.groups() {
                let columns = columns?;
                labels.extend((0..columns.len()).map(|i| {
                    let BertRef { text_hash: hash, bert_label, bert_prob } = columns.get(i);
                    Label { hash, bert_label, bert_prob, ..Label::ABSENT }
                }));
            }
        }
        for path in llm {
            for columns in ParquetFile::<Llm>::open(path)?.groups() {
                let columns = columns?;
                labels.extend((0..columns.len()).map(|i| {
                    let LlmRef { text_hash: hash, llm_label, llm_yes_prob } = columns.get(i);
                    Label { hash, llm_label, llm_prob: llm_yes_prob.unwrap_or(f32::NAN), ..Label::ABSENT }
                }));
            }
        }
        Ok(Self::merge(labels))
    }

    fn merge(mut labels: Vec<Label>) -> Self {
        // Stable, so that labels of one text stay in the order they were read in.
        labels.sort_by_key(|label| label.hash);
        labels.dedup_by(|next, first| {
            if next.hash != first.hash {
                return false;
            }
            if first.bert_label == NONE {
                (first.bert_label, first.bert_prob) = (next.bert_label, next.bert_prob);
            }
            if first.llm_label == NONE || (first.llm_label < 0 && next.llm_label >= 0) {
                (first.llm_label, first.llm_prob) = (next.llm_label, next.llm_prob);
            }
            true
        });
        labels.shrink_to_fit();
        Self::indexed(labels)
    }

    fn indexed(sorted: Vec<Label>) -> Self {
        let bits = sorted.len().max(2).next_power_of_two().ilog2();
        let shift = u64::BITS - bits;
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        for (at, label) in sorted.iter().enumerate() {
            let at = u32::try_from(at).expect("fewer than 2^32 labels of 24 bytes are in memory");
            while starts.len() as u64 <= label.hash >> shift {
                starts.push(at);
            }
        }
        starts.resize((1 << bits) + 1, u32::try_from(sorted.len()).expect("checked above"));
        Self { sorted, starts, shift }
    }

    /// The labels of a text.
    pub fn of(&self, text_hash: u64) -> Label {
        if self.sorted.is_empty() {
            return Label::ABSENT;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the shift leaves as many bits as there are starts")]
        let index = (text_hash >> self.shift) as usize;
        let stretch = self.starts[index] as usize..self.starts[index + 1] as usize;
        self.sorted[stretch].iter().find(|label| label.hash == text_hash).copied().unwrap_or(Label::ABSENT)
    }

    /// How many texts have a label.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }
}

/// The Parquet files of label folders.
///
/// # Errors
/// A folder cannot be listed or its run has not ended.
pub(super) fn label_files(folders: &[PathBuf]) -> Result<Vec<PathBuf>, TableError> {
    folders.iter().map(|folder| tables_under(folder)).collect::<Result<Vec<_>, _>>().map(|files| files.concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NO_THRESHOLD: Thresholds = Thresholds { bert: None, llm: None };

    fn label(bert_label: i8, bert_prob: f32, llm_label: i8, llm_prob: f32) -> Label {
        Label { hash: 1, bert_label, bert_prob, llm_label, llm_prob }
    }

    #[test]
    fn f1_each_policy_asks_the_labels_it_names() {
        use DropReason::{NoLabel, NotASound, UnknownLabel};
        use Policy::{Bert, Both, Either, Llm};
        let nan = f32::NAN;
        for (labels, policy, expected) in [
            (label(1, 0.9, 0, 0.1), Bert, None),
            (label(1, 0.9, 0, 0.1), Llm, Some(NotASound)),
            (label(1, 0.9, 0, 0.1), Both, Some(NotASound)),
            (label(1, 0.9, 0, 0.1), Either, None),
            (label(0, 0.2, 1, nan), Either, None),
            (label(0, 0.2, NONE, nan), Either, Some(NotASound)),
            (label(1, 0.9, NONE, nan), Both, Some(NoLabel)),
            (label(1, 0.9, -1, nan), Both, Some(UnknownLabel)),
            (label(NONE, nan, -1, nan), Either, Some(NoLabel)),
            (Label::ABSENT, Bert, Some(NoLabel)),
            (Label::ABSENT, Policy::None, None),
        ] {
            assert_eq!(labels.verdict(policy, NO_THRESHOLD), expected, "{labels:?} under {policy:?}");
        }
    }

    #[test]
    fn a_threshold_replaces_the_label_where_there_is_a_probability() {
        let strict = Thresholds { bert: Some(0.95), llm: Some(0.3) };
        assert_eq!(label(1, 0.9, 1, 0.9).verdict(Policy::Bert, strict), Some(DropReason::NotASound));
        assert_eq!(label(1, 0.9, 0, 0.4).verdict(Policy::Llm, strict), None);
        assert_eq!(label(1, 0.9, 1, f32::NAN).verdict(Policy::Llm, strict), None);
    }

    #[test]
    fn f14_an_unclear_answer_gives_way_to_a_clear_one() {
        let llm = |llm_label| Label { hash: 7, llm_label, ..Label::ABSENT };
        let bert = Label { hash: 7, bert_label: 1, bert_prob: 0.5, ..Label::ABSENT };
        let merged = Labels::merge(vec![llm(-1), bert, llm(1), llm(0)]);
        assert_eq!(merged.len(), 1);
        assert_eq!((merged.of(7).llm_label, merged.of(7).bert_label), (1, 1));
    }

    proptest! {
        #[test]
        fn every_label_is_found(hashes in prop::collection::btree_set(
            prop_oneof![any::<u64>(), 0u64..500, (u64::MAX - 50)..=u64::MAX], 0..300), other in any::<u64>())
        {
            let labels = Labels::merge(hashes.iter().map(|hash| Label { hash: *hash, llm_label: 1, ..Label::ABSENT }).collect());
            for hash in &hashes {
                prop_assert_eq!(labels.of(*hash).hash, *hash);
                prop_assert_eq!(labels.of(*hash).llm_label, 1);
            }
            prop_assert_eq!(labels.of(other).llm_label == 1, hashes.contains(&other));
        }
    }
}
