//! WebVTT.

use super::clock;
use super::markup::{has_inline_times, strip, tidy_lines};
use super::{Item, Parsed, TimedText};

/// Reads a WebVTT file. Anything that is no cue (header, `NOTE`, `STYLE`, `REGION`) is passed over.
#[must_use]
pub(super) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut lines = text.lines().enumerate().peekable();
    if lines.peek().is_some_and(|(_, first)| first.starts_with("WEBVTT")) {
        lines.find(|(_, line)| line.trim().is_empty());
    }
    while let Some((number, line)) = lines.next() {
        match clock::parse_line(line) {
            Some(times) => {
                let mut body = String::new();
                while let Some((_, line)) = lines.next_if(|(_, line)| is_payload(line)) {
                    body.push_str(line);
                    body.push('\n');
                }
                parsed.rolling |= has_inline_times(&body);
                parsed.items.push(item(number + 1, times, &body));
            }
            None if is_aside(line) => {
                lines.find(|(_, line)| line.trim().is_empty());
            }
            None => {} // the name of the next cue, or a blank line
        }
    }
    parsed
}

/// Whether a line belongs to the cue above it: a blank line or the times of another cue end it.
fn is_payload(line: &str) -> bool {
    !line.trim().is_empty() && !line.contains("-->")
}

/// Whether a line begins a block that is no cue.
fn is_aside(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or("");
    matches!(word, "NOTE" | "STYLE" | "REGION")
}

pub(super) fn item(line: usize, times: clock::Times, body: &str) -> Item {
    let text = tidy_lines(&strip(body));
    match times {
        Ok((start_ms, end_ms)) => Item::Cue(TimedText { start_ms, end_ms, text }),
        Err(what) => Item::Malformed { place: format!("line {line}"), what, text },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{cue, cues};
    use super::*;

    #[test]
    fn reads_what_downloaders_write() {
        let text = "WEBVTT\nKind: captions\nLanguage: en\n\nNOTE\nnothing --> here\n\nSTYLE\n::cue { color: red }\n\n\
            intro\n00:01.000 --> 00:03.500 align:start position:0%\n<i>[door\nslams]</i>\n\n\
            00:00:04.000 --> 00:00:06.000\n&gt;&gt; [rain &amp; wind]\n\
            00:00:06.000 --> 00:00:07.000\nhello\n\n00:00:08.000 --> later\n[lost]\n\n01:00:00.000 --> 01:00:01.000\n";
        let parsed = parse(text);
        assert!(!parsed.rolling);
        assert_eq!(
            cues(&parsed),
            [
                cue(1_000, 3_500, "[door\nslams]"),
                cue(4_000, 6_000, ">> [rain & wind]"),
                cue(6_000, 7_000, "hello"),
                cue(3_600_000, 3_601_000, ""),
            ]
        );
        let Item::Malformed { place, text, .. } = &parsed.items[3] else { panic!("{parsed:?}") };
        assert_eq!((place.as_str(), text.as_str()), ("line 21", "[lost]"));
    }

    #[test]
    fn carriage_returns_and_a_missing_header_do_no_harm() {
        let parsed = parse("00:01.000 --> 00:02.000\r\n[a]\r\n[b]\r\n\r\n");
        assert_eq!(cues(&parsed), [cue(1_000, 2_000, "[a]\n[b]")]);
    }

    #[test]
    fn word_times_mark_a_rolling_file() {
        assert!(parse("WEBVTT\n\n00:01.000 --> 00:02.000\nso<00:00:01.500><c> it</c>\n").rolling);
    }
}
