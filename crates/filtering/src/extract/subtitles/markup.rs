//! Removes styling from the text of a cue, in one way for every format: tags, override blocks, character references.

use std::borrow::Cow;

use quick_xml::escape::resolve_html5_entity;

use super::super::text::{LINE_BREAKS, is_blank, is_mark};
use super::clock;

/// Removes tags (`<i>`, `<c.colour>`, `<v Name>`, `<00:01.000>`) and override blocks (`{\an8}`), and
/// resolves character references. An opening sign without its closing partner is kept as text.
#[must_use]
pub(in crate::extract) fn strip(text: &str) -> Cow<'_, str> {
    if !text.contains(['<', '{', '&']) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    // Where the last closing signs stand, so that none is looked for where there are no more of them.
    let (last_tag, last_block) = (text.rfind('>'), text.rfind('}'));
    while let Some(at) = rest.find(['<', '{']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let here = text.len() - rest.len();
        let closes = if rest.starts_with('<') { last_tag } else { last_block }.is_some_and(|last| last > here);
        let skip = if closes { markup_len(rest) } else { 0 };
        if skip == 0 {
            plain.push_str(&rest[..1]);
        }
        rest = &rest[skip.max(1)..];
    }
    plain.push_str(rest);
    Cow::Owned(resolve(&plain))
}

/// Whether the text has time stamps inside, as captions that roll up word by word do.
#[must_use]
pub(super) fn has_inline_times(text: &str) -> bool {
    text.match_indices('<').any(|(at, _)| inline_time_len(&text[at..]) > 0)
}

/// Length of the tag or override block `text` begins with; 0 if it begins with none.
fn markup_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let end = match (bytes.first(), bytes.get(1)) {
        (Some(b'<'), Some(b'0'..=b'9')) => return inline_time_len(text),
        (Some(b'<'), Some(b'/' | b'a'..=b'z' | b'A'..=b'Z')) => '>',
        (Some(b'{'), Some(b'\\')) => '}',
        _ => return 0,
    };
    text.find(end).map_or(0, |at| at + 1)
}

/// Longest time stamp that is looked for between `<` and `>`.
const MAX_INLINE_TIME: usize = 24;

/// Length of the time stamp in angle brackets that `text` begins with; 0 if it begins with none, as `<3` does.
fn inline_time_len(text: &str) -> usize {
    let end = text.bytes().take(MAX_INLINE_TIME + 2).position(|b| b == b'>');
    end.filter(|&end| text.get(1..end).and_then(clock::parse).is_some()).map_or(0, |end| end + 1)
}

/// Resolves character references (`&amp;`, `&eacute;`, `&#39;`, `&#x2019;`); other text is unchanged.
#[must_use]
fn resolve(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        match reference(rest) {
            Some((resolved, len)) => {
                plain.push_str(&resolved);
                rest = &rest[len..];
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// Longest reference looked for, with its `&` and `;`: one more than `&CounterClockwiseContourIntegral;` has.
const MAX_REFERENCE: usize = 34;

/// The reference `text` begins with: what it stands for and its length.
fn reference(text: &str) -> Option<(Cow<'static, str>, usize)> {
    let end = text.bytes().take(MAX_REFERENCE).position(|b| b == b';')?;
    let name = text.get(1..end)?;
    Some((resolve_name(name)?, end + 1))
}

/// What a reference of this name stands for: a name of HTML, or the number of a character.
#[must_use]
pub(super) fn resolve_name(name: &str) -> Option<Cow<'static, str>> {
    let Some(number) = name.strip_prefix('#') else {
        return resolve_html5_entity(name).map(Cow::Borrowed);
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
        None => number.parse(),
    };
    let c = match code.ok()? {
        0 => return None,
        control @ 0x80..=0x9f => WINDOWS_1252[control as usize - 0x80],
        code => char::from_u32(code)?,
    };
    Some(Cow::Owned(c.to_string()))
}

/// The characters that HTML takes the numbers 0x80 to 0x9F for: what Windows-1252 has there
/// (<https://html.spec.whatwg.org/multipage/parsing.html#numeric-character-reference-end-state>).
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '\u{2dc}', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The lines of a cue, each without blanks and invisible marks at its ends, empty ones left out, with line ends between.
#[must_use]
pub(super) fn tidy_lines(text: &str) -> String {
    let lines = text.split(LINE_BREAKS).map(|line| line.trim_matches(|c| is_blank(c) || is_mark(c)));
    let lines = lines.filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// The text of a cue as its format has it, with styling, to the lines that it shows.
#[must_use]
pub(super) fn plain_lines(text: &str) -> String {
    tidy_lines(&strip(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_goes_and_text_stays() {
        for (text, expected) in [
            ("<i>[door slams]</i>", "[door slams]"),
            ("<c.yellow>[rain]</c> <00:00:01.000>now", "[rain] now"),
            ("<v Bob>[coughs]", "[coughs]"),
            ("<font color=\"#fff\">(x)</font>", "(x)"),
            ("{\\an8}[thunder]", "[thunder]"),
            ("{wind}", "{wind}"),
            ("a < b <3 c", "a < b <3 c"),
            ("[I <3 you] <3> <b>x</b>", "[I <3 you] <3> x"),
            ("<i unclosed", "<i unclosed"),
            ("<<b>x", "<x"),
            ("{\\an8 > <i>x</i>", "{\\an8 > x"),
            ("it&#39;s &lt;b&gt; &amp;amp; &nbsp;&bogus; & &#0; &", "it's <b> &amp; \u{a0}&bogus; & &#0; &"),
            ("caf&eacute;&hellip; &Ouml;l &rsquo; &ldquo;&mdash;&lrm;", "café… Öl ’ “—\u{200e}"),
            ("&#133; &#x92; &CounterClockwiseContourIntegral;", "… ’ ∳"),
            ("é<é>é{é", "é<é>é{é"),
        ] {
            assert_eq!(strip(text), expected, "{text:?}");
        }
        assert!(matches!(strip("[rain]"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_heart_is_no_time() {
        for (text, has) in [
            ("so<00:00:01.500><c> it</c>", true),
            ("<00:01,5>so", true),
            ("I <3 you", false),
            ("<3> <12:00", false),
            ("<1>", false),
        ] {
            assert_eq!(has_inline_times(text), has, "{text}");
        }
    }

    #[test]
    fn lines_end_where_any_line_break_stands() {
        for (text, expected) in [
            (" a\r\n\u{200b}\n b ", "a\nb"),
            ("[rain]\u{2028}[wind]\u{85}(x)\u{2029}y", "[rain]\n[wind]\n(x)\ny"),
            ("\u{200f}\u{feff}[rain]\u{200e}", "[rain]"),
        ] {
            assert_eq!(tidy_lines(text), expected, "{text:?}");
        }
    }

    /// Signs that open something, hundreds of thousands of them, are read once and not once each.
    #[test]
    fn repeated_openers_cost_linear_time() {
        for opener in ["<a", "<", "<3", "{\\", "&a", "<a{\\&", "<a }", "{\\ >"] {
            let text = opener.repeat(400_000);
            let begin = std::time::Instant::now();
            assert!(strip(&text).len() <= text.len());
            assert!(!has_inline_times(&text));
            // Quadratic, the first of them took minutes.
            assert!(begin.elapsed().as_secs() < 20, "{opener}");
        }
    }
}
