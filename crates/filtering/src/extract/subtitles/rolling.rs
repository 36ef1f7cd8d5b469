//! Captions that roll: each cue shows the line before once more, then its own.
//!
//! Automatic captions come so: `a`, then `a / b`, then `b`, then `b / c`. Taken as they stand, every
//! sound would be there two or three times.

use super::TimedText;

/// Longest pause between two cues of one roll, in milliseconds.
const MAX_GAP_MS: u64 = 20;

/// Longest cue that only serves to hold a line between two others, in milliseconds.
const HOLD_MS: u64 = 10;

/// Most lines of a cue that are compared with those of the cue before it; real ones show two or three.
const MAX_LINES: usize = 64;

/// Whether the cues roll, which the short cues in between that repeat a line show.
#[must_use]
pub(super) fn rolls<'a>(cues: impl IntoIterator<Item = &'a TimedText>) -> bool {
    let mut last: Option<&TimedText> = None;
    cues.into_iter().any(|cue| {
        let hold = cue.end_ms - cue.start_ms <= HOLD_MS && !cue.text.is_empty();
        let repeats = last.is_some_and(|last| repeated_lines(last, cue) == cue.text.lines().count());
        last = Some(cue);
        hold && repeats
    })
}

/// What `cue` shows that the cue before it (`last`, as it stood in the file) does not; `None` if that
/// is nothing. Unless the file rolls, only an exact repetition counts.
#[must_use]
pub(super) fn news<'a>(last: Option<&TimedText>, cue: &'a TimedText, rolling: bool) -> Option<&'a str> {
    let Some(last) = last else { return Some(&cue.text) };
    if !rolling {
        return (last != cue).then_some(&cue.text);
    }
    let n = repeated_lines(last, cue);
    let at: usize = cue.text.split_inclusive('\n').take(n).map(str::len).sum();
    let rest = &cue.text[at..];
    (n == 0 || !rest.is_empty()).then_some(rest)
}

/// How many lines at the head of `cue` are those at the end of the cue just before it.
fn repeated_lines(last: &TimedText, cue: &TimedText) -> usize {
    if cue.start_ms > last.end_ms + MAX_GAP_MS {
        return 0;
    }
    let shown: Vec<&str> = last.text.lines().collect();
    let lines: Vec<&str> = cue.text.lines().collect();
    (1..=shown.len().min(lines.len()).min(MAX_LINES))
        .rev()
        .find(|&n| shown[shown.len() - n..] == lines[..n])
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::cue;
    use super::*;

    #[test]
    fn each_line_of_a_roll_is_told_once() {
        let cues = [
            cue(0, 2_000, "[Music]"),
            cue(2_000, 2_010, "[Music]"),
            cue(2_010, 4_000, "[Music]\nso it"),
            cue(4_000, 4_010, "so it"),
            cue(4_010, 6_000, "so it\n[Applause]"),
            cue(9_000, 11_000, "[Applause]"),
        ];
        assert!(rolls(&cues));
        let told: Vec<_> = (0..cues.len()).map(|i| news(i.checked_sub(1).map(|j| &cues[j]), &cues[i], true)).collect();
        let expected = [Some("[Music]"), None, Some("so it"), None, Some("[Applause]"), Some("[Applause]")];
        assert_eq!(told, expected);
    }

    #[test]
    fn other_files_keep_their_repetitions() {
        let cues = [cue(0, 2_000, "[rain]"), cue(2_000, 4_000, "[rain]"), cue(2_000, 4_000, "[rain]")];
        assert!(!rolls(&cues));
        assert_eq!(news(Some(&cues[0]), &cues[1], false), Some("[rain]"));
        assert_eq!(news(Some(&cues[1]), &cues[2], false), None);
    }
}
