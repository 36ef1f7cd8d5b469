//! What is counted in an answer.

use std::sync::OnceLock;

use fancy_regex::Regex;
use unicode_general_category::{GeneralCategory, get_general_category};

use crate::normalise::Compat;
use crate::normalise::python_text::{is_space, is_word};

/// Pieces that are not blank.
pub(super) fn not_blank<'a>(pieces: impl Iterator<Item = &'a str>) -> usize {
    pieces.filter(|piece| !piece.chars().all(is_space)).count()
}

/// How often a word occurs, in any case, from the left. A word begins and ends where no word character is beside it; in the
/// published rule where a word character is beside another one, as `\b` has it, so that what is no word character must have one beside it.
pub(super) fn keyword(text: &str, word: &str, compat: Compat) -> usize {
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    let word = if compat == Compat::Fixed { word.trim_matches(is_space) } else { word.as_str() };
    let (Some(first), Some(last)) = (word.chars().next(), word.chars().next_back()) else { return 0 };
    let is_border = |outside: Option<char>, inside: char| match compat {
        Compat::Reference => outside.is_some_and(is_word) != is_word(inside),
        Compat::Fixed => !outside.is_some_and(is_word),
    };
    let (mut found, mut at) = (0, 0);
    while let Some(place) = text[at..].find(word).map(|place| at + place) {
        let end = place + word.len();
        let before = text[..place].chars().next_back();
        let is_whole = is_border(before, first) && is_border(text[end..].chars().next(), last);
        found += usize::from(is_whole);
        at = if is_whole { end } else { place + first.len_utf8() };
    }
    found
}

/// Passages in square brackets.
pub(super) fn placeholders(text: &str) -> usize {
    static PATTERN: OnceLock<Regex> = OnceLock::new();
    matches(text, &PATTERN, r"\[[^\]]+\]")
}

/// Lines that begin with a mark and white space.
pub(super) fn bullets(text: &str, compat: Compat) -> usize {
    static PUBLISHED: OnceLock<Regex> = OnceLock::new();
    static ASKED_FOR: OnceLock<Regex> = OnceLock::new();
    match compat {
        Compat::Reference => matches(text, &PUBLISHED, r"(?:\A|\n)[\s\x1c-\x1f]*\*[\s\x1c-\x1f]+"),
        Compat::Fixed => matches(text, &ASKED_FOR, r"(?m)^[ \t]*[*+•-][ \t]+(?![ \t*-]*$)"),
    }
}

/// Passages between asterisks.
pub(super) fn highlights(text: &str, compat: Compat) -> usize {
    static PUBLISHED: OnceLock<Regex> = OnceLock::new();
    static ASKED_FOR: OnceLock<Regex> = OnceLock::new();
    match compat {
        Compat::Reference => matches(text, &PUBLISHED, r"\*[^*]+\*"),
        Compat::Fixed => matches(text, &ASKED_FOR, r"\*(?=[^\s*])[^*\n]*(?<=[^\s*])\*"),
    }
}

fn matches(text: &str, pattern: &'static OnceLock<Regex>, source: &str) -> usize {
    let pattern = pattern.get_or_init(|| Regex::new(source).expect("the pattern is valid, as every test shows"));
    pattern.find_iter(text).take_while(Result::is_ok).count()
}

/// Pieces between the places of a marker, those that are blank apart. White space around a marker belongs to it.
pub(super) fn sections(text: &str, marker: &str, compat: Compat) -> usize {
    let text = text.trim_matches(is_space);
    let marker = if compat == Compat::Fixed { marker.trim_matches(is_space) } else { marker };
    let (mut pieces, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(place) = text[at..].find(marker).map(|place| at + place) {
        let end = place + marker.len();
        let beside = |outside: Option<char>, inside: Option<char>| {
            outside.is_some_and(char::is_alphabetic) && inside.is_some_and(char::is_alphabetic)
        };
        let is_inside_word = beside(text[..place].chars().next_back(), marker.chars().next())
            || beside(text[end..].chars().next(), marker.chars().next_back());
        if compat == Compat::Fixed && is_inside_word {
            at = place + marker.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        pieces.push(&text[from..place]);
        let behind = text[end..].trim_start_matches(is_space);
        from = text.len() - behind.len();
        at = from;
    }
    pieces.push(&text[from..]);
    not_blank(pieces.into_iter())
}

/// Whether a text has letters, and all of them are capital.
pub(super) fn is_upper(text: &str) -> bool {
    has_case(text, char::is_uppercase, char::is_lowercase)
}

/// Whether a text has letters, and none of them is capital.
pub(super) fn is_lower(text: &str) -> bool {
    has_case(text, char::is_lowercase, char::is_uppercase)
}

/// Letters of titles, such as `ǅ`, are of neither case.
fn has_case(text: &str, wanted: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    let is_of_title = |c: char| !c.is_ascii() && get_general_category(c) == GeneralCategory::TitlecaseLetter;
    text.chars().any(wanted) && !text.chars().any(|c| other(c) || is_of_title(c))
}
