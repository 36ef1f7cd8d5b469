//! The data sets of AudioBench (Wang et al., 2024): rows of Parquet tables with their sounds inside, or of JSON files beside sounds.
//!
//! A row is flat (`context`, `instruction`, `choices`, `answer`) or nested (`context.audio`, `instruction.text`, `answer.text`).

mod choices;
mod data_set;
mod instructions;
mod subset;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::input::is_folder;
use audsem_core::tables::tables_under;
use audsem_core::terminal::counted;
use serde_json::{Map, Value, json};

use super::benchmark::{BenchmarkItems, SoundRow, rows_with_sounds};
use super::{AnswerKind, EvaluationItem};
use crate::error::Error;
pub use data_set::AudioBenchSet;
pub use instructions::Instructions;

/// The field of a published record that holds what a spoken instruction asks, which judges read in place of the question.
pub const SPOKEN_INSTRUCTION: &str = "audio_text_instruction";

/// Which rows of a data set are questions, and what is asked about them.
#[derive(Debug, Clone)]
pub struct RowSelection {
    /// The data set.
    pub set: &'static AudioBenchSet,
    /// So many rows, those that the published evaluation takes; all without.
    pub subset: Option<usize>,
    /// Wordings for rows without a question of their own.
    pub instructions: Instructions,
    /// Seed of the draw of wordings.
    pub seed: u64,
    /// Whether rows about one sound stay questions of their own.
    pub each_row: bool,
}

/// Adds the questions of the rows of files, which are one data set in this order.
pub(super) fn read(data: &[PathBuf], selection: &RowSelection, into: &mut BenchmarkItems) -> Result<(), Error> {
    let mut rows = Vec::new();
    for path in data {
        let files = if is_folder(path)? { tables_under(path)? } else { vec![path.clone()] };
        for file in files {
            let of_file = rows_with_sounds(&file, "context", into)?;
            rows.extend(of_file.into_iter().enumerate().map(|(n, row)| (file.clone(), n + 1, row)));
            into.files.push(file);
        }
    }
    if selection.set.is_of_another_size(rows.len()) {
        into.notes.push(note_of_size(selection.set, rows.len()));
    }
    let wanted = match selection.subset {
        Some(n) => subset::first_after_shuffle(rows.len(), n),
        None => (0..rows.len()).collect(),
    };
    let mut faults = Faults::default();
    let first = into.items.len();
    for at in wanted {
        let (file, number, row) = &rows[at];
        into.items.push(item(selection, at, row, (file, *number), &mut faults)?);
    }
    if selection.set.group_by_sound && !selection.each_row {
        group(into, first);
    }
    into.notes.extend(faults.notes(&selection.set.name));
    Ok(())
}

fn note_of_size(set: &AudioBenchSet, rows: usize) -> String {
    let published = match (set.rows, set.about_rows) {
        (Some(n), _) => n.to_string(),
        (None, Some(n)) => format!("{n} or a multiple of it"),
        (None, None) => String::new(),
    };
    let rows = counted(rows, "rows");
    format!("{} has {rows} here, and {published} in published scores: they are not comparable", set.name)
}

/// What is told once for all rows.
#[derive(Default)]
struct Faults {
    without_sound: Vec<usize>,
    without_options: Vec<usize>,
}

