//! Definitions of blanks, brackets and word characters, exactly as in the published data set.

use std::borrow::Cow;

/// Whether Python's `str.strip` removes this character: Unicode white space and the four
/// information separators U+001C to U+001F, which Rust's own `char::is_whitespace` leaves alone.
#[must_use]
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `text` without the blanks at both ends (see [`is_blank`]).
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// Whether `c` opens a bracket: `[`, `{` or `(`.
#[must_use]
pub fn is_opener(c: char) -> bool {
    matches!(c, '[' | '{' | '(')
}

/// Whether `c` closes a bracket: `]`, `}` or `)`.
#[must_use]
pub fn is_closer(c: char) -> bool {
    matches!(c, ']' | '}' | ')')
}

/// Makes one line of a trimmed caption: carriage returns go, line feeds and tabs become a blank.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(['\r', '\n', '\t']) {
        return Cow::Borrowed(text);
    }
    let line = text.chars().filter(|&c| c != '\r');
    Cow::Owned(line.map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c }).collect())
}

/// Whether the caption as a whole stands in brackets: it begins with an opener and ends with a
/// closer, whatever their kinds and whatever stands between (`[laughs)`, `(a) and [b]` both do).
#[must_use]
pub fn is_bracketed(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(is_opener) && chars.next_back().is_some_and(is_closer)
}

/// Whether `c` belongs to a word: a letter, a number of any kind, or the underscore. This is
/// `[\p{L}\p{N}_]`; Rust's `char::is_alphanumeric` would also let vowel signs and circled letters in.
#[must_use]
pub fn is_word_character(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    // Outside ASCII the standard tables are too generous, so the exact class decides; they are never
    // too narrow, so the costly look-up is made for few characters.
    c.is_alphanumeric() && exact_word_class().is_match(c.encode_utf8(&mut [0; 4]))
}

/// Whether any character of `text` belongs to a word (see [`is_word_character`]).
#[must_use]
pub fn has_word_character(text: &str) -> bool {
    text.chars().any(is_word_character)
}

fn exact_word_class() -> &'static regex::Regex {
    static CLASS: std::sync::OnceLock<regex::Regex> = std::sync::OnceLock::new();
    CLASS.get_or_init(|| regex::Regex::new(r"^[\p{L}\p{N}_]$").expect("a constant, valid pattern"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_those_of_python() {
        for (input, expected) in [
            ("  [a] \n", "[a]"),
            ("\u{a0}[a]\u{3000}", "[a]"),
            ("\u{1c}\u{1d}[a]\u{1e}\u{1f}", "[a]"),
            ("\u{200b}[a]", "\u{200b}[a]"), // a zero-width space is no white space
            ("\u{feff}[a]", "\u{feff}[a]"),
            ("   ", ""),
        ] {
            assert_eq!(trim(input), expected, "{input:?}");
        }
    }

    #[test]
    fn brackets_may_differ_in_kind() {
        for (input, expected) in [
            ("[door slams]", true),
            ("[laughs)", true),
            ("(a) and [b]", true),
            ("[]", true),
            ("[", false),
            ("", false),
            ("]x[", false),
            ("he said (coughs)", false),
            ("(coughs) ok", false),
        ] {
            assert_eq!(is_bracketed(input), expected, "{input:?}");
        }
    }

    #[test]
    fn word_characters_are_letters_and_numbers_only() {
        for (c, expected) in [
            ('a', true),
            ('_', true),
            ('7', true),
            ('é', true),
            ('²', true),
            ('½', true),
            ('Ⅷ', true),
            ('漢', true),
            ('♪', false),
            ('-', false),
            ('\u{0301}', false), // combining acute accent
            ('\u{0940}', false), // Devanagari vowel sign: alphabetic, but a mark
            ('ⓐ', false),        // circled letter: alphabetic, but a symbol
        ] {
            assert_eq!(is_word_character(c), expected, "{c:?}");
        }
    }

    #[test]
    fn the_fast_word_test_never_misses_what_the_exact_class_has() {
        let exact = exact_word_class();
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let mut buffer = [0; 4];
            assert_eq!(is_word_character(c), exact.is_match(c.encode_utf8(&mut buffer)), "{c:?}");
        }
    }

    #[test]
    fn one_line_keeps_plain_text_borrowed() {
        assert!(matches!(one_line("[a b]"), Cow::Borrowed("[a b]")));
        assert_eq!(one_line("(thunder)\r\n[rain]\t!"), "(thunder) [rain] !");
    }
}
