//! Rewards of captions: how much they share with reference captions.
//!
//! Words are lower-case runs of letters, digits and apostrophes. On such words the numbers are those of the COCO caption
//! tools for ROUGE-L and CIDEr-D, and those of sacrebleu for BLEU-4 (`fixtures/regen/caption_rewards.py`). METEOR is not
//! among them: it needs WordNet, and no maintained library gives it; a program of the user can (`[[program]]`).

mod bleu;
mod cider;
mod rouge;

pub use bleu::bleu_4;
pub use cider::ReferenceCorpus;
pub use rouge::rouge_l;

use std::collections::HashMap;

use audsem_core::answers::TaggedAnswer;

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

/// The words of a caption.
pub fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let is_word = |c: char| c.is_alphanumeric() || c == '\'';
    lower
        .split(|c| !is_word(c))
        .map(|word| word.trim_matches('\''))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// How often each run of `n` words occurs.
fn n_grams(words: &[String], n: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    words.windows(n).for_each(|run| *counts.entry(run).or_insert(0) += 1);
    counts
}

/// The caption that a model wrote; absent where its tags are.
fn given(item: &RewardItem<'_>, is_tagged: bool) -> Vec<String> {
    match is_tagged {
        true => TaggedAnswer::read(item.completion).answer.map(words).unwrap_or_default(),
        false => words(item.completion),
    }
}

/// The references of a completion.
fn references(item: &RewardItem<'_>) -> Result<Vec<Vec<String>>, String> {
    let all = std::iter::once(item.answer).chain(item.further_references.iter().map(String::as_str));
    let all: Vec<Vec<String>> = all.map(words).filter(|words| !words.is_empty()).collect();
    if all.is_empty() { Err("the item has no reference caption".to_owned()) } else { Ok(all) }
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
