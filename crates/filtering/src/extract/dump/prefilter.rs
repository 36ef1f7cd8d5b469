//! Detects, without parsing, that a stretch of JSON holds no bracketed caption.
//!
//! Most videos of a real dump have speech captions only; parsing them would be most of the work. A
//! caption that counts begins, after blanks and marks that are not seen, with `[`, `(` or `{`, or with markup. In the
//! bytes of the JSON text that is an opening quote, any blanks and marks (written out or escaped), then the opener
//! (written out or escaped), or the end of a tag or of a character reference in front of it.
//! Structural brackets follow a colon, a comma or another bracket, never a quote.
//!
//! The test may say yes where there is nothing (a title that begins with a bracket); it never says no
//! where there is something, whatever the layout of the JSON text.

use std::sync::OnceLock;

use memchr::memmem::Finder;
use memchr::{memchr_iter, memchr3_iter};

use super::super::text::{is_blank, is_mark};

/// Whether some string in this JSON text may begin, after blanks, with an opening bracket.
#[must_use]
pub(super) fn may_hold_bracketed(json: &[u8]) -> bool {
    memchr3_iter(b'[', b'(', b'{', json).any(|at| begins_string(&json[..at]))
        || memchr_iter(b'&', json).any(|at| is_referenced_opener(&json[at..]) && begins_string(&json[..at]))
        || escaped_openers().find_iter(json).any(|at| is_escaped_opener(&json[at + 4..]))
}

/// Whether the text of one JSON string, quotes excluded, may begin with an opener after blanks.
#[must_use]
pub(super) fn may_begin_bracketed(raw: &str) -> bool {
    match raw.as_bytes().first() {
        // The common case is decided by one byte: speech begins with a letter.
        Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'"' | b'\'' | b'>') | None => false,
        // Blanks and escapes are left to the exact rule.
        Some(_) => true,
    }
}

/// Whether `before`, the text in front of an opener, ends with a quote, or with what may be markup, and then only blanks.
fn begins_string(before: &[u8]) -> bool {
    let mut rest = before;
    loop {
        let Some(&last) = rest.last() else { return false };
        let blank_len = match last {
            // The end of a tag, an override block or a character reference, in front of which there may be anything.
            b'"' | b'>' | b'}' | b';' => return true,
            b' ' => 1,
            b'n' | b'r' | b't' | b'f' if rest.len() > 1 && rest[rest.len() - 2] == b'\\' => 2,
            b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' if ends_with_unicode_escape(rest) => {
                if is_escaped_end_of_markup(&rest[rest.len() - 4..]) {
                    return true;
                }
                6
            }
            0x80.. => match trailing_wide_blank(rest) {
                0 => return false,
                n => n,
            },
            _ => return false,
        };
        rest = &rest[..rest.len() - blank_len];
    }
}

/// Whether `bytes` ends with `\uXXXX`. Which character it is does not matter: more yes than needed.
fn ends_with_unicode_escape(bytes: &[u8]) -> bool {
    bytes.len() >= 6 && bytes[bytes.len() - 6..].starts_with(b"\\u")
}

/// Length of the white-space character or mark beyond ASCII that `bytes` ends with; 0 if there is none.
fn trailing_wide_blank(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(4)..];
    let from = (0..tail.len()).rev().find(|&i| tail[i] & 0xC0 != 0x80).unwrap_or(0);
    let character = std::str::from_utf8(&tail[from..]).ok().and_then(|s| s.chars().next());
    character.filter(|&c| is_blank(c) || is_mark(c)).map_or(0, char::len_utf8)
}

/// Whether the four hexadecimal digits of an escape spell `>`, `}` or `;`, see [`begins_string`].
fn is_escaped_end_of_markup(digits: &[u8]) -> bool {
    matches!(digits, [b'0', b'0', b'3', b'e' | b'E' | b'b' | b'B'] | [b'0', b'0', b'7', b'd' | b'D'])
}

/// Whether the two hexadecimal digits after `\u00` spell `[`, `(`, `{`, or the `&` of a reference to one of these.
fn is_escaped_opener(digits: &[u8]) -> bool {
    matches!(digits, [b'5', b'b' | b'B', ..] | [b'2', b'6' | b'8', ..] | [b'7', b'b' | b'B', ..])
}

/// Whether a character reference may stand for an opener: any number, and the names of HTML (`&lbrack;`, `&lsqb;`, `&lpar;`,
/// `&lbrace;`, `&lcub;`), of which any character may be written as an escape.
fn is_referenced_opener(text: &[u8]) -> bool {
    ["&#", "&lb", "&ls", "&lp", "&lc", "&\\", "&l\\"].iter().any(|begin| text.starts_with(begin.as_bytes()))
}

fn escaped_openers() -> &'static Finder<'static> {
    static FINDER: OnceLock<Finder<'static>> = OnceLock::new();
    FINDER.get_or_init(|| Finder::new(b"\\u00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_yes_where_a_caption_may_be_bracketed() {
        for json in [
            r#"{"t":"[rain]"}"#,
            r#"{"t": "(rain)"}"#,
            r#"{"t":"  {rain}"}"#,
            r#"{"t":"\n[rain]"}"#,
            r#"{"t":" \t \r[rain]"}"#,
            r#"{"t":"\u00a0[rain]"}"#,
            r#"{"t":"\u005brain]"}"#,
            r#"{"t":"\u007Brain]"}"#,
            r#"{"t":" \u0028rain)"}"#,
            "{\"t\":\"\u{a0}[rain]\"}",
            "{\"t\":\"\u{3000}\u{2003}[rain]\"}",
            r#"{"title":"[Official]"}"#,
            "{\"t\":\"\u{200e}[rain]\"}",
            "{\"t\":\" \u{feff}\u{200b} [rain]\"}",
            r#"{"t":"\u200e[rain]"}"#,
            r#"{"t":"<i>[rain]</i>"}"#,
            r#"{"t":"\u003ci\u003e [rain]"}"#,
            r#"{"t":"{\\an8}\n(rain)"}"#,
            r#"{"t":"&lrm;[rain]"}"#,
            r#"{"t":"&#91;rain]"}"#,
            r#"{"t":" &lpar;rain)"}"#,
            r#"{"t":"\u0026#91;rain]"}"#,
        ] {
            assert!(may_hold_bracketed(json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn says_no_to_speech_in_any_layout() {
        for json in [
            "",
            "[",
            r#"{"video":{"id":"a"},"captions":[{"t":"hello (there)"},{"t":"x [y]"}]}"#,
            "{\n  \"captions\": [\n    {\n \"t\" : \"caf\u{e9} (there)\"\n}\n]\n}",
            r#"{"t":"na\u00efve (really)"}"#,
            r#"{"t":"&gt;&gt; hello & so (on)"}"#,
            r#"{"t":"it&#39;s fine (really)"}"#,
            r#"{"a":[[],[{}]],"b":{"c":{}}}"#,
        ] {
            assert!(!may_hold_bracketed(json.as_bytes()), "{json}");
        }
    }
}
