//! What an answer has at its beginning, at its end, or somewhere.

use crate::normalise::Compat;
use crate::normalise::python_text::{is_space, is_word};

/// Whether the marker of a postscript stands in the text. Its letters may have blanks and full stops between them.
pub(super) fn has_postscript(text: &str, marker: &str, compat: Compat) -> bool {
    if compat == Compat::Reference {
        return letters(text, false).contains(&letters(marker, false));
    }
    let wanted: Vec<char> = marker.to_lowercase().chars().filter(|c| is_word(*c)).collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let begins_word = |at: usize| at == 0 || !is_word(text[at - 1]);
    (0..text.len()).filter(|at| begins_word(*at)).any(|at| has_marker(&text[at..], &wanted))
}

/// Whether a text begins with these letters, between which at most a full stop and a blank stand, and no word continues behind them.
fn has_marker(text: &[char], letters: &[char]) -> bool {
    let mut rest = text;
    for (i, letter) in letters.iter().enumerate() {
        if i > 0 {
            rest = rest.strip_prefix(&['.']).unwrap_or(rest);
            rest = rest.strip_prefix(&[' ']).unwrap_or(rest);
        }
        let Some((_, behind)) = rest.split_first().filter(|(first, _)| *first == letter) else { return false };
        rest = behind;
    }
    !letters.is_empty() && !rest.first().is_some_and(|c| is_word(*c))
}

/// Whether the text has a title in double angular brackets.
pub(super) fn has_title(text: &str, compat: Compat) -> bool {
    text.match_indices("<<").any(|(at, mark)| {
        let title = text[at + mark.len()..].split_once('>').filter(|(_, behind)| behind.starts_with('>'));
        title.is_some_and(|(title, _)| match compat {
            Compat::Reference => !title.is_empty(),
            Compat::Fixed => title.contains(is_word),
        })
    })
}

/// Whether the text is two different responses.
pub(super) fn has_two_responses(text: &str, compat: Compat) -> bool {
    let responses: Vec<String> =
        text.split("******").map(|response| response.to_lowercase().trim_matches(is_space).to_owned()).collect();
    let [first, second] = responses.as_slice() else { return false };
    let is_empty = first.is_empty() || second.is_empty();
    first != second && !(compat == Compat::Fixed && is_empty)
}

/// Whether the text begins with a phrase.
pub(super) fn starts_with(text: &str, phrase: &str, compat: Compat) -> bool {
    match compat {
        Compat::Reference => letters(text, true).starts_with(&letters(phrase, true)),
        Compat::Fixed => words(text).starts_with(&words(phrase)),
    }
}

/// Whether the text ends with a phrase.
pub(super) fn ends_with(text: &str, phrase: &str, compat: Compat) -> bool {
    match compat {
        Compat::Reference => letters(text, true).ends_with(&letters(phrase, true)),
        Compat::Fixed => words(text).ends_with(&words(phrase)),
    }
}

/// Whether the text is wrapped in quotation marks.
pub(super) fn is_quoted(text: &str, compat: Compat) -> bool {
    let text = text.trim_matches(is_space);
    let is_wrapped = |open: char, close: char| text.starts_with(open) && text.ends_with(close);
    match compat {
        Compat::Reference => is_wrapped('"', '"'),
        Compat::Fixed => (is_wrapped('"', '"') || is_wrapped('\u{201c}', '\u{201d}')) && text.chars().count() > 2,
    }
}

/// The letters of ASCII in lower case, maybe with the blanks between them.
fn letters(text: &str, with_blanks: bool) -> String {
    let is_kept = |c: &char| c.is_ascii_alphabetic() || (with_blanks && *c == ' ');
    text.chars().filter(is_kept).collect::<String>().to_lowercase()
}

/// The runs of word characters in lower case; apostrophes vanish.
fn words(text: &str) -> Vec<String> {
    let text: String = text.to_lowercase().chars().filter(|c| !matches!(c, '\'' | '\u{2019}')).collect();
    text.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
