//! Whether the form of options tells the answer.

use audsem_core::records::Question;
use audsem_core::terminal::counted;
use serde_json::{Map, Value};

use super::report::{LintReport, Problem};

/// Minimum number of questions before a share is called a bias.
const MIN_QUESTIONS: u64 = 40;

/// How many standard deviations from chance a count may lie.
const MAX_SIGMA: f64 = 4.0;

/// What has been counted: the report holds counts, this the number of options.
#[derive(Default)]
pub(super) struct Form {
    /// Sum of the chances that a random option is the answer.
    expected: f64,
}

impl Form {
    /// Counts one item if it has options.
    pub(super) fn see(&mut self, place: &str, item: &Map<String, Value>, report: &mut LintReport) {
        let Ok(question) = Question::read(item) else { return };
        let n = question.choices.iter().count();
        if n != 4 {
            report.add(Problem::NotFourChoices, place, &counted(n, "options"));
        }
        let answer = item.get("answer").and_then(Value::as_str).unwrap_or_default();
        let right = match question.choices.find(answer) {
            Ok(right) => right,
            Err(fault) => return report.add(Problem::AnswerNotAmongChoices, place, &fault.detail),
        };
        report.answered += 1;
        self.expected += 1.0 / n as f64;
        *report.letters.entry(right.letter.clone()).or_default() += 1;
        let length = |text: &str| text.chars().count();
        let own = length(&right.text);
        let others = || question.choices.iter().filter(|choice| *choice != right).map(|choice| length(&choice.text));
        report.longest += u64::from(others().all(|n| n < own));
        report.shortest += u64::from(others().all(|n| n > own));
    }

    /// Adds the biases of the whole.
    pub(super) fn add_to(&self, report: &mut LintReport) {
        let n = report.answered;
        if n < MIN_QUESTIONS {
            return;
        }
        let letters = report.letters.clone();
        for (letter, count) in letters {
            if self.is_biased(count, n, true) {
                report.add(Problem::LetterBias, &letter, &format!("{count} of {}", counted(n, "answers")));
            }
        }
        for (what, count) in [("longest option", report.longest), ("shortest option", report.shortest)] {
            // Lengths that tie belong to neither, so that only too many are a bias.
            if self.is_biased(count, n, false) {
                report.add(Problem::LengthBias, what, &format!("{count} of {}", counted(n, "answers")));
            }
        }
    }

    /// Whether a count differs from chance, by the normal approximation of the binomial distribution.
    fn is_biased(&self, count: u64, n: u64, both_sides: bool) -> bool {
        let (n, count) = (n as f64, count as f64);
        let chance = self.expected / n;
        let sigma = (n * chance * (1.0 - chance)).sqrt();
        let excess = count - n * chance;
        excess > MAX_SIGMA * sigma || (both_sides && -excess > MAX_SIGMA * sigma)
    }
}
