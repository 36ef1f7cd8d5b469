//! The labels of all texts.

use std::collections::HashMap;
use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::parallel::ordered_map;
use audsem_core::tables::{Columns, ParquetFile, TableError, is_csv, tables_under};
use foldhash::fast::FixedState;

use super::policy::Label;
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

/// The labels of all texts, by the hash of the text.
#[derive(Debug, Default)]
pub struct Labels {
    by_hash: HashMap<u64, Label, FixedState>,
}

/// Initial capacity in texts: what a table of 2²¹ slots holds, 52 MB. The table grows when there are more.
const MAX_RESERVED: usize = 7 << 18;

impl Labels {
    /// Reads label tables on `threads` threads. Of several verdicts of one kind on a text the first
    /// counts, but a clear answer of a language model replaces an unclear one.
    ///
    /// # Errors
    /// A table cannot be read.
    pub(super) fn read(tables: &LabelTables, threads: usize) -> Result<Self, TableError> {
        let groups: Vec<(&Table, usize)> =
            tables.0.iter().flat_map(|table| (0..table.n_groups()).map(move |i| (table, i))).collect();
        let mut labels = Self::with_room_for(tables.n_texts());
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

    /// Reserves capacity for `n` texts, bounded because the footer of a damaged table may state any number.
    fn with_room_for(n_texts: usize) -> Self {
        Self { by_hash: HashMap::with_capacity_and_hasher(n_texts.min(MAX_RESERVED), FixedState::default()) }
    }

    fn add(&mut self, hash: u64, label: Label) {
        if !label.is_absent() {
            self.by_hash.entry(hash).or_insert(Label::ABSENT).add(label);
        }
    }

    /// The labels of a text.
    pub fn of(&self, text_hash: u64) -> Label {
        self.by_hash.get(&text_hash).copied().unwrap_or(Label::ABSENT)
    }

    /// Number of texts that have a label.
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether no text has a label.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }
}

/// A table of either kind.
enum Table {
    Bert(ParquetFile<Bert>),
    Llm(ParquetFile<Llm>),
}

/// Label tables that have been opened and whose footers have the expected columns.
pub(super) struct LabelTables(Vec<Table>);

impl LabelTables {
    /// # Errors
    /// One cannot be opened, or is not a table of labels.
    pub(super) fn open(bert: &[PathBuf], llm: &[PathBuf]) -> Result<Self, TableError> {
        let bert = bert.iter().map(|path| ParquetFile::open(path).map(Table::Bert));
        let llm = llm.iter().map(|path| ParquetFile::open(path).map(Table::Llm));
        bert.chain(llm).collect::<Result<_, _>>().map(Self)
    }

    /// Number of texts that the tables of one kind label; the other kind usually labels the same texts.
    fn n_texts(&self) -> usize {
        let of = |bert: bool| {
            let tables = self.0.iter().filter(|table| matches!(table, Table::Bert(_)) == bert);
            tables.map(Table::n_rows).fold(0, usize::saturating_add)
        };
        usize::max(of(true), of(false))
    }
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
/// A folder cannot be listed, its run has not ended, or it holds CSV, which is not a format of labels.
pub(super) fn label_files(flag: &str, folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let files = folders.iter().map(|folder| tables_under(folder)).collect::<Result<Vec<_>, _>>()?.concat();
    match files.iter().find(|path| is_csv(path)) {
        None => Ok(files),
        Some(path) => Err(CoreError::Config {
            what: flag.to_owned(),
            problem: format!(
                "labels are read from Parquet, but this is CSV: {}\n\
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

    fn labels(of: impl IntoIterator<Item = (u64, Label)>) -> Labels {
        let mut labels = Labels::default();
        of.into_iter().for_each(|(hash, label)| labels.add(hash, label));
        labels
    }

    #[test]
    fn a_table_that_tells_of_any_number_of_texts_gets_no_room_for_them() {
        let mut labels = Labels::with_room_for(usize::MAX);
        assert!(labels.by_hash.capacity() < 3 << 20);
        labels.add(7, Label { bert_label: 1, bert_prob: 0.9, ..Label::ABSENT });
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
