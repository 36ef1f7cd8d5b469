//! Published records with the answers of a model.

use std::io::Write;

use audsem_core::row;
use audsem_core::run::ShardError;
use audsem_core::tables::write_parquet;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Exported;

row! {
    table "MMAU-Pro answers";
    /// A question of MMAU-Pro with the answer of a model, as its scorer reads it. Written by
    /// `audsem-evaluate export --format mmau-pro`.
    pub struct MmauProAnswer / MmauProAnswerRef / MmauProAnswerColumns / MmauProAnswerBuffers {
        /// The question within its data set.
        pub id: String,
        /// The question.
        pub question: String,
        /// The right answer.
        pub answer: String,
        /// The options; none for an open question.
        pub choices: Vec<String>,
        /// The category, which decides how it is scored.
        pub category: String,
        /// The rule of an instruction, as published.
        pub task_identifier: Option<String>,
        /// The arguments of the rule, JSON.
        pub kwargs: Option<String>,
        /// The answer of the model; empty where it has none.
        pub model_output: String,
    }
}

/// JSON with an indent.
pub(super) fn indented(value: &impl Serialize, indent: &[u8]) -> Result<Vec<u8>, ShardError> {
    let mut json = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut json, formatter)).map_err(ShardError::fatal)?;
    Ok(json)
}

/// The published record of a question.
fn record(answer: &Exported) -> Map<String, Value> {
    answer.prediction.item.published.clone()
}

/// The records with the answer under both keys that versions of the scorer of MMAU read.
pub(super) fn mmau(answers: &[Exported], without_key: bool) -> Result<Vec<u8>, ShardError> {
    let records = answers.iter().map(|answer| {
        let mut record = record(answer);
        if without_key {
            record.remove("answer");
        }
        for key in ["model_output", "model_prediction"] {
            record.insert(key.to_owned(), answer.answer().into());
        }
        record
    });
    indented(&records.collect::<Vec<_>>(), b"    ")
}

/// The records with the answer and the reasoning as the scorer of MMAR reads them, one a line.
pub(super) fn mmar(answers: &[Exported]) -> Result<Vec<u8>, ShardError> {
    let mut lines = Vec::new();
    for answer in answers {
        let mut record = record(answer);
        record.insert("answer_prediction".to_owned(), answer.answer().into());
        record.insert("thinking_prediction".to_owned(), answer.row.thinking.as_deref().unwrap_or_default().into());
        serde_json::to_writer(&mut lines, &record).map_err(ShardError::fatal)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The columns that the scorer of MMAU-Pro reads.
pub(super) fn mmau_pro(answers: &[Exported], file: &mut (impl Write + Send)) -> Result<(), ShardError> {
    let rows: Vec<MmauProAnswer> = answers
        .iter()
        .map(|answer| {
            let published = &answer.prediction.item.published;
            let text = |name: &str| match published.get(name) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(other) => Some(other.to_string()),
            };
            MmauProAnswer {
                id: answer.row.id.clone(),
                question: answer.row.question.clone(),
                answer: text("answer").or_else(|| answer.row.references.first().cloned()).unwrap_or_default(),
                choices: answer.row.choices.clone(),
                category: text("category").unwrap_or_default(),
                task_identifier: text("task_identifier"),
                kwargs: text("kwargs"),
                model_output: answer.answer().to_owned(),
            }
        })
        .collect();
    write_parquet(&rows, file).map(drop).map_err(ShardError::fatal)
}
