//! SubRip.

use super::Parsed;
use super::clock;
use super::markup::has_inline_times;
use super::vtt::item;

/// Reads a SubRip file. Text runs up to the next line of times, so that blank lines inside a cue do not
/// cut it; the number in front of those times is not text.
#[must_use]
pub(super) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut open: Option<(usize, clock::Times)> = None;
    let mut body: Vec<&str> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some(times) = clock::parse_line(line) else {
            body.push(line);
            continue;
        };
        drop_number(&mut body);
        if let Some((line, times)) = open.replace((number + 1, times)) {
            push(&mut parsed, line, times, &body);
        }
        body.clear();
    }
    if let Some((line, times)) = open {
        push(&mut parsed, line, times, &body);
    }
    parsed
}

fn push(parsed: &mut Parsed, line: usize, times: clock::Times, body: &[&str]) {
    let body = body.join("\n");
    parsed.rolling |= has_inline_times(&body);
    parsed.items.push(item(line, times, &body));
}

/// Takes off the number of the next cue: digits alone, after a blank line or nothing.
fn drop_number(body: &mut Vec<&str>) {
    let Some((last, before)) = body.split_last() else { return };
    let digits = !last.trim().is_empty() && last.trim().bytes().all(|b| b.is_ascii_digit());
    if digits && before.last().is_none_or(|line| line.trim().is_empty()) {
        body.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cue, cues};
    use super::*;

    #[test]
    fn reads_what_players_read() {
        let text = "1\r\n00:00:01,000 --> 00:00:03,500\r\n{\\an8}[door slams]\r\n\r\n2\r\n\
            00:00:04,000 --> 00:00:06,000 X1:0 X2:1\r\n<b>(rain)</b>\r\n\r\nand more\r\n\r\n\
            3\r\n00:00:07,000 --> 00:00:08,000\r\n10\r\n\r\n\r\n4\r\nbad --> times\r\nlost\r\n\
            00:00:09,000 --> 00:00:10,000\r\n[no number]";
        let parsed = parse(text);
        assert_eq!(
            cues(&parsed),
            [
                cue(1_000, 3_500, "[door slams]"),
                cue(4_000, 6_000, "(rain)\nand more"),
                cue(7_000, 8_000, "10"),
                cue(9_000, 10_000, "[no number]"),
            ]
        );
        assert_eq!(parsed.items.len(), 5);
    }

    #[test]
    fn a_file_without_times_has_no_cues() {
        assert_eq!(parse("").items, []);
        assert_eq!(parse("1\n2\n[rain]\n").items, []);
    }
}
