//! Completions as JSON lines: what `grpo` writes, and what other trainers can be made to write.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::json::read_object;
use audsem_core::records::{Choices, Question, text_of};
use serde_json::{Map, Value};

use super::RewardItem;
use crate::error::Error;

/// A completion that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRecord {
    /// Completions of one question in one step.
    pub group: String,
    /// File and line.
    pub place: String,
    /// The question.
    pub question: String,
    /// The options, where there are some.
    pub choices: Option<Choices>,
    /// The right answer or the reference caption.
    pub answer: String,
    /// Further reference captions.
    pub further_references: Vec<String>,
    /// What the model wrote.
    pub completion: String,
}

/// A line that is no completion: its place, and what is wrong.
pub(super) type UnreadableLine = (String, String);

impl CompletionRecord {
    /// The completion as rewards see it.
    pub fn item(&self) -> RewardItem<'_> {
        RewardItem {
            key: &self.group,
            question: &self.question,
            choices: self.choices.as_ref(),
            answer: &self.answer,
            further_references: &self.further_references,
            completion: &self.completion,
        }
    }

    fn read(place: &str, record: &Map<String, Value>) -> Result<Self, String> {
        let text = |name: &str| text_of(record, name).map(str::to_owned).map_err(|fault| fault.detail);
        let optional = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
        // Completions of one question at different steps come from different policies.
        let key = text("key")?;
        let group = match record.get("step") {
            Some(step) if !step.is_null() => format!("{key} at step {step}"),
            _ => key,
        };
        let choices = match record.get("choices") {
            Some(value) if !value.is_null() => Some(Choices::from_value(value).map_err(|fault| fault.detail)?),
            // Options may stand in the question; one without options is an open one.
            _ => Question::read(record).ok().map(|question| question.choices),
        };
        let further = record.get("further_references").and_then(Value::as_array).into_iter().flatten();
        Ok(Self {
            group,
            place: place.to_owned(),
            question: optional("question").to_owned(),
            choices,
            answer: text("answer")?,
            further_references: further.filter_map(Value::as_str).map(str::to_owned).collect(),
            completion: text("completion")?,
        })
    }
}

/// Reads files of completions; lines that are none are returned beside them.
///
/// # Errors
/// A file cannot be read, or there is no completion in all of them.
pub fn read_completions(paths: &[PathBuf]) -> Result<(Vec<CompletionRecord>, Vec<UnreadableLine>), Error> {
    let (mut records, mut unreadable) = (Vec::new(), Vec::new());
    for path in paths {
        read_file(path, &mut records, &mut unreadable)?;
    }
    if records.is_empty() {
        let path = paths.first().map(PathBuf::as_path).unwrap_or(Path::new(""));
        let why = unreadable.first().map_or_else(String::new, |(place, why)| format!(" ({place}: {why})"));
        return Err(CoreError::input(path, format!("no line is a completion{why}")).into());
    }
    Ok((records, unreadable))
}

fn read_file(
    path: &Path,
    records: &mut Vec<CompletionRecord>,
    unreadable: &mut Vec<UnreadableLine>,
) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for (number, line) in BufReader::new(input::open(path)?).split(b'\n').enumerate() {
        let line = line.map_err(CoreError::read(path))?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = format!("{name}:{}", number + 1);
        let record = read_object(&line).map_err(|error| error.to_string());
        match record.and_then(|read| CompletionRecord::read(&place, &read.value)) {
            Ok(record) => records.push(record),
            Err(why) => unreadable.push((place, why)),
        }
    }
    Ok(())
}
