//! Removes styling from the text of a cue.

/// Removes tags (`<i>`, `<c.colour>`, `<v Name>`, `<00:01.000>`) and override blocks (`{\an8}`), and
/// resolves character references. An opening sign without its closing partner is kept as text.
#[must_use]
pub(super) fn strip(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '{']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let skip = markup_len(rest);
        if skip == 0 {
            plain.push_str(&rest[..1]);
        }
        rest = &rest[skip.max(1)..];
    }
    plain.push_str(rest);
    resolve(&plain)
}

/// Whether the text has time stamps inside, as captions that roll up word by word do.
#[must_use]
pub(super) fn has_inline_times(text: &str) -> bool {
    text.match_indices('<').any(|(at, _)| text[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
}

/// Length of the tag or override block `text` begins with; 0 if it begins with none.
fn markup_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let end = match (bytes.first(), bytes.get(1)) {
        (Some(b'<'), Some(b'/' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9')) => '>',
        (Some(b'{'), Some(b'\\')) => '}',
        _ => return 0,
    };
    text.find(end).map_or(0, |at| at + 1)
}

/// Resolves character references (`&amp;`, `&#39;`, `&#x2019;`); other text is unchanged.
#[must_use]
pub(super) fn resolve(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        match reference(rest) {
            Some((c, len)) => {
                plain.extend(c);
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

/// Longest name looked for between `&` and `;`.
const MAX_REFERENCE: usize = 10;

/// The reference `text` begins with: its character (none for a direction mark) and its length.
fn reference(text: &str) -> Option<(Option<char>, usize)> {
    let end = text.bytes().take(MAX_REFERENCE).position(|b| b == b';')?;
    let name = text.get(1..end)?;
    let c = match name {
        "lrm" | "rlm" => None,
        _ => Some(resolve_name(name)?),
    };
    Some((c, end + 1))
}

/// The character a reference names: the five of XML, `nbsp`, and numbers.
#[must_use]
pub(super) fn resolve_name(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?).filter(|&c| c != '\0')
        }
    }
}

/// The lines of a cue, each trimmed, empty ones left out, with line ends between.
#[must_use]
pub(super) fn tidy_lines(text: &str) -> String {
    let lines = text.lines().map(super::super::text::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
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
            ("<i unclosed", "<i unclosed"),
            ("<<b>x", "<x"),
            ("it&#39;s &lt;b&gt; &amp;amp; &nbsp;&lrm;&bogus; & &#0; &", "it's <b> &amp; \u{a0}&bogus; & &#0; &"),
            ("é<é>é{é", "é<é>é{é"),
        ] {
            assert_eq!(strip(text), expected, "{text:?}");
        }
    }
}
