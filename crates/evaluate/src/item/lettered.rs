//! Benchmarks whose questions have the options A to D in fields of their own: MMSU (Wang et al., 2025) and the foundation part of
//! AIR-Bench (Yang et al., 2024).

use std::path::Path;

use super::benchmark::{BenchmarkItems, PublishedRecord, rows_with_sounds};
use super::{AnswerKind, EvaluationItem};
use crate::error::Error;

/// The fields of the options, in their order.
const CHOICES: [&str; 4] = ["choice_a", "choice_b", "choice_c", "choice_d"];

/// What the fields of a benchmark are called.
pub(super) struct LetteredFields {
    name: &'static str,
    id: &'static str,
    sound: &'static str,
    groups: &'static [&'static str],
}

/// MMSU: spoken language, 47 tasks.
pub(super) const MMSU: LetteredFields = LetteredFields {
    name: "mmsu",
    id: "id",
    sound: "audio",
    groups: &["category", "sub-category", "sub-sub-category", "linguistics_sub_discipline", "task_name"],
};

/// AIR-Bench, foundation: 19 tasks. Its sounds lie in a folder for each task and data set.
pub(super) const AIR_BENCH: LetteredFields =
    LetteredFields { name: "air-bench", id: "uniq_id", sound: "path", groups: &["task_name", "dataset_name"] };

/// Adds the questions of a file. An option that is absent or empty is none.
pub(super) fn read(path: &Path, fields_of: &LetteredFields, into: &mut BenchmarkItems) -> Result<(), Error> {
    into.files.push(path.to_owned());
    for (n, row) in rows_with_sounds(path, fields_of.sound, into)?.into_iter().enumerate() {
        let fields = row.fields;
        let record = PublishedRecord { path, number: n + 1, fields: &fields };
        let mut choices = Vec::new();
        for name in CHOICES {
            choices.extend(record.optional(name)?.filter(|choice| !choice.trim().is_empty()));
        }
        let groups = record.groups(fields_of.groups)?;
        // The name of a sound inside a table is no path.
        let inside = row.sound.filter(|name| into.sounds.has(name));
        let folder = match (groups.get("task_name"), groups.get("dataset_name")) {
            (Some(task), Some(set)) => format!("{task}_{set}/"),
            _ => String::new(),
        };
        into.items.push(EvaluationItem {
            benchmark: fields_of.name.to_owned(),
            id: record.text(fields_of.id)?,
            kind: AnswerKind::Choice,
            sounds: vec![match inside {
                Some(name) => name,
                None => folder + &record.text(fields_of.sound)?,
            }],
            question: record.text("question")?,
            choices,
            references: record.optional("answer_gt")?.into_iter().collect(),
            groups,
            published: fields,
        });
    }
    Ok(())
}
