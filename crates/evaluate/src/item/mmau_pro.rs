//! MMAU-Pro (Kumar et al., 2025): questions with options, open ones, and instructions to follow, about one or several sounds.

use std::path::Path;

use serde_json::Value;

use super::benchmark::{BenchmarkItems, PublishedRecord, records};
use super::{AnswerKind, EvaluationItem};
use crate::error::Error;

/// Fields that scores are told by.
const GROUPS: [&str; 2] = ["category", "task_identifier"];

/// Adds the questions of a table or a file.
pub(super) fn read(path: &Path, into: &mut BenchmarkItems) -> Result<(), Error> {
    into.files.push(path.to_owned());
    let mut without_scorer = 0;
    for (n, fields) in records(path)?.into_iter().enumerate() {
        let record = PublishedRecord { path, number: n + 1, fields: &fields };
        let choices = match fields.get("choices") {
            None | Some(Value::Null) => Vec::new(),
            Some(_) => record.texts("choices")?,
        };
        let groups = record.groups(&GROUPS)?;
        without_scorer +=
            usize::from(groups.get("category").is_some_and(|category| category == "instruction following"));
        let sounds = match fields.get("audio_path") {
            Some(Value::Array(_)) => record.texts("audio_path")?,
            _ => vec![record.text("audio_path")?],
        };
        into.items.push(EvaluationItem {
            benchmark: "mmau-pro".to_owned(),
            id: record.text("id")?,
            kind: if choices.is_empty() { AnswerKind::Open } else { AnswerKind::Choice },
            sounds,
            question: record.text("question")?,
            choices,
            references: record.optional("answer")?.into_iter().collect(),
            groups,
            published: fields,
        });
    }
    if without_scorer > 0 {
        into.notes.push(format!(
            "{without_scorer} questions are instructions to follow, whose rules are not among the scores here: `export` \
             writes their answers for the published scorer"
        ));
    }
    Ok(())
}
