//! The way of a caption through the rules of `extract`, for `explain`.

use super::reasons::DropReason;
use super::rules::{DurationLimits, Verdict, judge};
use super::text::visible_line;
use crate::explain::{TraceLine, TraceVerdict};

/// What `extract` asks of a cue, and how long the cue is.
#[derive(Debug, Clone, Copy)]
pub struct CueLimits {
    /// Limits of the length.
    pub duration: DurationLimits,
    /// Length of the cue in seconds; `None` where it is not known, and then it is not judged.
    pub seconds: Option<f64>,
}

/// The rules in their order, with the reasons for which each leaves a cue out.
const RULES: [(&str, &[DropReason]); 4] = [
    ("brackets", &[DropReason::NotBracketed]),
    ("duration", &[DropReason::TooLong, DropReason::TooShort]),
    ("letters", &[DropReason::NoWordCharacter]),
    ("quotes", &[DropReason::TripleQuote]),
];

impl CueLimits {
    /// What each rule makes of a caption, up to the one that decides.
    pub fn trace(&self, text: &str) -> Vec<TraceLine> {
        let line = visible_line(text).into_owned();
        // Without a length every other rule is asked all the same.
        let any = DurationLimits { min_s: 0.0, max_s: f64::INFINITY };
        let (seconds, limits) = self.seconds.map_or((1.0, any), |seconds| (seconds, self.duration));
        let dropped = match judge(text, Some(0.0), Some(seconds), limits) {
            Verdict::Drop(reason) => Some(reason),
            Verdict::Keep { .. } | Verdict::Fail(_) => None,
        };
        let decides = |reasons: &[DropReason]| dropped.filter(|reason| reasons.contains(reason));
        let last = RULES.iter().position(|(_, reasons)| decides(reasons).is_some()).unwrap_or(RULES.len() - 1);
        let mut lines = Vec::new();
        for (number, (name, reasons)) in (1..).zip(&RULES[..=last]) {
            let (verdict, detail) = match (*name, decides(reasons)) {
                ("duration", _) if self.seconds.is_none() => {
                    (TraceVerdict::Off, "not known: give it with --duration".to_owned())
                }
                ("duration", reason) => (told(reason), self.length(seconds, reason)),
                ("brackets", None) if line != text => (TraceVerdict::Rewrite, String::new()),
                (_, reason) => (told(reason), String::new()),
            };
            lines.push(TraceLine { command: "extract", rule: number, name, verdict, detail, text: line.clone() });
        }
        lines
    }

    fn length(&self, seconds: f64, reason: Option<DropReason>) -> String {
        let DurationLimits { min_s, max_s } = self.duration;
        match reason {
            Some(DropReason::TooShort) => format!("{seconds} s, minimum {min_s} s (--min-duration)"),
            Some(DropReason::TooLong) => format!("{seconds} s, maximum {max_s} s (--max-duration)"),
            _ => format!("{seconds} s"),
        }
    }
}

fn told(reason: Option<DropReason>) -> TraceVerdict {
    reason.map_or(TraceVerdict::Keep, TraceVerdict::drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_number_and_the_last_decides() {
        let limits = |seconds| CueLimits { duration: DurationLimits { min_s: 1.0, max_s: 10.0 }, seconds };
        for (text, seconds, expected) in [
            ("[dog barks]", Some(2.5), "1 keep, 2 keep 2.5 s, 3 keep, 4 keep"),
            (" [dog]\n[cat] ", None, "1 rewrite, 2 off not known: give it with --duration, 3 keep, 4 keep"),
            ("dog barks", Some(0.1), "1 not_bracketed"),
            ("[dog]", Some(0.5), "1 keep, 2 too_short 0.5 s, minimum 1 s (--min-duration)"),
            ("[dog]", Some(11.0), "1 keep, 2 too_long 11 s, maximum 10 s (--max-duration)"),
            ("[...]", None, "1 keep, 2 off not known: give it with --duration, 3 no_word_character"),
            ("[a \"\"\" b]", Some(3.0), "1 keep, 2 keep 3 s, 3 keep, 4 triple_quote"),
        ] {
            let told = limits(seconds)
                .trace(text)
                .into_iter()
                .map(|line| format!("{} {} {}", line.rule, line.verdict.name(), line.detail).trim_end().to_owned());
            assert_eq!(told.collect::<Vec<_>>().join(", "), expected, "{text:?}");
        }
    }
}
