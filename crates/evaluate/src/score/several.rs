//! Predictions of several runs as those of one: whether they belong together, and what is said of how they were made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use serde_json::Value;

use super::predictions::{PredictionRun, RunRecord, for_each_prediction};
use crate::error::Error;

/// Settings in which runs differ that ask different questions in the same way: which questions, in files of how many, and where
/// imported answers stand.
const OWN_SETTINGS: [&str; 3] = ["questions_sha256", "items_per_part", "field"];

/// Refuses runs whose predictions do not belong together: a table of their scores would not say whose they are, or would count
/// a question twice.
///
/// # Errors
/// Two runs asked in different ways, or asked the same question; the error names both.
pub(super) fn check(folders: &[PathBuf], runs: &[PredictionRun]) -> Result<(), Error> {
    let ([first, others @ ..], [first_folder, other_folders @ ..]) = (runs, folders) else { return Ok(()) };
    if others.is_empty() {
        return Ok(());
    }
    for (folder, run) in other_folders.iter().zip(others) {
        if let Some(difference) = difference(&first.record, &run.record) {
            let problem = format!(
                "these predictions were made in another way than those of {} ({difference})\n\
                 hint: name runs of one model and one way to ask; `report` compares others, each with scores of its own",
                first_folder.display()
            );
            return Err(CoreError::input(folder, problem).into());
        }
    }
    refuse_shared_questions(folders, runs)
}

fn refuse_shared_questions(folders: &[PathBuf], runs: &[PredictionRun]) -> Result<(), Error> {
    let mut asked: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (number, run) in runs.iter().enumerate() {
        for path in run.files() {
            for_each_prediction(path, |_, prediction| {
                let Ok(prediction) = prediction else { return Ok(()) };
                let (benchmark, id) = (prediction.item.benchmark, prediction.item.id);
                match asked.insert((benchmark.clone(), id.clone()), number) {
                    Some(other) if other != number => Err(shared(&folders[other], &folders[number], &benchmark, &id)),
                    _ => Ok(()),
                }
            })?;
        }
    }
    Ok(())
}

fn shared(first: &Path, second: &Path, benchmark: &str, id: &str) -> Error {
    let first = first.display();
    let problem = format!(
        "question {id} of {benchmark} has an answer in {first}, and another one here\nhint: name one of the two: a score would count it twice"
    );
    CoreError::input(second, problem).into()
}

/// What two runs differ in that decides how their questions were asked.
fn difference(one: &RunRecord, other: &RunRecord) -> Option<String> {
    let made_by = |record: &RunRecord| format!("{} {}", record.tool, record.command);
    if made_by(one) != made_by(other) {
        return Some(format!("by {} and not by {}", made_by(other), made_by(one)));
    }
    if one.models != other.models {
        return Some("by another model".to_owned());
    }
    let names: BTreeSet<&String> = one.config.keys().chain(other.config.keys()).collect();
    let is_different =
        |name: &&&String| !OWN_SETTINGS.contains(&name.as_str()) && one.config.get(**name) != other.config.get(**name);
    names.iter().find(is_different).map(|name| {
        let value = |record: &RunRecord| record.config.get(*name).unwrap_or(&Value::Null).to_string();
        format!("`{name}` is {} and not {}", value(other), value(one))
    })
}

/// The record of all runs: of what they do not share, the values in the order of the runs.
pub(super) fn joined(mut records: Vec<RunRecord>) -> RunRecord {
    if records.len() < 2 {
        return records.pop().unwrap_or_default();
    }
    let texts = |of: fn(&RunRecord) -> &String| {
        let mut texts: Vec<&str> = records.iter().map(|record| of(record).as_str()).collect();
        texts.dedup();
        texts.join(" ")
    };
    let (version, config_hash) = (texts(|record| &record.version), texts(|record| &record.config_hash));
    let inputs = records.iter().flat_map(|record| record.inputs.clone()).collect();
    let mut config = records[0].config.clone();
    for name in OWN_SETTINGS {
        let values: Vec<Value> = records.iter().filter_map(|record| record.config.get(name).cloned()).collect();
        if values.windows(2).any(|pair| pair[0] != pair[1]) {
            config.insert(name.to_owned(), Value::Array(values));
        }
    }
    RunRecord { version, config_hash, inputs, config, ..records.swap_remove(0) }
}
