//! Labels of distinct texts, and the policy that reads them.

use std::fmt;
use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::memory::large_table;
use audsem_core::parallel::ordered_map;
use audsem_core::tables::{Columns, ParquetFile, TableError, is_csv, tables_under};
use clap::ValueEnum;
use serde::Serialize;

use super::reason::DropReason;
use crate::error::Result;

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
    pub(super) const ABSENT: Self = Self { bert_label: NONE, bert_prob: f32::NAN, llm_label: NONE, llm_prob: f32::NAN };

    fn is_absent(&self) -> bool {
        self.bert_label == NONE && self.llm_label == NONE
    }

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

    /// Takes in a further verdict on the same text: of several of one kind the first counts, but a
    /// language model's unclear answer gives way to any clear one.
    fn add(&mut self, other: Self) {
        if self.bert_label == NONE {
            (self.bert_label, self.bert_prob) = (other.bert_label, other.bert_prob);
        }
        if self.llm_label == NONE || (self.llm_label < 0 && other.llm_label >= 0) {
            (self.llm_label, self.llm_prob) = (other.llm_label, other.llm_prob);
        }
    }
}

/// The labels in words, for rejects and `explain`: `bert 1 (0.912), llm none`.
impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("bert ", self.bert_label, self.bert_prob()), (", llm ", self.llm_label, self.llm_yes_prob())];
        for (name, label, prob) in parts {
            f.write_str(name)?;
            if label == NONE {
                f.write_str("none")?;
                continue;
            }
            f.write_str(itoa::Buffer::new().format(label))?;
            match prob {
                None => f.write_str(" (no probability)")?,
                Some(prob) => write_prob(f, prob)?,
            }
        }
        Ok(())
    }
}

/// Writes a probability as `{:.3}` does, several times as fast: it stands in most lines of the rejects.
fn write_prob(f: &mut fmt::Formatter<'_>, prob: f32) -> fmt::Result {
    if !(0.0..1.0).contains(&prob) {
        return write!(f, " ({prob:.3})");
    }
    // Exact: the product of 24 and 10 bits fits a double.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1000")]
    let thousandths = (f64::from(prob) * 1000.0).round_ties_even() as u32;
    let mut text = *b" (0.000)";
    for (at, divisor) in [(2, 1000), (4, 100), (5, 10), (6, 1)] {
        text[at] += u8::try_from(thousandths / divisor % 10).expect("a decimal digit");
    }
    f.write_str(std::str::from_utf8(&text).expect("decimal digits are ASCII"))
}

/// The labels of all texts: a hash table with open addressing, 24 bytes a slot.
#[derive(Debug, Default)]
pub struct Labels {
    /// A text's slot is its hash, scaled to their number, or one of the next; see [`Labels::find`].
    slots: Vec<(u64, Label)>,
    n_texts: usize,
}

/// Texts that room is made for at once, 67 MB; for more it grows.
const MOST_AT_ONCE: usize = 1 << 21;

impl Labels {
    /// Reads label tables on `threads` threads. Of several verdicts of one kind on a text the first
    /// counts, but a language model's unclear answer gives way to any clear one.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn read(bert: &[PathBuf], llm: &[PathBuf], threads: usize) -> Result<Self, TableError> {
        let tables = bert.iter().map(|path| ParquetFile::open(path).map(Table::Bert));
        let tables = tables.chain(llm.iter().map(|path| ParquetFile::open(path).map(Table::Llm)));
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        let groups: Vec<(&Table, usize)> =
            tables.iter().flat_map(|table| (0..table.n_groups()).map(move |i| (table, i))).collect();
        let mut labels = Self::with_room_for(n_texts(&tables));
        ordered_map(
            groups,
            threads,
            2 * threads,
            |(table, i)| table.group(i),
            |group| {
                for (hash, label) in group? {
                    labels.add(hash, label);
                }
                Ok::<_, TableError>(())
            },
        )?;
        Ok(labels)
    }

    /// Room for so many texts from the beginning; not for any number that a damaged table may tell.
    fn with_room_for(n_texts: usize) -> Self {
        let n_texts = n_texts.min(MOST_AT_ONCE);
        let n_slots = if n_texts == 0 { 0 } else { n_texts / 3 * 4 + 8 };
        Self { slots: large_table((0, Label::ABSENT), n_slots), n_texts: 0 }
    }

    fn add(&mut self, hash: u64, label: Label) {
        if label.is_absent() {
            return;
        }
        if self.n_texts * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        let slot = self.find(hash);
        let (its_hash, its_label) = &mut self.slots[slot];
        self.n_texts += usize::from(its_label.is_absent());
        *its_hash = hash;
        its_label.add(label);
    }

    fn grow(&mut self) {
        let n_slots = (self.slots.len() * 2).max(1 << 10);
        let old = std::mem::replace(&mut self.slots, large_table((0, Label::ABSENT), n_slots));
        for (hash, label) in old.into_iter().filter(|(_, label)| !label.is_absent()) {
            let slot = self.find(hash);
            self.slots[slot] = (hash, label);
        }
    }

    /// The slot of a text, or the free one that it would take. There must be slots.
    fn find(&self, hash: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "the product's upper half is below the number of slots")]
        let mut slot = ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize;
        while self.slots[slot].0 != hash && !self.slots[slot].1.is_absent() {
            slot = if slot + 1 == self.slots.len() { 0 } else { slot + 1 };
        }
        slot
    }

    /// The labels of a text.
    pub fn of(&self, text_hash: u64) -> Label {
        if self.slots.is_empty() {
            return Label::ABSENT;
        }
        self.slots[self.find(text_hash)].1
    }

    /// How many texts have a label.
    pub fn len(&self) -> usize {
        self.n_texts
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.n_texts == 0
    }
}

