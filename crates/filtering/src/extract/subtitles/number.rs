//! The numbers of cues, which SubRip writes in front of their times and WebVTT may.

/// The number a line consists of.
#[must_use]
pub(super) fn read_number(line: &str) -> Option<u64> {
    // Concatenated files keep their byte order marks.
    let line = line.trim_start_matches('\u{feff}').trim();
    let digits = !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| line.parse().ok()).flatten()
}

/// Takes the number of the next cue off the end of a cue's text, if it is there; `own` is the number of the
/// cue whose text it is.
///
/// Digits right before the next times are its number after a blank line, and in a file whose cues are
/// numbered: there the next cue has a number too, so nothing else can be it. Where a blank line follows the
/// digits, only the number after `own` is one. Everything else is text.
#[must_use]
pub(super) fn take_number(text: &mut Vec<&str>, own: Option<u64>) -> Option<u64> {
    let last = text.iter().rposition(|line| !is_blank(line))?;
    let number = read_number(text[last])?;
    let touches_times = last + 1 == text.len();
    let after_blank = last.checked_sub(1).is_some_and(|before| is_blank(text[before]));
    let is_next = own.and_then(|own| own.checked_add(1)) == Some(number);
    if is_next || (touches_times && (after_blank || own.is_some())) {
        text.truncate(last);
        return Some(number);
    }
    None
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cues_are_told_from_text() {
        for (text, own, expected, left) in [
            (vec!["[rain]", "", "2"], None, Some(2), 2),
            (vec!["[rain]", "", "2"], Some(1), Some(2), 2),
            (vec!["[rain]", "2"], Some(1), Some(2), 1),
            (vec!["[rain]", "7"], Some(1), Some(7), 1),
            (vec!["[rain]", "2"], None, None, 2),
            (vec!["10"], None, None, 1),
            (vec!["10"], Some(9), Some(10), 0),
            (vec!["10", "11"], Some(10), Some(11), 1),
            (vec!["[rain]", "", "2", ""], Some(1), Some(2), 2),
            (vec!["[rain]", "", "10", ""], Some(1), None, 4),
            (vec!["[rain]", " ", "2"], None, Some(2), 2),
            (vec!["[rain]", "", "two"], Some(1), None, 3),
            (vec!["[rain]", "99999999999999999999999"], Some(1), None, 2),
            (vec![""], Some(1), None, 1),
            (vec![], Some(1), None, 0),
        ] {
            let mut lines = text.clone();
            assert_eq!((take_number(&mut lines, own), lines.len()), (expected, left), "{text:?} {own:?}");
        }
    }
}
