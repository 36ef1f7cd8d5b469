//! What answers need their whole data set for.

use std::collections::{BTreeMap, HashSet};

use audsem_metrics::caption::{CaptionStyle, ReferenceCorpus, words};
use serde::{Deserialize, Serialize};

use crate::item::MMAU_PRO;
use crate::tables::ItemScore;

/// Words of captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptionStatistics {
    /// Captions.
    pub n_captions: u64,
    /// Different words.
    pub vocabulary: u64,
    /// Mean number of words.
    pub mean_words: f64,
    /// Share of captions that equal no right caption of the data set.
    pub novel: f64,
}

impl CaptionStatistics {
    /// Of the captions among the rows; `None` if there are none.
    pub(super) fn of(rows: &[&ItemScore]) -> Option<Self> {
        let captions: Vec<Vec<String>> = rows
            .iter()
            .filter(|row| row.kind == "caption")
            .filter_map(|row| row.answer.as_deref().map(words))
            .collect();
        if captions.is_empty() {
            return None;
        }
        let references: HashSet<Vec<String>> =
            rows.iter().flat_map(|row| &row.references).map(|reference| words(reference)).collect();
        let CaptionStyle { captions: n, vocabulary, mean_words, novel } = CaptionStyle::of(&captions, &references);
        Some(Self { n_captions: n as u64, vocabulary: vocabulary as u64, mean_words, novel })
    }
}

/// Adds CIDEr-D to the captions. Words are weighed by the right captions of the data set, each question counting once.
pub(in crate::score) fn add_cider(rows: &mut [ItemScore]) {
    let mut questions: BTreeMap<(&str, &str), &[String]> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.kind == "caption" && !row.references.is_empty()) {
        questions.insert((&row.benchmark, &row.id), &row.references);
    }
    let mut corpora: BTreeMap<String, ReferenceCorpus> = BTreeMap::new();
    for ((benchmark, _), references) in questions {
        corpora.entry(benchmark.to_owned()).or_default().add(&all_words(references));
    }
    for row in rows.iter_mut().filter(|row| row.kind == "caption" && !row.references.is_empty()) {
        let answer = words(row.answer.as_deref().unwrap_or_default());
        row.cider_d = corpora.get(&row.benchmark).map(|corpus| corpus.cider_d(&answer, &all_words(&row.references)));
    }
}

/// Adds the score of all kinds together to MMAU-Pro, where every question of a way of hearing has one: a mean without the open
/// answers, for instance, would pass for what it is not.
pub(in crate::score) fn add_overall(rows: &mut [ItemScore], highest_rating: f64) {
    let own = |row: &ItemScore| match row.kind.as_str() {
        "choice" => row.official,
        "open" => row.judgement.as_ref().map(|_| row.rating.unwrap_or(0.0) / highest_rating),
        _ => row.instruction,
    };
    let is_known = |row: &ItemScore| match row.kind.as_str() {
        "instruction" => row.instruction.is_some(),
        _ => !row.references.is_empty(),
    };
    let is_counted = |row: &ItemScore| row.benchmark == MMAU_PRO && row.permutation == 0 && is_known(row);
    let incomplete: HashSet<String> =
        rows.iter().filter(|row| is_counted(row) && own(row).is_none()).map(|row| row.heard.clone()).collect();
    for row in rows.iter_mut().filter(|row| is_counted(row) && !incomplete.contains(&row.heard)) {
        row.overall = own(row);
    }
}

fn all_words(texts: &[String]) -> Vec<Vec<String>> {
    texts.iter().map(|text| words(text)).collect()
}