/// A table of either kind.
enum Table {
    Bert(ParquetFile<Bert>),
    Llm(ParquetFile<Llm>),
}

/// How many texts the tables of one kind are about; those of the other are about the same ones, as a rule.
fn n_texts(tables: &[Table]) -> usize {
    let of = |bert: bool| {
        let tables = tables.iter().filter(|table| matches!(table, Table::Bert(_)) == bert);
        tables.map(Table::n_rows).fold(0, usize::saturating_add)
    };
    usize::max(of(true), of(false))
}

impl Table {
    fn n_rows(&self) -> usize {
        match self {
            Self::Bert(file) => file.n_rows(),
            Self::Llm(file) => file.n_rows(),
        }
    }

    fn n_groups(&self) -> usize {
        match self {
            Self::Bert(file) => file.n_groups(),
            Self::Llm(file) => file.n_groups(),
        }
    }

    /// The labels of one row group, with the hashes of their texts.
    fn group(&self, i: usize) -> Result<Vec<(u64, Label)>, TableError> {
        Ok(match self {
            Self::Bert(file) => {
                let columns = file.group(i)?;
                let label = |BertRef { text_hash, bert_label, bert_prob }| {
                    (text_hash, Label { bert_label, bert_prob, ..Label::ABSENT })
                };
                (0..columns.len()).map(|i| label(columns.get(i))).collect()
            }
            Self::Llm(file) => {
                let columns = file.group(i)?;
                let label = |LlmRef { text_hash, llm_label, llm_yes_prob }| {
                    (text_hash, Label { llm_label, llm_prob: llm_yes_prob.unwrap_or(f32::NAN), ..Label::ABSENT })
                };
                (0..columns.len()).map(|i| label(columns.get(i))).collect()
            }
        })
    }
}

/// The Parquet files of the label folders that `flag` names.
///
/// # Errors
/// A folder cannot be listed, its run has not ended, or it holds CSV, which tells no labels.
pub(super) fn label_files(flag: &str, folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let files = folders.iter().map(|folder| tables_under(folder)).collect::<Result<Vec<_>, _>>()?.concat();
    match files.iter().find(|path| is_csv(path)) {
        None => Ok(files),
        Some(path) => Err(CoreError::Config {
            what: flag.to_owned(),
            problem: format!(
                "labels are Parquet, and this is CSV: {}\n\
                 hint: name the run folder that `classify` (for --bert) or `label` (for --llm) wrote",
                path.display()
            ),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NO_THRESHOLD: Thresholds = Thresholds { bert: None, llm: None };

    fn labels(of: impl IntoIterator<Item = (u64, Label)>) -> Labels {
        let mut labels = Labels::default();
        of.into_iter().for_each(|(hash, label)| labels.add(hash, label));
        labels
    }

    #[test]
    fn probabilities_are_printed_as_the_standard_library_does() {
        for i in 0..=20_000u16 {
            // Multiples of 1/16000 hit every tie between two thousandths.
            let prob = f32::from(i) / 16_000.0;
            let text = label(1, prob, NONE, f32::NAN).to_string();
            assert_eq!(text, format!("bert 1 ({prob:.3}), llm none"));
        }
        assert_eq!(label(NONE, f32::NAN, -1, f32::NAN).to_string(), "bert none, llm -1 (no probability)");
    }

    fn label(bert_label: i8, bert_prob: f32, llm_label: i8, llm_prob: f32) -> Label {
        Label { bert_label, bert_prob, llm_label, llm_prob }
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
    fn a_table_that_tells_of_any_number_of_texts_gets_no_room_for_them() {
        let mut labels = Labels::with_room_for(usize::MAX);
        assert!(labels.slots.len() < 3 << 20);
        labels.add(7, label(1, 0.9, NONE, f32::NAN));
        assert_eq!((labels.len(), labels.of(7).bert_label), (1, 1));
    }

    #[test]
    fn f14_an_unclear_answer_gives_way_to_a_clear_one() {
        let llm = |llm_label| Label { llm_label, ..Label::ABSENT };
        let bert = Label { bert_label: 1, bert_prob: 0.5, ..Label::ABSENT };
        let merged = labels([(7, llm(-1)), (7, bert), (7, llm(1)), (7, llm(0))]);
        assert_eq!(merged.len(), 1);
        assert_eq!((merged.of(7).llm_label, merged.of(7).bert_label), (1, 1));
    }

    proptest! {
        #[test]
        fn every_label_is_found(hashes in prop::collection::btree_set(
            prop_oneof![any::<u64>(), 0u64..500, (u64::MAX - 50)..=u64::MAX], 0..3000), other in any::<u64>())
        {
            let answer = |hash: u64| i8::try_from(hash % 2).expect("0 or 1");
            let labels =
                labels(hashes.iter().map(|hash| (*hash, Label { llm_label: answer(*hash), ..Label::ABSENT })));
            prop_assert_eq!(labels.len(), hashes.len());
            for hash in &hashes {
                prop_assert_eq!(labels.of(*hash).llm_label, answer(*hash));
            }
            prop_assert_eq!(!labels.of(other).is_absent(), hashes.contains(&other));
        }
    }
}
