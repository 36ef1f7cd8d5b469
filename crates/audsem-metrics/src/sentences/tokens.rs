//! What Punkt decides about: words with the full stops behind them, and marks.

use unicode_general_category::{GeneralCategory, get_general_category};

use crate::normalise::python_text::is_word;

/// What numbers are for the model.
pub(super) const NUMBER: &str = "##number##";

/// A token and what is decided about it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// As it stands.
    pub(super) text: String,
    /// In lower case; [`NUMBER`] for numbers.
    pub(super) kind: String,
    /// It ends a sentence.
    pub(super) ends_sentence: bool,
    /// It is an abbreviation.
    pub(super) is_abbreviation: bool,
}

impl Token {
    fn new(text: String) -> Self {
        let lower = text.to_lowercase();
        let kind = if is_number(&lower) { NUMBER.to_owned() } else { lower };
        Self { text, kind, ends_sentence: false, is_abbreviation: false }
    }

    /// The kind of the token without the full stop at its end.
    pub(super) fn kind_without_stop(&self) -> &str {
        match self.kind.strip_suffix('.') {
            Some(bare) if !bare.is_empty() => bare,
            _ => &self.kind,
        }
    }

    /// The kind of the token without the full stop that ends a sentence.
    pub(super) fn kind_in_sentence(&self) -> &str {
        if self.ends_sentence { self.kind_without_stop() } else { &self.kind }
    }

    /// Whether it is two full stops or more.
    pub(super) fn is_ellipsis(&self) -> bool {
        self.text.len() > 1 && self.text.chars().all(|c| c == '.')
    }

    /// Whether it is a letter with a full stop.
    pub(super) fn is_initial(&self) -> bool {
        let mut chars = self.text.chars();
        let letter = chars.next().is_some_and(|c| is_word(c) && !is_digit(c));
        letter && chars.next() == Some('.') && chars.next().is_none()
    }

    /// The first character of the token.
    pub(super) fn first(&self) -> Option<char> {
        self.text.chars().next()
    }
}

/// Whether a mark may end a sentence.
pub(super) fn is_sentence_end(c: char) -> bool {
    matches!(c, '.' | '?' | '!')
}

/// Whether a mark is never a part of a word.
pub(super) fn stands_alone(c: char) -> bool {
    const MARKS: &str = ")\";}]*:@'({[?!\u{2018}\u{2019}\u{201c}\u{201d}\u{ab}\u{bb}";
    MARKS.contains(c)
}

/// The tokens of a line.
pub(super) fn tokens(line: &str) -> Vec<Token> {
    let chars: Vec<char> = line.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = chars.get(at) {
        if first.is_whitespace() {
            at += 1;
            continue;
        }
        let length = run_of_marks(&chars, at).unwrap_or_else(|| match starts_word(*first) {
            true => (at + 1..chars.len()).find(|end| ends_word(&chars, *end)).unwrap_or(chars.len()) - at,
            false => 1,
        });
        found.push(Token::new(chars[at..at + length].iter().collect()));
        at += length;
    }
    found
}

fn starts_word(c: char) -> bool {
    !"(\"`{[:;&#*@)}]-,".contains(c)
}

/// Whether a word ends in front of a place.
fn ends_word(chars: &[char], at: usize) -> bool {
    let is_end = |at: usize| {
        chars.get(at).is_none_or(|c| c.is_whitespace() || stands_alone(*c)) || run_of_marks(chars, at).is_some()
    };
    is_end(at) || (chars[at] == ',' && is_end(at + 1))
}

/// The length of a run of hyphens or of full stops, which may have white space between them if there are three or more.
fn run_of_marks(chars: &[char], at: usize) -> Option<usize> {
    let is = |place: usize, mark: char| chars.get(place) == Some(&mark);
    for mark in ['-', '.'] {
        let length = chars[at..].iter().take_while(|c| **c == mark).count();
        if length > 1 {
            return Some(length);
        }
    }
    let is_space_at = |place: usize| chars.get(place).is_some_and(|c| c.is_whitespace());
    let mut pairs = 0;
    while is(at + 2 * pairs, '.') && is_space_at(at + 2 * pairs + 1) {
        pairs += 1;
    }
    if !is(at + 2 * pairs, '.') {
        pairs = pairs.saturating_sub(1);
    }
    (pairs > 1).then_some(2 * pairs + 1)
}

fn is_digit(c: char) -> bool {
    get_general_category(c) == GeneralCategory::DecimalNumber
}

/// Digits with points, commas and hyphens, maybe with a sign or a point in front.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let text = text.strip_prefix(['.', ',']).unwrap_or(text);
    text.starts_with(is_digit) && text.chars().all(|c| is_digit(c) || matches!(c, ',' | '.' | '-'))
}
