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

/// Whether a character is there but not seen: zero-width ones, marks of the direction of writing, the soft hyphen.
#[must_use]
pub fn is_mark(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

/// The characters that end a line in a text, wherever it comes from.
pub const LINE_BREAKS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

/// What a reader sees of a caption, on one line: without blanks at its ends, without marks that are not seen, and a blank
/// for each line end and tab. Joiners between characters beyond ASCII stay, as they are part of these.
#[must_use]
pub fn visible_line(text: &str) -> Cow<'_, str> {
    let is_end = |c| is_blank(c) || is_mark(c);
    let text = text.trim_matches(is_end);
    if !text.contains(|c: char| LINE_BREAKS.contains(&c) || c == '\t' || is_mark(c)) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let beyond_ascii = |c: Option<char>| c.is_some_and(|c| !c.is_ascii());
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\u{200c}' | '\u{200d}'
                if beyond_ascii(line.chars().next_back()) && beyond_ascii(chars.peek().copied()) =>
            {
                line.push(c);
            }
            _ if is_mark(c) => {}
            _ if c == '\t' || LINE_BREAKS.contains(&c) => line.push(' '),
            _ => line.push(c),
        }
    }
    Cow::Owned(line)
}

/// Whether a caption begins with an opening bracket, if nothing that is not seen is counted.
#[must_use]
pub fn begins_bracketed(text: &str) -> bool {
    text.trim_start_matches(|c| is_blank(c) || is_mark(c)).starts_with(is_opener)
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
    fn what_is_not_seen_hides_no_bracket() {
        for (input, expected) in [
            ("[rain]", "[rain]"),
            ("\u{200b}[rain]\u{200e} ", "[rain]"),
            ("\u{feff}\u{202a} [\u{200f}rain\u{200b}]\u{202c}", "[rain]"),
            ("\u{2066}(thun\u{ad}der)\u{2069}", "(thunder)"),
            ("[rain]\u{200e}\n\u{200e}[wind]", "[rain] [wind]"),
            ("[rain]\r\n[wind]\u{2028}(a)\u{85}b\tc\rd", "[rain] [wind] (a) b c d"),
            ("[\u{645}\u{6cc}\u{200c}\u{6a9}]", "[\u{645}\u{6cc}\u{200c}\u{6a9}]"),
            ("[ra\u{200d}in]", "[rain]"),
            ("\u{200b}", ""),
        ] {
            assert_eq!(visible_line(input), expected, "{input:?}");
            assert_eq!(begins_bracketed(input), visible_line(input).starts_with(is_opener), "{input:?}");
        }
        assert!(matches!(visible_line(" [rain] "), Cow::Borrowed("[rain]")));
    }

    #[test]
    fn one_line_keeps_plain_text_borrowed() {
        assert!(matches!(one_line("[a b]"), Cow::Borrowed("[a b]")));
        assert_eq!(one_line("(thunder)\r\n[rain]\t!"), "(thunder) [rain] !");
    }
}
