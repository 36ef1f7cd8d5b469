//! MMAR (Ma et al., 2025): questions with options that take several steps of reasoning.

use std::path::Path;

use super::benchmark::{BenchmarkItems, PublishedRecord, records};
use super::{AnswerKind, EvaluationItem};
use crate::error::Error;

/// Fields that scores are told by.
const GROUPS: [&str; 4] = ["modality", "category", "sub-category", "language"];

/// Adds the questions of a file.
pub(super) fn read(path: &Path, into: &mut BenchmarkItems) -> Result<(), Error> {
    into.files.push(path.to_owned());
    for (n, fields) in records(path)?.into_iter().enumerate() {
        let record = PublishedRecord { path, number: n + 1, fields: &fields };
        into.items.push(EvaluationItem {
            benchmark: "mmar".to_owned(),
            id: record.text("id")?,
            kind: AnswerKind::Choice,
            sounds: vec![record.text("audio_path")?],
            question: record.text("question")?,
            choices: record.texts("choices")?,
            references: record.optional("answer")?.into_iter().collect(),
            groups: record.groups(&GROUPS)?,
            published: fields,
        });
    }
    Ok(())
}
