//! How near a caption is to reference captions.
//!
//! Words are lower-case runs of letters, digits and apostrophes. On such words the numbers are those of the COCO caption
//! tools (and of aac-metrics, which follows them) for ROUGE-L, CIDEr-D and BLEU of many captions ([`CocoBleu`]), and those of
//! sacrebleu for BLEU of sentences.

mod cider;
mod coco_bleu;
mod rouge;
mod sentence_bleu;

pub use cider::ReferenceCorpus;
pub use coco_bleu::CocoBleu;
pub use rouge::rouge_l;
pub use sentence_bleu::{bleu_4, sentence_bleu};

use std::collections::{HashMap, HashSet};

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

/// Runs of `n` words that a reference has at least as often.
fn matches(given: &[String], references: &[Vec<String>], n: usize) -> usize {
    let known: Vec<_> = references.iter().map(|reference| n_grams(reference, n)).collect();
    let most = |run: &[String]| known.iter().filter_map(|counts| counts.get(run)).copied().max().unwrap_or(0);
    n_grams(given, n).into_iter().map(|(run, count)| count.min(most(run))).sum()
}

/// The length of the reference of the nearest length; of two as near, that of the shorter.
fn nearest_length(length: usize, references: &[Vec<String>]) -> usize {
    let lengths = references.iter().map(Vec::len);
    lengths.min_by_key(|reference| (reference.abs_diff(length), *reference)).unwrap_or(0)
}

/// Of which words a set of captions is made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CaptionStyle {
    /// Captions.
    pub captions: usize,
    /// Different words.
    pub vocabulary: usize,
    /// Mean number of words of a caption; 0 without captions.
    pub mean_words: f64,
    /// Share of captions that no reference equals; 0 without captions.
    pub novel: f64,
}

impl CaptionStyle {
    /// The style of captions beside all references of their data set.
    pub fn of(captions: &[Vec<String>], references: &HashSet<Vec<String>>) -> Self {
        let n = captions.len().max(1) as f64;
        Self {
            captions: captions.len(),
            vocabulary: captions.iter().flatten().collect::<HashSet<_>>().len(),
            mean_words: captions.iter().map(Vec::len).sum::<usize>() as f64 / n,
            novel: captions.iter().filter(|caption| !references.contains(*caption)).count() as f64 / n,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Value;

    use super::*;

    /// Numbers of sacrebleu and of the COCO caption tools (`fixtures/regen/caption_rewards.py`).
    const GOLDENS: &str = include_str!("../../../../fixtures/goldens/caption_rewards.json");

    fn texts(value: &Value) -> Vec<Vec<String>> {
        value.as_array().unwrap().iter().map(|text| words(text.as_str().unwrap())).collect()
    }

    #[test]
    fn scores_are_those_of_the_tools() {
        let goldens: Value = serde_json::from_str(GOLDENS).unwrap();
        let items = goldens["items"].as_array().unwrap();
        let mut corpus = ReferenceCorpus::default();
        items.iter().for_each(|item| corpus.add(&texts(&item["references"])));
        assert!(items.len() >= 8);
        for item in items {
            let (given, references) = (words(item["given"].as_str().unwrap()), texts(&item["references"]));
            for (name, ours) in [
                ("bleu_4", bleu_4(&given, &references)),
                ("rouge_l", rouge_l(&given, &references)),
                ("cider_d", corpus.cider_d(&given, &references)),
            ] {
                let expected = item[name].as_f64().unwrap();
                assert!((ours - expected).abs() <= 1e-9 * expected.max(1.0), "{item}: {name} {ours}");
            }
        }
    }

    /// The example in the documentation of aac-metrics.
    #[test]
    fn cider_d_is_that_of_aac_metrics() {
        let split = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let references = [
            vec!["a man speaks", "someone speaks", "a man is speaking while a bird is chirping in the background"],
            vec!["rain is falling hard on a surface"],
        ];
        let references = references.map(|all| all.into_iter().map(split).collect::<Vec<_>>());
        let mut corpus = ReferenceCorpus::default();
        references.iter().for_each(|all| corpus.add(all));
        for (given, references, expected) in
            [("a man is speaking", &references[0], 1.3640549), ("rain falls", &references[1], 0.5586545)]
        {
            let got = corpus.cider_d(&split(given), references);
            assert!((got - expected).abs() < 1e-6, "{given}: {got}");
        }
    }

    #[test]
    fn words_are_runs_of_letters() {
        assert_eq!(words("A dog's bark, 'twice'—é 3x!"), ["a", "dog's", "bark", "twice", "é", "3x"]);
        assert!(words(" .,'' ").is_empty());
    }

    #[test]
    fn style_is_counted() {
        let captions = ["a dog barks", "a dog"].map(words);
        let style = CaptionStyle::of(&captions, &HashSet::from([words("A dog.")]));
        assert_eq!(style, CaptionStyle { captions: 2, vocabulary: 3, mean_words: 2.5, novel: 0.5 });
        assert_eq!(CaptionStyle::of(&[], &HashSet::new()), CaptionStyle::default());
    }
}
