//! Questions for tests of this command.

use crate::item::{AnswerKind, EvaluationItem};

/// A question about `ID.wav`.
pub(crate) fn item(id: &str, choices: &[&str]) -> EvaluationItem {
    EvaluationItem {
        benchmark: "test".to_owned(),
        id: id.to_owned(),
        kind: if choices.is_empty() { AnswerKind::Transcript } else { AnswerKind::Choice },
        sounds: vec![format!("{id}.wav")],
        question: "What is heard?".to_owned(),
        choices: choices.iter().map(|&choice| choice.to_owned()).collect(),
        references: choices.first().map(|&choice| choice.to_owned()).into_iter().collect(),
        groups: Default::default(),
        published: Default::default(),
    }
}
