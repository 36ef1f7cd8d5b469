//! White space and word characters as Python's regular expressions have them, which differ from those of Rust.

use std::borrow::Cow;

use regex::Regex;
use unicode_general_category::{GeneralCategory, get_general_category};

/// Whether `\s` matches: beside what Rust calls white space, four separators of files and records.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Whether `\w` matches: letters, numbers and `_`, but no marks.
pub(crate) fn is_word(c: char) -> bool {
    use GeneralCategory as G;
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => true,
        c if c.is_ascii() => false,
        c => matches!(
            get_general_category(c),
            G::UppercaseLetter
                | G::LowercaseLetter
                | G::TitlecaseLetter
                | G::ModifierLetter
                | G::OtherLetter
                | G::DecimalNumber
                | G::LetterNumber
                | G::OtherNumber
        ),
    }
}

/// Whether a character is a mark, a symbol or punctuation (categories M, S and P).
pub(super) fn is_mark_or_symbol(c: char) -> bool {
    use GeneralCategory as G;
    let is_mark = matches!(get_general_category(c), G::NonspacingMark | G::SpacingMark | G::EnclosingMark);
    is_mark || is_punctuation_or_symbol(c)
}

/// Whether a character is a symbol or punctuation (categories S and P).
pub(super) fn is_punctuation_or_symbol(c: char) -> bool {
    use GeneralCategory as G;
    is_punctuation(c)
        || matches!(get_general_category(c), G::MathSymbol | G::CurrencySymbol | G::ModifierSymbol | G::OtherSymbol)
}

/// Whether a character is punctuation (category P).
pub(crate) fn is_punctuation(c: char) -> bool {
    use GeneralCategory as G;
    matches!(
        get_general_category(c),
        G::ConnectorPunctuation
            | G::DashPunctuation
            | G::OpenPunctuation
            | G::ClosePunctuation
            | G::InitialPunctuation
            | G::FinalPunctuation
            | G::OtherPunctuation
    )
}

/// Whether a character is a mark that takes no room (category Mn).
pub(super) fn is_nonspacing(c: char) -> bool {
    get_general_category(c) == GeneralCategory::NonspacingMark
}

/// The words between white space.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// A text with one blank for each run of white space.
pub(super) fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut was_space = false;
    for c in text.chars() {
        let space = is_space(c);
        if !space {
            out.push(c);
        } else if !was_space {
            out.push(' ');
        }
        was_space = space;
    }
    out
}

/// On which sides of what is replaced no other word character may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Border {
    /// On neither.
    Neither,
    /// Behind it.
    Behind,
    /// On both.
    Both,
}

/// Replaces what a pattern finds, if a text has one of the characters without which the pattern finds nothing. Most texts have
/// none, and are left where they are.
pub(super) fn replace_if(text: String, needs: &[char], pattern: &Regex, with: &str) -> String {
    if !text.contains(needs) {
        return text;
    }
    match pattern.replace_all(&text, with) {
        Cow::Borrowed(_) => text,
        Cow::Owned(text) => text,
    }
}

/// Replaces each occurrence of `what`, from the left, whose borders are as is asked.
pub(super) fn replace(text: String, what: &str, border: Border, with: &str) -> String {
    let Some(first) = text.find(what) else { return text };
    let (mut out, mut at, mut next) = (String::with_capacity(text.len()), 0, Some(first));
    while let Some(found) = next {
        let end = found + what.len();
        let before = border == Border::Both && text[..found].chars().next_back().is_some_and(is_word);
        let behind = border != Border::Neither && text[end..].chars().next().is_some_and(is_word);
        let kept = if before || behind { found + what.chars().next().map_or(1, char::len_utf8) } else { end };
        if before || behind {
            out.push_str(&text[at..kept]);
        } else {
            out.push_str(&text[at..found]);
            out.push_str(with);
        }
        at = kept;
        next = text[at..].find(what).map(|place| at + place);
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_between_borders_alone() {
        let both = |text: &str| replace(text.to_owned(), "um", Border::Both, "-");
        for (text, expected) in
            [("um", "-"), ("umum um", "umum -"), ("drum um_", "drum um_"), ("um,um é um", "-,- é -")]
        {
            assert_eq!(both(text), expected);
        }
        assert_eq!(replace("don't n'ts can't".to_owned(), "n't", Border::Behind, " not"), "do not n'ts ca not");
        assert_eq!(replace("aaa".to_owned(), "aa", Border::Neither, "b"), "ba");
    }

    #[test]
    fn characters_are_those_of_python() {
        assert!(is_space('\u{1f}') && is_space('\u{a0}') && !is_space('\u{200b}'));
        assert!(is_word('é') && is_word('½') && is_word('_') && !is_word('\u{301}') && !is_word('-'));
        assert_eq!(collapse(" a \u{1c}\tb "), " a b ");
    }
}
