//! SubViewer as YouTube takes and gives it: a line `0:00:01.000,0:00:03.500`, then the text, then an empty line.

use super::markup::plain_lines;
use super::{Item, Parsed, TimedText, clock};

/// Reads an SBV file. Text runs up to the next line of times, so that empty lines inside a cue do not cut it.
#[must_use]
pub(super) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut open: Option<(usize, clock::Times)> = None;
    let mut body = String::new();
    for (at, line) in text.lines().enumerate() {
        let Some(times) = times(line) else {
            body.push_str(line);
            body.push('\n');
            continue;
        };
        if let Some(cue) = open.replace((at + 1, times)) {
            parsed.items.push(item(cue, &body));
        }
        body.clear();
    }
    parsed.items.extend(open.map(|cue| item(cue, &body)));
    parsed
}

fn item((line, times): (usize, clock::Times), body: &str) -> Item {
    let text = plain_lines(&body.replace("[br]", "\n"));
    match times {
        Ok((start_ms, end_ms)) => Item::Cue(TimedText { start_ms, end_ms, text }),
        Err(what) => Item::Malformed { place: format!("line {line}"), what, text },
    }
}

/// The times of a line that consists of two of them, with a comma between; `None` of any other line.
fn times(line: &str) -> Option<clock::Times> {
    let begins_with_digit = line.trim_start().starts_with(|c: char| c.is_ascii_digit());
    if !begins_with_digit || line.matches(':').count() < 2 {
        return None;
    }
    // Where the fractions have a comma too, the one in the middle stands between the times.
    let commas: Vec<usize> = line.match_indices(',').map(|(at, _)| at).take(4).collect();
    let middle = *commas.get(commas.len() / 2).filter(|_| matches!(commas.len(), 1 | 3))?;
    let (begin, end) = (clock::parse(line[..middle].trim()), clock::parse(line[middle + 1..].trim()));
    begin.zip(end).map(|_| clock::times(begin, end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cue, cues};
    use super::*;

    #[test]
    fn reads_what_youtube_gives() {
        let text = "0:00:01.000,0:00:03.500\n[door slams]\n\n0:00:04.000,0:00:06.000\n>> 1,2:3 go[br](rain)\n\nand more\n\n\
            1:00:07,000,1:00:08,250\n<i>[wind]</i>\n0:00:09.000,0:00:08.000\n[back]";
        let parsed = parse(text);
        assert_eq!(
            cues(&parsed),
            [
                cue(1_000, 3_500, "[door slams]"),
                cue(4_000, 6_000, ">> 1,2:3 go\n(rain)\nand more"),
                cue(3_607_000, 3_608_250, "[wind]"),
            ]
        );
        let Item::Malformed { place, text, .. } = &parsed.items[3] else { panic!("{parsed:?}") };
        assert_eq!((place.as_str(), text.as_str()), ("line 11", "[back]"));
    }
}
