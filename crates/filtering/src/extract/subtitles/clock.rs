//! Clock times of subtitle files.

/// Reads `[hours:]minutes:seconds[.fraction]` (a comma will do for the point) as milliseconds; digits
/// beyond the third of the fraction are cut off. Without hours there may be any number of minutes, and a comma or point
/// may have blanks around it. `None` for anything else.
#[must_use]
pub(super) fn parse(text: &str) -> Option<u64> {
    let (whole, fraction) = match text.find(['.', ',']) {
        Some(at) => (text[..at].trim_end(), text[at + 1..].trim_start()),
        None => (text, ""),
    };
    let mut parts = whole.rsplit(':');
    let seconds = number(parts.next()?)?;
    let minutes = number(parts.next()?)?;
    let hours = parts.next().map(number);
    if parts.next().is_some() || seconds >= 60 || (hours.is_some() && minutes >= 60) {
        return None;
    }
    let hours = hours.unwrap_or(Some(0))?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds(fraction)?)
}

/// Up to nine digits.
fn number(text: &str) -> Option<u64> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The fraction of a second, given without its point.
fn milliseconds(fraction: &str) -> Option<u64> {
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    Some(digits.fold(0, |ms, digit| ms * 10 + u64::from(digit - b'0')))
}

/// The message about times that cannot be parsed.
pub(super) const UNREADABLE: &str = "the times of the cue cannot be read";

/// Begin and end of a cue in milliseconds, or what is wrong with them.
pub(super) type Times = Result<(u64, u64), &'static str>;

/// Reads the line between two cues' texts, `BEGIN --> END`, with whatever may follow. `None` if it is
/// no such line at all.
#[must_use]
pub(super) fn parse_line(line: &str) -> Option<Times> {
    let (begin, rest) = line.split_once("-->")?;
    Some(times(parse(begin.trim()), parse(first_time(rest))))
}

/// The time that a text begins with, up to what follows it: the first word, or more where a blank stands before or behind
/// its comma or point.
fn first_time(text: &str) -> &str {
    let text = text.trim_start();
    let is_point = |c: char| matches!(c, '.' | ',');
    let is_blank = |(_, c): &(usize, char)| c.is_whitespace();
    let mut end = 0;
    while let Some((blank, _)) = text[end..].char_indices().find(is_blank) {
        let (before, behind) = (&text[..end + blank], text[end + blank..].trim_start());
        if !before.ends_with(is_point) && !behind.starts_with(is_point) {
            return before;
        }
        end = text.len() - behind.len();
    }
    text
}

/// The begin and the end of a cue, in that order.
pub(super) fn times(begin: Option<u64>, end: Option<u64>) -> Times {
    match (begin, end) {
        (Some(begin), Some(end)) if begin <= end => Ok((begin, end)),
        (Some(_), Some(_)) => Err("the cue ends before it begins"),
        _ => Err(UNREADABLE),
    }
}

/// Writes milliseconds as `hh:mm:ss.mmm`, with `point` before the fraction.
#[cfg(test)]
pub(crate) fn write(ms: u64, point: char) -> String {
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}{point}{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_times() {
        for (text, expected) in [
            ("00:00:01.500", Some(1_500)),
            ("00:01,5", Some(1_500)),
            ("01:02:03.004", Some(3_723_004)),
            ("100:00:00.0001", Some(360_000_000)),
            ("1:02", Some(62_000)),
            ("75:12.000", Some(4_512_000)),
            ("00:00:01, 500", Some(1_500)),
            ("00:00:01 ,500", Some(1_500)),
            ("00:61:00.000", None),
            ("00:00:60.000", None),
            ("1.5", None),
            ("00:00:01.5s", None),
            ("-1:00", None),
            ("1:2:3:4", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn timing_lines() {
        for (line, expected) in [
            ("00:01.000 --> 00:02.000 align:start position:0%", Some(Ok((1_000, 2_000)))),
            ("00:00:01,000-->00:00:02,000", Some(Ok((1_000, 2_000)))),
            ("00:00:01, 500 --> 00:00:03 , 250", Some(Ok((1_500, 3_250)))),
            ("00:00:01, 500 --> 00:00:03, 250 X1:0", Some(Ok((1_500, 3_250)))),
            ("75:12.000 --> 75:13.000 line:0", Some(Ok((4_512_000, 4_513_000)))),
            ("00:02.000 --> 00:01.000", Some(Err("the cue ends before it begins"))),
            ("a --> b", Some(Err(UNREADABLE))),
            ("[door slams]", None),
        ] {
            assert_eq!(parse_line(line), expected, "{line:?}");
        }
    }
}
