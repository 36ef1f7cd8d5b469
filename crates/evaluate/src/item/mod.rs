//! Questions of benchmarks, whatever file they come from.

pub mod audiobench;
mod benchmark;
mod lettered;
mod mmau;
mod mmau_pro;
mod shards;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use benchmark::records;
pub use benchmark::{Benchmark, BenchmarkItems, read_audiobench, read_benchmark};
pub(crate) use mmau_pro::{NAME as MMAU_PRO, instruction};

/// What kind of answer a question asks for, which decides the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerKind {
    /// One of several options.
    Choice,
    /// The words that are spoken.
    Transcript,
    /// The words that are spoken, in another language.
    Translation,
    /// A description of the sound.
    Caption,
    /// Free text that a judge compares with a reference.
    Open,
}

impl AnswerKind {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Choice => "choice",
            Self::Transcript => "transcript",
            Self::Translation => "translation",
            Self::Caption => "caption",
            Self::Open => "open",
        }
    }
}

/// Whether a question has options, and none of its right answers is one: nobody can get it right.
pub(crate) fn is_outside(choices: &[String], references: &[String]) -> bool {
    let is_option = |answer: &String| choices.iter().any(|choice| choice.trim() == answer.trim());
    !choices.is_empty() && !references.is_empty() && !references.iter().any(is_option)
}

/// A question of a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationItem {
    /// Name of the data set, such as `mmau` or `librispeech_test_clean`.
    pub benchmark: String,
    /// Names the question within its data set.
    pub id: String,
    /// The answer that is asked for.
    pub kind: AnswerKind,
    /// The sounds it is about, as the data set names them; items with the same sounds are not independent of each other.
    pub sounds: Vec<String>,
    /// The question, without its options.
    pub question: String,
    /// The options as published, which may repeat each other; none for a free answer.
    pub choices: Vec<String>,
    /// The right answers: none where they are withheld, several where any of them counts.
    pub references: Vec<String>,
    /// What scores are told by, such as `task` and `difficulty`.
    pub groups: BTreeMap<String, String>,
    /// The published record without its sounds, for files in the form of the data set.
    pub published: Map<String, Value>,
}
