//! Predictions for tests.

use std::collections::BTreeMap;

use crate::item::{AnswerKind, EvaluationItem};
use crate::prediction::{HeardSound, Prediction, PredictionStatus};

/// The answer to a question with the options cat, dog, cow and rain, of which dog is right.
pub(crate) fn prediction(id: &str, output: &str) -> Prediction {
    let choices: Vec<String> = ["cat", "dog", "cow", "rain"].map(str::to_owned).to_vec();
    let item = EvaluationItem {
        benchmark: "mmau".to_owned(),
        id: id.to_owned(),
        kind: AnswerKind::Choice,
        sounds: vec![format!("{id}.wav")],
        question: "What is heard?".to_owned(),
        choices: choices.clone(),
        references: vec!["dog".to_owned()],
        groups: BTreeMap::from([("task".to_owned(), "sound".to_owned())]),
        published: serde_json::Map::new(),
    };
    Prediction {
        item,
        index: 0,
        heard: HeardSound::Sound,
        permutation: 0,
        shown_choices: choices,
        prompt_sha256: "0".repeat(64),
        status: PredictionStatus::Answered,
        problem: None,
        output: Some(output.to_owned()),
        prompt_tokens: None,
        text_tokens: None,
        output_tokens: None,
        sounds: Vec::new(),
    }
}
