//! What was found, counted, with examples.

use std::collections::BTreeMap;
use std::fmt;

use audsem_core::terminal::counted;
use serde::Serialize;
use serde_json::json;

use crate::write::words::Wording;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Problem {
    /// A line is no record.
    Unreadable,
    /// A text is empty.
    Empty,
    /// A wording that training text must not have.
    Wording(Wording),
    /// A text quotes what is said.
    TranscribedSpeech,
    /// Two records have the same text.
    Duplicate,
    /// A record names a clip that is not in the table of clips.
    UnknownClip,
    /// The answer is not one of the options.
    AnswerNotAmongChoices,
    /// There are not four options.
    NotFourChoices,
    /// The answer has the same letter more often than chance allows.
    LetterBias,
    /// The answer is the longest or the shortest option more often than chance allows.
    LengthBias,
    /// Texts fit the clip of another row better than their own.
    ShiftedRows,
}

impl Problem {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Empty => "empty_text",
            Self::Wording(wording) => wording.name(),
            Self::TranscribedSpeech => "transcribed_speech",
            Self::Duplicate => "duplicate",
            Self::UnknownClip => "unknown_clip",
            Self::AnswerNotAmongChoices => "answer_not_among_choices",
            Self::NotFourChoices => "not_four_choices",
            Self::LetterBias => "letter_bias",
            Self::LengthBias => "length_bias",
            Self::ShiftedRows => "shifted_rows",
        }
    }
}

/// How often a fault occurs, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// Number of occurrences.
    pub count: u64,
    /// The first of them: place and words.
    pub examples: Vec<String>,
}

/// The result of a lint.
#[derive(Debug, Clone, Default)]
pub struct LintReport {
    /// Records read.
    pub records: u64,
    /// Texts looked at.
    pub texts: u64,
    /// Faults by kind.
    pub problems: BTreeMap<Problem, RuleCount>,
    /// Letters of answers and how often each occurs.
    pub letters: BTreeMap<String, u64>,
    /// Questions with options whose answer is one of them.
    pub answered: u64,
    /// Those whose answer is the longest option, alone.
    pub longest: u64,
    /// Those whose answer is the shortest option, alone.
    pub shortest: u64,
    max_examples: usize,
}

impl LintReport {
    pub(super) fn new(max_examples: usize) -> Self {
        Self { max_examples, ..Self::default() }
    }

    pub(super) fn add(&mut self, problem: Problem, place: &str, detail: &str) {
        let found = self.problems.entry(problem).or_default();
        found.count += 1;
        if found.examples.len() < self.max_examples {
            let detail: String = detail.chars().take(120).collect();
            found.examples.push(format!("{place}: {detail}"));
        }
    }

    /// How often a fault occurs.
    #[must_use]
    pub fn count(&self, problem: Problem) -> u64 {
        self.problems.get(&problem).map_or(0, |found| found.count)
    }

    /// The report as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let problems: serde_json::Map<_, _> =
            self.problems.iter().map(|(problem, found)| (problem.name().to_owned(), json!(found))).collect();
        let value = json!({
            "records": self.records, "texts": self.texts, "problems": problems,
            "multiple_choice": { "answered": self.answered, "letters": self.letters, "answer_longest": self.longest,
                "answer_shortest": self.shortest },
        });
        format!("{value:#}\n")
    }
}

impl fmt::Display for LintReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {}", counted(self.records, "records"), counted(self.texts, "texts"))?;
        if self.answered > 0 {
            let letters: Vec<String> = self.letters.iter().map(|(letter, n)| format!("{letter} {n}")).collect();
            let (letters, n) = (letters.join(", "), counted(self.answered, "questions"));
            writeln!(f, "{n} with options: answers {letters}; longest {}, shortest {}", self.longest, self.shortest)?;
        }
        if self.problems.is_empty() {
            return writeln!(f, "nothing found");
        }
        for (problem, found) in &self.problems {
            writeln!(f, "{:>8}  {}", found.count, problem.name())?;
            found.examples.iter().try_for_each(|example| writeln!(f, "          {example}"))?;
        }
        Ok(())
    }
}
