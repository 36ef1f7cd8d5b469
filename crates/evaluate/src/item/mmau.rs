//! Benchmarks whose questions have a list of options and the text of the right one: MMAU (Sakshi et al., 2024) and MMAR (Ma et
//! al., 2025).

use std::path::Path;

use super::benchmark::{BenchmarkItems, PublishedRecord, records};
use super::{AnswerKind, EvaluationItem};
use crate::error::Error;

/// What the fields of a benchmark are called.
pub(super) struct ListedFields {
    name: &'static str,
    sound: &'static str,
    /// Fields that scores are told by.
    groups: &'static [&'static str],
}

/// MMAU: sounds, music and speech.
pub(super) const MMAU: ListedFields =
    ListedFields { name: "mmau", sound: "audio_id", groups: &["task", "difficulty", "sub-category", "category"] };

/// MMAR: questions that take several steps of reasoning.
pub(super) const MMAR: ListedFields =
    ListedFields { name: "mmar", sound: "audio_path", groups: &["modality", "category", "sub-category", "language"] };

/// Adds the questions of a file. Those of a test set come without their answers.
pub(super) fn read(path: &Path, fields_of: &ListedFields, into: &mut BenchmarkItems) -> Result<(), Error> {
    into.files.push(path.to_owned());
    for (n, fields) in records(path)?.into_iter().enumerate() {
        let record = PublishedRecord { path, number: n + 1, fields: &fields };
        into.items.push(EvaluationItem {
            benchmark: fields_of.name.to_owned(),
            id: record.text("id")?,
            kind: AnswerKind::Choice,
            sounds: vec![record.text(fields_of.sound)?],
            question: record.text("question")?,
            choices: record.texts("choices")?,
            references: record.optional("answer")?.into_iter().collect(),
            groups: record.groups(fields_of.groups)?,
            published: fields,
        });
    }
    Ok(())
}

/// Questions of each difficulty in the published versions of test-mini, whose results are not comparable.
const VERSIONS: [(&str, [usize; 3]); 2] =
    [("v1 (March 2025)", [258, 510, 232]), ("v05.15.25 (current)", [224, 540, 236])];

/// Says which published version the questions are.
pub(super) fn version(read: &BenchmarkItems) -> String {
    let counted = ["easy", "medium", "hard"].map(|name| {
        let is_so = |item: &&EvaluationItem| item.groups.get("difficulty").is_some_and(|value| value == name);
        read.items.iter().filter(is_so).count()
    });
    let known = VERSIONS.iter().find(|(_, counts)| *counts == counted);
    match known {
        Some((name, _)) => format!(
            "its numbers of easy, medium and hard questions are those of test-mini {name}; scores are comparable where the \
             content is the same, too: SHA-256 {}",
            read.content_sha256
        ),
        None if read.items.iter().all(|item| item.references.is_empty()) => {
            "a test set whose answers are withheld: it can be answered, and exported for its scorer".to_owned()
        }
        None => format!(
            "no published version of MMAU test-mini has {} easy, {} medium and {} hard questions: scores are not \
             comparable with published ones",
            counted[0], counted[1], counted[2]
        ),
    }
}
