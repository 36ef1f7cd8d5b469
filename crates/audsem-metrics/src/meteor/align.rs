//! Which word of a text stands for which word of its reference.

use std::collections::BTreeSet;

use super::WordNet;
use super::porter::stem;

/// A word with its place in the text.
type Placed = (usize, String);

/// Places in the text and in the reference, in the order of the text: first of words that are equal, then of words with
/// equal stems, then of synonyms.
pub(super) fn matches(given: &[String], reference: &[String], wordnet: Option<&WordNet>) -> Vec<(usize, usize)> {
    let placed = |words: &[String]| words.iter().cloned().enumerate().collect::<Vec<Placed>>();
    let mut open = Unmatched { given: placed(given), reference: placed(reference), matches: Vec::new() };
    open.match_by(|given, reference| given == reference);
    open.stem();
    open.match_by(|given, reference| given == reference);
    // The stems stay, as in NLTK: what is looked up in WordNet is the stem of a word.
    if let Some(wordnet) = wordnet {
        open.match_synonyms(wordnet);
    }
    open.matches.sort_unstable();
    open.matches
}

/// Words that have no match yet.
struct Unmatched {
    given: Vec<Placed>,
    reference: Vec<Placed>,
    matches: Vec<(usize, usize)>,
}

impl Unmatched {
    fn stem(&mut self) {
        for (_, word) in self.given.iter_mut().chain(&mut self.reference) {
            *word = stem(word);
        }
    }

    fn match_synonyms(&mut self, wordnet: &WordNet) {
        let synonyms: Vec<BTreeSet<&str>> = self.given.iter().map(|(_, word)| wordnet.synonyms(word)).collect();
        let words: Vec<String> = self.given.iter().map(|(_, word)| word.clone()).collect();
        for n in (0..words.len()).rev() {
            self.match_word(n, |reference| words[n] == reference || synonyms[n].contains(reference));
        }
    }

    fn match_by(&mut self, is_same: impl Fn(&str, &str) -> bool) {
        for n in (0..self.given.len()).rev() {
            let word = self.given[n].1.clone();
            self.match_word(n, |reference| is_same(&word, reference));
        }
    }

    /// Matches a word of the text, which are taken from the last to the first, with the last word of the reference that fits.
    fn match_word(&mut self, n: usize, fits: impl Fn(&str) -> bool) {
        if let Some(found) = self.reference.iter().rposition(|(_, word)| fits(word)) {
            let (given, reference) = (self.given.remove(n), self.reference.remove(found));
            self.matches.push((given.0, reference.0));
        }
    }
}
