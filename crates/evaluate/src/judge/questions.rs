//! Which answers are judged, and what is asked about each.

use std::path::Path;

use audsem_core::answers::TaggedAnswer;
use audsem_core::run::LeftOut;
use audsem_metrics::string_match::is_match;
use serde_json::Value;

use super::judgement::JudgementOutcome;
use super::rubric::Rubric;
use super::task::JudgeQuestion;
use crate::error::Error;
use crate::item::audiobench::SPOKEN_INSTRUCTION;
use crate::item::{AnswerKind, instruction};
use crate::prediction::{HeardSound, Prediction};
use crate::score::predictions::for_each_prediction;
use crate::score::{Extraction, ScoreFault};

/// An answer that is judged.
#[derive(Debug, Clone)]
pub(super) struct ToJudge {
    pub(super) key: String,
    pub(super) benchmark: String,
    pub(super) id: String,
    pub(super) heard: HeardSound,
    /// What became of it without asking a judge.
    pub(super) settled: Option<JudgementOutcome>,
    /// What is asked: as many questions as the rubric has runs, or none.
    pub(super) questions: Vec<JudgeQuestion>,
}

/// A line that is no prediction: its place, and why it is left out.
pub(super) type Unreadable = (String, LeftOut);

/// The answers of a file to the questions in their published order whose right answers are known, and its broken lines.
pub(super) fn read(
    path: &Path,
    extraction: Extraction,
    rubric: &Rubric,
) -> Result<(Vec<ToJudge>, Vec<Unreadable>), Error> {
    let (mut answers, mut unreadable) = (Vec::new(), Vec::new());
    for_each_prediction(path, |place, prediction| {
        match prediction {
            Ok(prediction) if !is_judged(&prediction, rubric) => {}
            Ok(prediction) => answers.push(to_judge(&prediction, extraction, rubric)),
            Err(problem) => unreadable.push((place.to_owned(), LeftOut::fail(ScoreFault::NotAPrediction, problem))),
        }
        Ok(())
    })?;
    Ok((answers, unreadable))
}

/// Whether a judge rates the answer: it is to a question in its published order whose right answer is known.
fn is_judged(prediction: &Prediction, rubric: &Rubric) -> bool {
    let item = &prediction.item;
    let is_open = || item.kind == AnswerKind::Open && instruction(item).is_none();
    prediction.permutation == 0 && !item.references.is_empty() && (!rubric.only_open || is_open())
}

fn to_judge(prediction: &Prediction, extraction: Extraction, rubric: &Rubric) -> ToJudge {
    let item = &prediction.item;
    let output = prediction.output.as_deref().unwrap_or_default();
    let tagged = TaggedAnswer::read(output);
    let answer = extraction.answer(output, &tagged).0;
    let is_right = |answer: &str| item.references.iter().any(|right| is_match(answer, right, &item.choices));
    let settled = match answer {
        // Where a wrong answer gets less than the lowest rating, an answer that is not there must not get more.
        None if rubric.only_right => Some(JudgementOutcome::Wrong),
        None => Some(JudgementOutcome::NoAnswer),
        Some(answer) if rubric.only_right && !is_right(answer) => Some(JudgementOutcome::Wrong),
        Some(_) => None,
    };
    let key = format!("{}/{}/{}", item.benchmark, item.id, prediction.heard.name());
    let question = |run: u32| JudgeQuestion {
        key: format!("{key}/{run}"),
        run,
        question: question_text(prediction),
        reference: item.references.join("\n"),
        answer: answer.unwrap_or_default().to_owned(),
        thinking: tagged.thinking.unwrap_or_default().to_owned(),
        published: rubric.published.as_ref().and_then(|field| item.published.get(field)).map(plain).unwrap_or_default(),
    };
    let runs = if settled.is_some() { 0 } else { rubric.runs };
    ToJudge {
        questions: (0..runs).map(question).collect(),
        key,
        benchmark: item.benchmark.clone(),
        id: item.id.clone(),
        heard: prediction.heard,
        settled,
    }
}

/// The question with its options, each behind its letter; where it is spoken, what the voice says.
fn question_text(prediction: &Prediction) -> String {
    if let Some(Value::String(spoken)) = prediction.item.published.get(SPOKEN_INSTRUCTION) {
        return spoken.clone();
    }
    let options = ('A'..='Z').zip(&prediction.shown_choices).map(|(letter, text)| format!("\n{letter}. {text}"));
    prediction.item.question.clone() + &options.collect::<String>()
}

/// A field of a published record as text: a list as lines.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}
