//! Which cue is a bracketed sound caption of the right length.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::reasons::{DropReason, Fault};
use super::text::{has_word_character, is_bracketed, trim, visible_line};

/// Shortest and longest clip the data set takes, in seconds, both inclusive.
pub const DEFAULT_DURATION_S: (f64, f64) = (1.0, 10.0);

/// Limits of a clip's length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DurationLimits {
    /// Shortest, in seconds, inclusive.
    pub min_s: f64,
    /// Longest, in seconds, inclusive.
    pub max_s: f64,
}

/// The outcome of one complete cue.
#[derive(Debug, PartialEq)]
pub enum Verdict<'a> {
    /// It is a sound caption.
    Keep {
        /// Begin of the clip in milliseconds.
        start_ms: u32,
        /// Length of the clip in milliseconds.
        dur_ms: u32,
        /// The caption on one line, brackets included.
        text: Cow<'a, str>,
    },
    /// It is not a sound caption.
    Drop(DropReason),
    /// It cannot be judged.
    Fail(Fault),
}

/// Judges one cue: its text, and its begin and length in seconds where they could be read. A text that
/// is not bracketed is dropped whatever its times.
#[must_use]
pub fn judge(text: &str, start_s: Option<f64>, dur_s: Option<f64>, limits: DurationLimits) -> Verdict<'_> {
    let text = visible_line(text);
    if !is_bracketed(&text) {
        return Verdict::Drop(DropReason::NotBracketed);
    }
    let (Some(start_ms), Some(dur_s)) = (start_s.and_then(milliseconds), dur_s) else {
        return Verdict::Fail(Fault::BadTime);
    };
    let Some(dur_ms) = milliseconds(dur_s) else { return Verdict::Fail(Fault::BadTime) };
    if dur_s > limits.max_s {
        return Verdict::Drop(DropReason::TooLong);
    }
    if dur_s < limits.min_s {
        return Verdict::Drop(DropReason::TooShort);
    }
    if !has_word_character(&text) {
        return Verdict::Drop(DropReason::NoWordCharacter);
    }
    if text.contains("\"\"\"") {
        return Verdict::Drop(DropReason::TripleQuote);
    }
    Verdict::Keep { start_ms, dur_ms, text }
}

/// Seconds written as a decimal number; no infinities, no NaN.
#[must_use]
pub fn parse_seconds(text: &str) -> Option<f64> {
    trim(text).parse().ok().filter(|s: &f64| s.is_finite())
}

/// Seconds to whole milliseconds, rounded; `None` if they do not fit (negative, or beyond 49 days).
fn milliseconds(seconds: f64) -> Option<u32> {
    let ms = (seconds * 1000.0).round();
    (0.0..=f64::from(u32::MAX)).contains(&ms).then_some(ms as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DurationLimits = DurationLimits { min_s: 1.0, max_s: 10.0 };

    #[test]
    fn verdicts() {
        let keep = |start_ms, dur_ms, text: &'static str| Verdict::Keep { start_ms, dur_ms, text: text.into() };
        let drop = Verdict::Drop;
        for (text, start, dur, expected) in [
            ("[door slams shut]", "12.34", "2.25", keep(12_340, 2_250, "[door slams shut]")),
            (" (thunder)\n[rain] ", "0", "1", keep(0, 1_000, "(thunder) [rain]")),
            ("\u{200e}[rain]\u{2028}[wind]\u{200b}", "0", "1", keep(0, 1_000, "[rain] [wind]")),
            ("{wind}", "1.0005", "10.0", keep(1_001, 10_000, "{wind}")),
            ("[laughs)", "3", "1.5", keep(3_000, 1_500, "[laughs)")),
            ("[says \"hey\"]", "3", "1.5", keep(3_000, 1_500, "[says \"hey\"]")),
            ("[dog]", "3", "0.9999", drop(DropReason::TooShort)),
            ("[dog]", "3", "10.0001", drop(DropReason::TooLong)),
            ("[...]", "3", "2", drop(DropReason::NoWordCharacter)),
            ("[♪♪♪]", "3", "2", drop(DropReason::NoWordCharacter)),
            ("[♪♪♪]", "3", "0.5", drop(DropReason::TooShort)),
            ("[a \"\"\" b]", "3", "2", drop(DropReason::TripleQuote)),
            ("He said (coughs) ok", "3", "2", drop(DropReason::NotBracketed)),
            ("hello", "x", "y", drop(DropReason::NotBracketed)),
            ("[dog]", "x", "2", Verdict::Fail(Fault::BadTime)),
            ("[dog]", "1", "nan", Verdict::Fail(Fault::BadTime)),
            ("[dog]", "-1", "2", Verdict::Fail(Fault::BadTime)),
            ("[dog]", "5000000", "2", Verdict::Fail(Fault::BadTime)),
        ] {
            let verdict = judge(text, parse_seconds(start), parse_seconds(dur), LIMITS);
            assert_eq!(verdict, expected, "{text:?} {start} {dur}");
        }
    }
}
