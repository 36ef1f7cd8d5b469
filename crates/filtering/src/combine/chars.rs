//! Character classes of the rules.
//!
//! The definitions are the regular expressions; captions are nearly all ASCII, so each class has a
//! table for bytes that says the same, and the expressions decide only about the rest.

use std::sync::LazyLock;

use regex::Regex;

/// Step 5: what a caption may consist of.
pub(super) const CAPTION: &str = r"^[A-Za-z0-9\s\p{P}]+$";

/// Step 9: what may not remain.
pub(super) const LEFTOVER: &str = r#"[^a-zA-Z0-9\s'",]"#;

/// One punctuation character.
pub(super) const PUNCTUATION: &str = r"\p{P}";

static CAPTION_REGEX: LazyLock<Regex> = LazyLock::new(|| compile(CAPTION));
static LEFTOVER_REGEX: LazyLock<Regex> = LazyLock::new(|| compile(LEFTOVER));
static PUNCTUATION_REGEX: LazyLock<Regex> = LazyLock::new(|| compile(PUNCTUATION));

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
}

/// Whether an ASCII byte is in the class `\s`.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// Whether an ASCII byte is in the class `\p{P}`: `$+<=>^|~` and the backtick are symbols, not punctuation.
pub(super) const fn is_ascii_punctuation(byte: u8) -> bool {
    byte.is_ascii_punctuation() && !matches!(byte, b'$' | b'+' | b'<' | b'=' | b'>' | b'^' | b'`' | b'|' | b'~')
}

const fn in_caption(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_space(byte) || is_ascii_punctuation(byte)
}

const fn may_stay(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_space(byte) || matches!(byte, b'\'' | b'"' | b',')
}

/// Whether the text matches [`CAPTION`].
pub(super) fn is_caption(text: &str) -> bool {
    if text.is_ascii() {
        return !text.is_empty() && text.bytes().all(in_caption);
    }
    CAPTION_REGEX.is_match(text)
}

/// Whether the text matches [`LEFTOVER`].
pub(super) fn has_leftover(text: &str) -> bool {
    if text.is_ascii() {
        return !text.bytes().all(may_stay);
    }
    LEFTOVER_REGEX.is_match(text)
}

/// Where the first match of [`PUNCTUATION`] lies.
pub(super) fn first_punctuation(text: &str) -> Option<std::ops::Range<usize>> {
    if text.is_ascii() {
        return text.bytes().position(is_ascii_punctuation).map(|at| at..at + 1);
    }
    PUNCTUATION_REGEX.find(text).map(|found| found.range())
}

/// Whether a character is in the class `\p{P}`.
pub(super) fn is_punctuation(c: char) -> bool {
    match u8::try_from(c) {
        Ok(byte) if byte.is_ascii() => is_ascii_punctuation(byte),
        _ => PUNCTUATION_REGEX.is_match(c.encode_utf8(&mut [0; 4])),
    }
}

/// A token without the punctuation around it.
pub(super) fn core_of(token: &str) -> &str {
    token.trim_matches(is_punctuation)
}

/// Whether a character opens a bracket.
pub(super) const fn is_opener(c: char) -> bool {
    matches!(c, '[' | '{' | '(')
}

/// Whether a character closes a bracket.
pub(super) const fn is_closer(c: char) -> bool {
    matches!(c, ']' | '}' | ')')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_ascii_character_is_classed_as_the_definitions_say() {
        for byte in 0..128u8 {
            let text = char::from(byte).to_string();
            assert_eq!(is_caption(&text), CAPTION_REGEX.is_match(&text), "{text:?}");
            assert_eq!(has_leftover(&text), LEFTOVER_REGEX.is_match(&text), "{text:?}");
            assert_eq!(is_ascii_punctuation(byte), PUNCTUATION_REGEX.is_match(&text), "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn fast_paths_agree_with_the_definitions(text in prop_oneof!["[ -~\\t\\n]{0,40}", any::<String>()]) {
            prop_assert_eq!(is_caption(&text), CAPTION_REGEX.is_match(&text));
            prop_assert_eq!(has_leftover(&text), LEFTOVER_REGEX.is_match(&text));
            prop_assert_eq!(first_punctuation(&text), PUNCTUATION_REGEX.find(&text).map(|found| found.range()));
        }
    }
}
