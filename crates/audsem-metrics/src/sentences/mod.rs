//! Sentences of a text, by the algorithm of Punkt (Kiss and Strunk, 2006) as NLTK applies it: a full stop ends a sentence unless
//! it belongs to an abbreviation, an initial or a number, as far as a model of the language tells.
//!
//! ```
//! use audsem_metrics::sentences::SentenceModel;
//!
//! let model = SentenceModel::english();
//! assert_eq!(model.sentences("Dr. Lee sang. \"Why?\" Nobody knew... so it ended."), ["Dr. Lee sang.", "\"Why?\"", "Nobody knew... so it ended."]);
//! ```

mod model;
mod tokens;

pub use model::SentenceModel;

use crate::normalise::python_text::is_space;
use tokens::{Token, is_sentence_end, stands_alone, tokens};

/// Quotation marks and brackets that still belong to the sentence before them.
const CLOSING: [char; 11] =
    ['"', '\'', ')', ']', '}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{ab}', '\u{bb}'];

/// A place where a sentence may end.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Where the word in front of the mark begins.
    word: usize,
    /// The mark.
    mark: usize,
    /// Where what follows begins, if white space is between.
    next: Option<usize>,
    /// Where what decides about the mark ends.
    end: usize,
}

impl SentenceModel {
    /// The sentences of a text, without white space around them.
    #[must_use]
    pub fn sentences(&self, text: &str) -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        let of = |(from, to): (usize, usize)| chars.get(from..to).unwrap_or_default().iter().collect::<String>();
        realigned(&chars, &self.slices(&chars)).into_iter().map(of).collect()
    }

    /// Where sentences begin and end, before marks behind a full stop are given to the sentence that they close.
    fn slices(&self, chars: &[char]) -> Vec<(usize, usize)> {
        let mut slices = Vec::new();
        let mut from = 0;
        for candidate in candidates(chars) {
            let context: String = chars[candidate.word..candidate.end].iter().collect();
            if self.has_break(&context) {
                slices.push((from, candidate.mark + 1));
                from = candidate.next.unwrap_or(candidate.mark + 1);
            }
        }
        let end = chars.iter().rposition(|c| !is_space(*c)).map_or(0, |last| last + 1);
        slices.push((from, end));
        slices
    }

    /// Whether a sentence ends before the last token of a text.
    fn has_break(&self, text: &str) -> bool {
        let lines = text.split('\n').filter(|line| !line.chars().all(is_space));
        let mut tokens: Vec<Token> = lines.flat_map(tokens).collect();
        tokens.iter_mut().for_each(|token| self.mark_by_type(token));
        for place in 1..tokens.len() {
            let (before, behind) = tokens.split_at_mut(place);
            if let (Some(token), Some(next)) = (before.last_mut(), behind.first()) {
                self.mark_by_neighbour(token, next);
                if token.ends_sentence {
                    return true;
                }
            }
        }
        false
    }
}

/// The marks that may end a sentence. Of several behind one word the last stands for all.
fn candidates(chars: &[char]) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut before: Option<Candidate> = None;
    for mark in (0..chars.len()).filter(|place| is_sentence_end(chars[*place])) {
        let Some((next, end)) = following(chars, mark) else { continue };
        let (word_before, stop) = before.map_or((0, 0), |candidate| (candidate.word, candidate.mark));
        // A blank right behind the mark before is not seen by NLTK, whose search gives 0 for it as for none.
        let blank = chars[stop..mark].iter().rposition(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}'));
        let word = blank.filter(|place| *place > 0).map_or(word_before, |place| stop + place + 1);
        if let Some(candidate) = before.filter(|candidate| candidate.mark <= word) {
            found.push(candidate);
        }
        before = Some(Candidate { word, mark, next, end });
    }
    found.extend(before);
    found
}

/// What follows a mark: punctuation that stands alone, or white space and a word. Without either the mark ends nothing. White space
/// is that of Unicode, as NLTK 3.10 has it; separators of files and records are no more than trimmed.
fn following(chars: &[char], mark: usize) -> Option<(Option<usize>, usize)> {
    let place = mark + 1;
    let first = *chars.get(place)?;
    if stands_alone(first) {
        return Some((None, place + 1));
    }
    if !first.is_whitespace() {
        return None;
    }
    let next = place + chars[place..].iter().position(|c| !c.is_whitespace())?;
    let length = chars[next..].iter().position(|c| c.is_whitespace()).unwrap_or(chars.len() - next);
    Some((Some(next), next + length))
}

/// Gives closing marks to the sentence before them, and leaves out what is empty then.
fn realigned(chars: &[char], slices: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut taken = 0;
    for (i, (from, to)) in slices.iter().enumerate() {
        let from = from + taken;
        let closing =
            slices.get(i + 1).and_then(|next| closing(&chars[next.0.min(next.1)..next.1]).map(|n| (next.0, n)));
        match closing {
            Some((next, (marks, with_blanks))) => {
                out.push((from, next + marks));
                taken = with_blanks;
            }
            None => {
                taken = 0;
                if from < *to {
                    out.push((from, *to));
                }
            }
        }
    }
    out
}

/// How many closing marks a sentence begins with, if white space, a dash or nothing follows; and how many characters with that
/// white space.
fn closing(sentence: &[char]) -> Option<(usize, usize)> {
    let is_closing = |c: &char| CLOSING.contains(c);
    let most = sentence.iter().take_while(|c| is_closing(c)).count();
    (1..=most).find_map(|marks| {
        let rest = &sentence[marks..];
        let blanks = rest.iter().take_while(|c| c.is_whitespace()).count();
        (blanks > 0 || rest.is_empty() || rest.starts_with(&['-', '-'])).then_some((marks, marks + blanks))
    })
}
