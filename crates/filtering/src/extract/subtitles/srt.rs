//! SubRip.

use super::Parsed;
use super::clock;
use super::markup::has_inline_times;
use super::number::{read_number, take_number};
use super::vtt::item;

/// Reads a SubRip file. Text runs up to the next line of times, so that blank lines inside a cue do not
/// cut it, and cues need none between them; the number in front of those times is not text.
#[must_use]
pub(super) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut open: Option<Open> = None;
    let mut body: Vec<&str> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some(times) = clock::parse_line(line) else {
            body.push(line);
            continue;
        };
        let number = match &open {
            Some(open) => take_number(&mut body, open.number),
            None => body.iter().rfind(|line| !line.trim().is_empty()).and_then(|line| read_number(line)),
        };
        if let Some(open) = open.replace(Open { line: at + 1, number, times }) {
            open.close(&body, &mut parsed);
        }
        body.clear();
    }
    if let Some(open) = open {
        open.close(&body, &mut parsed);
    }
    parsed
}

/// A cue whose text is being read.
struct Open {
    /// Where its times stand.
    line: usize,
    /// What stands before them, if that is a number.
    number: Option<u64>,
    times: clock::Times,
}

impl Open {
    fn close(self, body: &[&str], parsed: &mut Parsed) {
        let body = body.join("\n");
        parsed.rolling |= has_inline_times(&body);
        parsed.items.push(item(self.line, self.times, &body));
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
    fn cues_need_no_blank_line_between_them() {
        let rain = [cue(1_000, 2_000, "[door slams]"), cue(2_000, 3_000, "[rain]"), cue(3_000, 4_000, "(wind)")];
        let file = |between: [&str; 3], end: &str| {
            format!(
                "{}00:00:01,000 --> 00:00:02,000\n[door slams]{end}{}00:00:02,000 --> 00:00:03,000\n[rain]{end}\
                 {}00:00:03,000 --> 00:00:04,000\n(wind)\n",
                between[0], between[1], between[2],
            )
        };
        for numbers in [["1\n", "2\n", "3\n"], ["0\n", "1\n", "2\n"], ["1\n", "3\n", "9\n"], ["", "", ""]] {
            for end in ["\n", "\n\n", "\n \n", "\n\n\n", "\n\u{a0}\n"] {
                let text = file(numbers, end);
                assert_eq!(cues(&parse(&text)), rain, "{text}");
            }
        }
        // Each line with an empty one behind it, as a line end translated twice leaves it.
        let text = file(["1\n", "2\n", "3\n"], "\n\n").replace('\n', "\n\n");
        assert_eq!(cues(&parse(&text)), rain, "{text}");
    }

    #[test]
    fn numbers_that_are_text_stay() {
        for (text, expected) in [
            ("1\n00:01,000 --> 00:02,000\n10\n\n2\n00:02,000 --> 00:03,000\n2\n", ["10", "2"]),
            ("1\n00:01,000 --> 00:02,000\n10\n2\n00:02,000 --> 00:03,000\n3\n", ["10", "3"]),
            ("00:01,000 --> 00:02,000\n10\n00:02,000 --> 00:03,000\n11\n12\n", ["10", "11\n12"]),
            ("1\n00:01,000 --> 00:02,000\nroom\n101\n\n2\n00:02,000 --> 00:03,000\n\n", ["room\n101", ""]),
        ] {
            let texts: Vec<String> = cues(&parse(text)).into_iter().map(|cue| cue.text).collect();
            assert_eq!(texts, expected, "{text}");
        }
    }

    #[test]
    fn a_file_without_times_has_no_cues() {
        assert_eq!(parse("").items, []);
        assert_eq!(parse("1\n2\n[rain]\n").items, []);
    }
}