impl Faults {
    fn notes(&self, name: &str) -> Vec<String> {
        let told = |rows: &[usize], what: &str| {
            let first = rows.first()?;
            Some(format!("{name}: {} {what}, first in row {first}", counted(rows.len(), "rows")))
        };
        let options = "with options that letters do not tell apart, taken as open questions";
        [told(&self.without_sound, "without sound, counted as wrong"), told(&self.without_options, options)]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// The question of a row: `at` is its number in the data set from 0, `place` its file and its number there from 1.
fn item(
    selection: &RowSelection,
    at: usize,
    row: &SoundRow,
    (file, number): (&Path, usize),
    faults: &mut Faults,
) -> Result<EvaluationItem, Error> {
    let set = selection.set;
    let refuse = |problem: String| CoreError::input(file, format!("record {number}: {problem}"));
    let text = |name: &str| texts(&row.fields, name).map_err(&refuse);
    let (choices, answers) = (text("choices")?, text("answer")?);
    let instruction = match set.question.as_str() {
        "own" | "options" => text("instruction")?.into_iter().next(),
        _ => selection.instructions.of_row(set, at, selection.seed),
    };
    let instruction = instruction
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| refuse(format!("it has no `instruction`, which is the question of {}", set.name)))?;
    let sound = row.sound.clone().unwrap_or_else(|| {
        faults.without_sound.push(at);
        format!("the sound of row {at}, which has none")
    });
    let mut item = EvaluationItem {
        benchmark: set.name.clone(),
        id: at.to_string(),
        kind: set.kind(),
        sounds: vec![sound],
        question: instruction,
        choices: Vec::new(),
        references: answers.iter().map(|answer| without_lead_in(set, answer)).collect(),
        groups: groups(set, &row.fields),
        published: published(set, row).map_err(&refuse)?,
    };
    if set.question == "options" {
        add_options(&mut item, &choices, at, faults);
    }
    Ok(item)
}

/// Adds the options; where they cannot be told apart the question holds them as they are written, and is an open one.
fn add_options(item: &mut EvaluationItem, written: &[String], at: usize, faults: &mut Faults) {
    match choices::options(written) {
        Some(options) => {
            item.kind = AnswerKind::Choice;
            item.choices = options;
            item.references.iter_mut().for_each(|answer| *answer = choices::bare(answer));
        }
        None => {
            faults.without_options.push(at);
            item.question = format!("{}\nChoices:\n{}", item.question, written.join("\n"));
        }
    }
}

fn without_lead_in(set: &AudioBenchSet, answer: &str) -> String {
    set.lead_in.as_deref().and_then(|lead_in| answer.strip_prefix(lead_in)).unwrap_or(answer).to_owned()
}

fn groups(set: &AudioBenchSet, fields: &Map<String, Value>) -> BTreeMap<String, String> {
    let task = fields.get("other_attributes").and_then(|other| other.get("task")).and_then(Value::as_str);
    let groups = [("task_type", Some(set.task.as_str())), ("task", task)];
    groups.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}

/// The record as the published evaluation keeps it, without its sound and its instruction.
fn published(set: &AudioBenchSet, row: &SoundRow) -> Result<Map<String, Value>, String> {
    let mut record = Map::new();
    for (name, field) in [("reference", "answer"), ("choices", "choices"), (SPOKEN_INSTRUCTION, "speech_instruction")] {
        match texts(&row.fields, field)?.as_slice() {
            [] => {}
            [one] => drop(record.insert(name.to_owned(), one.clone().into())),
            several => drop(record.insert(name.to_owned(), several.to_vec().into())),
        }
    }
    record.insert("task_type".to_owned(), set.task.clone().into());
    Ok(record)
}

/// A text, the `text` of a struct, or a list of texts; none where the field is absent or null.
fn texts(fields: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    let no_text = || format!("`{name}` is no text");
    match fields.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Number(number)) => Ok(vec![number.to_string()]),
        Some(Value::Array(list)) => {
            list.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(no_text)).collect()
        }
        Some(Value::Object(inside)) => match inside.get("text") {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(text) => Ok(vec![text.as_str().ok_or_else(no_text)?.to_owned()]),
        },
        Some(Value::Bool(_)) => Err(no_text()),
    }
}

/// Joins the questions about one sound from `first` on: one question with all their right answers, at the place of the first.
fn group(into: &mut BenchmarkItems, first: usize) {
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    let apart = into.items.split_off(first);
    let n_rows = apart.len();
    for mut item in apart {
        let row: usize = item.id.parse().unwrap_or_default();
        if let Some(same) = at.get(&item.sounds[0]) {
            let same: &mut EvaluationItem = &mut into.items[*same];
            same.references.append(&mut item.references);
            if let Some(Value::Array(rows)) = same.published.get_mut("rows") {
                rows.push(row.into());
            }
            continue;
        }
        item.published.insert("rows".to_owned(), json!([row]));
        at.insert(item.sounds[0].clone(), into.items.len());
        into.items.push(item);
    }
    let n = into.items.len() - first;
    into.notes.push(format!(
        "{} are about {}: each is asked about once, and all right answers of its rows count; --each-row asks about each row, \
         as the published evaluation does",
        counted(n_rows, "rows"),
        counted(n, "sounds")
    ));
}
