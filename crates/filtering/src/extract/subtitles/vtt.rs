//! WebVTT, by the rules of the standard's parser.
//!
//! A *block* ends at an empty line or before a line that holds `-->`. A line of blanks is not empty: the
//! automatic captions of video sites have one in most cues. So the text of a cue runs on over it, and a
//! header, a `NOTE` or a `STYLE` that has no empty line behind it ends where the next times stand.
//! The parser is more lenient than the standard in two ways: a file may lack its signature, and a number
//! between two cues without an empty line belongs to the next cue and is not text.

use super::clock;
use super::markup::{has_inline_times, plain_lines};
use super::number::{read_number, take_number};
use super::{Item, Parsed, TimedText};

/// Reads a WebVTT file. Anything that is not a cue (header, `NOTE`, `STYLE`, `REGION`) is skipped.
#[must_use]
pub(super) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut lines = text.lines().enumerate().peekable();
    while lines.next_if(|(_, line)| line.trim().is_empty()).is_some() {}
    // The line of the signature is never a cue.
    lines.next_if(|(_, line)| line.starts_with("WEBVTT"));
    let mut block: Vec<&str> = Vec::new();
    // Where a block follows another without an empty line, the number its cue takes from that one's text.
    let mut taken = None;
    while let Some((at, line)) = lines.next() {
        let Some(times) = clock::parse_line(line) else {
            if line.is_empty() {
                block.clear()
            } else {
                block.push(line)
            }
            continue;
        };
        if times == Err(clock::UNREADABLE) && is_aside(&block) {
            continue;
        }
        let number = taken.take().or_else(|| read_number(block.last()?));
        block.clear();
        while let Some((_, line)) = lines.next_if(|(_, line)| is_payload(line)) {
            block.push(line);
        }
        if lines.peek().is_some_and(|(_, next)| !next.is_empty()) {
            taken = take_number(&mut block, number);
        }
        let body = block.join("\n");
        parsed.rolling |= has_inline_times(&body);
        parsed.items.push(item(at + 1, times, &body));
        block.clear();
    }
    parsed
}

/// Whether a line belongs to the cue above it: an empty line, or the times of another cue, ends it.
fn is_payload(line: &str) -> bool {
    !line.is_empty() && !line.contains("-->")
}

/// Whether a block that begins with these lines is not a cue.
fn is_aside(block: &[&str]) -> bool {
    let word = block.first().and_then(|line| line.split_whitespace().next());
    matches!(word, Some("NOTE" | "STYLE" | "REGION"))
}

pub(super) fn item(line: usize, times: clock::Times, body: &str) -> Item {
    let text = plain_lines(body);
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

    /// The cues of a file, and how many of its cues cannot be read.
    fn check(text: &str, expected: &[TimedText]) {
        let parsed = parse(text);
        assert_eq!(cues(&parsed), expected, "{text:?}");
        assert_eq!(parsed.items.len(), expected.len(), "{text:?}: {parsed:?}");
    }

    #[test]
    fn only_an_empty_line_or_further_times_end_a_cue() {
        let music = [cue(0, 2_000, "[Music]")];
        for blank in [" ", "\t", "\u{a0}", "  \t ", "\u{3000}", "\u{200b}\u{a0}"] {
            check(&format!("WEBVTT\n\n00:00.000 --> 00:02.000\n{blank}\n[Music]\n"), &music);
        }
        check("WEBVTT\n\n00:00.000 --> 00:02.000\n\n[Music]\n", &[cue(0, 2_000, "")]);
        check(
            "WEBVTT\n\n00:00.000 --> 00:02.000\n[Music]\n \n00:02.000 --> 00:04.000\n[rain]",
            &[cue(0, 2_000, "[Music]"), cue(2_000, 4_000, "[rain]")],
        );
        // A number between cues is not text if the line above it is blank or the cues are numbered.
        for (first, between) in
            [("", " \n2\n"), ("1\n", "2\n"), ("1\n", " \n2\n"), ("1\n", "\n2\n"), ("", "\nsecond\n")]
        {
            check(
                &format!(
                    "WEBVTT\n\n{first}00:00.000 --> 00:02.000\n[Music]\n{between}00:02.000 --> 00:04.000\n[rain]\n"
                ),
                &[cue(0, 2_000, "[Music]"), cue(2_000, 4_000, "[rain]")],
            );
        }
        check(
            "WEBVTT\n\n00:00.000 --> 00:02.000\nroom\n101\n00:02.000 --> 00:04.000\n[rain]\n",
            &[cue(0, 2_000, "room\n101"), cue(2_000, 4_000, "[rain]")],
        );
    }

    #[test]
    fn a_header_or_an_aside_ends_where_times_stand() {
        let music = [cue(1_000, 2_000, "[Music]")];
        for head in [
            "WEBVTT\n\n",
            "WEBVTT\n",
            "",
            "\n \n",
            "WEBVTT - a title\n\n",
            "WEBVTT\tsaid --> so\n\n",
            "WEBVTT\nKind: captions\nLanguage: en\n",
            "WEBVTT\nKind: captions\n \nLanguage: en\n",
            "WEBVTT\nKind: captions\n \n\n",
            "WEBVTT\n\nNOTE a word\n",
            "WEBVTT\n\nNOTE\nof two\n \nlines\n",
            "WEBVTT\n\nNOTE\nnothing --> here\n",
            "WEBVTT\n\nNOTE\nnothing --> here\nnor --> here\n\nNOTE\t \n\n",
            "WEBVTT\n\nSTYLE\n::cue { color: red }\n",
            "WEBVTT\n\nSTYLE\n::cue { color: red }\n \n::cue(b) {}\n\nREGION\nid:fred\n",
            "WEBVTT\n\nthe name of a cue\n",
            "WEBVTT\n\nno cue\nat all\n\n7\n",
        ] {
            check(&format!("{head}00:01.000 --> 00:02.000\n[Music]\n"), &music);
        }
    }

    #[test]
    fn times_stand_with_settings_and_in_every_usual_form() {
        for times in [
            "00:00:01.000 --> 00:00:02.000",
            "00:01.000 --> 00:02.000",
            "0000:00:01.000 --> 0000:00:02.000",
            "00:01,000 --> 00:02,000",
            "00:01.000-->00:02.000",
            " \t00:01.000\t--> \t00:02.000 ",
            "00:01.000 --> 00:02.000 align:start position:0%",
            "00:01.000 --> 00:02.000\tline:90% region:fred",
            "00:00:01, 000 --> 00:00:02, 000 align:start",
        ] {
            check(&format!("WEBVTT\n\n{times}\n[Music]\n"), &[cue(1_000, 2_000, "[Music]")]);
        }
    }

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
    fn word_times_mark_a_rolling_file() {
        assert!(parse("WEBVTT\n\n00:01.000 --> 00:02.000\nso<00:00:01.500><c> it</c>\n").rolling);
        assert!(!parse("WEBVTT\n\n00:01.000 --> 00:02.000\n[I <3 you]\n").rolling);
    }
}
