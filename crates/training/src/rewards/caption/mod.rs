//! Rewards of captions: how much they share with reference captions.

use audsem_core::answers::TaggedAnswer;
use audsem_metrics::caption::{ReferenceCorpus, bleu_4, rouge_l, words};
use audsem_metrics::meteor::{WordNet, meteor_of_nearest};

use super::{Reward, RewardItem, RewardProgramError, RewardValue, each};

/// Rewards words and phrases that references have too: BLEU of up to four words, from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct Bleu4 {
    /// Whether the caption stands inside `<answer>`.
    pub is_tagged: bool,
}

/// Rewards the longest common subsequence with a reference: ROUGE-L, from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct RougeL {
    /// Whether the caption stands inside `<answer>`.
    pub is_tagged: bool,
}

/// Rewards rare words and phrases that references have too: a tenth of CIDEr-D, about 0 to 1.
#[derive(Debug, Clone)]
pub struct CiderD {
    is_tagged: bool,
    corpus: ReferenceCorpus,
}

impl CiderD {
    /// Words are weighted by the references of `corpus`; if it is empty, by those of the completions that are scored
    /// together.
    pub fn new(is_tagged: bool, corpus: ReferenceCorpus) -> Self {
        Self { is_tagged, corpus }
    }
}

/// Rewards words that references have too, as they are, by their stems or by a synonym, and their order: METEOR, from 0 to 1.
#[derive(Debug)]
pub struct Meteor {
    is_tagged: bool,
    wordnet: WordNet,
}

impl Meteor {
    /// Words are synonyms by `wordnet`.
    pub fn new(is_tagged: bool, wordnet: WordNet) -> Self {
        Self { is_tagged, wordnet }
    }
}

/// The caption that a model wrote; empty where its tags are absent.
fn caption<'a>(item: &RewardItem<'a>, is_tagged: bool) -> &'a str {
    match is_tagged {
        true => TaggedAnswer::read(item.completion).answer.unwrap_or_default(),
        false => item.completion,
    }
}

/// The words of the caption that a model wrote.
fn given(item: &RewardItem<'_>, is_tagged: bool) -> Vec<String> {
    words(caption(item, is_tagged))
}

/// The reference captions of a completion that have words.
fn reference_captions<'a>(item: &RewardItem<'a>) -> Result<Vec<&'a str>, String> {
    let all = std::iter::once(item.answer).chain(item.further_references.iter().map(String::as_str));
    let all: Vec<&str> = all.filter(|text| !words(text).is_empty()).collect();
    if all.is_empty() { Err("the item has no reference caption".to_owned()) } else { Ok(all) }
}

/// The words of the references of a completion.
fn references(item: &RewardItem<'_>) -> Result<Vec<Vec<String>>, String> {
    Ok(reference_captions(item)?.into_iter().map(words).collect())
}

impl Reward for Bleu4 {
    fn name(&self) -> &str {
        "bleu-4"
    }

    fn score(&mut self, items: &[RewardItem<'_>]) -> Result<Vec<RewardValue>, RewardProgramError> {
        Ok(each(items, |item| Ok(Some(bleu_4(&given(item, self.is_tagged), &references(item)?)))))
    }
}

impl Reward for RougeL {
    fn name(&self) -> &str {
        "rouge-l"
    }

    fn score(&mut self, items: &[RewardItem<'_>]) -> Result<Vec<RewardValue>, RewardProgramError> {
        Ok(each(items, |item| Ok(Some(rouge_l(&given(item, self.is_tagged), &references(item)?)))))
    }
}

impl Reward for Meteor {
    fn name(&self) -> &str {
        "meteor"
    }

    fn score(&mut self, items: &[RewardItem<'_>]) -> Result<Vec<RewardValue>, RewardProgramError> {
        let value = |item: &RewardItem<'_>| {
            let references = reference_captions(item)?;
            Ok(Some(meteor_of_nearest(caption(item, self.is_tagged), &references, Some(&self.wordnet))))
        };
        Ok(each(items, value))
    }
}

impl Reward for CiderD {
    fn name(&self) -> &str {
        "cider-d"
    }

    fn score(&mut self, items: &[RewardItem<'_>]) -> Result<Vec<RewardValue>, RewardProgramError> {
        let mut own = ReferenceCorpus::default();
        if self.corpus.is_empty() {
            let mut seen = std::collections::HashSet::new();
            for item in items.iter().filter(|item| seen.insert((item.key, item.answer))) {
                if let Ok(references) = references(item) {
                    own.add(&references);
                }
            }
        }
        let corpus = if self.corpus.is_empty() { &own } else { &self.corpus };
        let value =
            |item: &RewardItem<'_>| Ok(Some(corpus.cider_d(&given(item, self.is_tagged), &references(item)?) / 10.0));
        Ok(each(items, value))
    }
}

#[cfg(test)]
mod tests;
