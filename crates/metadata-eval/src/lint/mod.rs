//! Faults in captions and questions that are already written, whoever wrote them: any JSONL of records.
//!
//! Nothing is changed or left out; the report counts each fault and shows examples.

mod duplicates;
mod form;
mod report;
mod shifted;
mod speech;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use audsem_core::clips::clip_key;
use audsem_core::tables::read_parquet;
use serde_json::{Map, Value};

pub use report::{LintReport, Problem, RuleCount};

use crate::error::Error;
use crate::parquet::parquet_under;
use crate::record_files::{files_under_all, for_each_record};
use crate::tables::ClipMetadata;
use crate::write::TABLE_HINT;
use crate::write::metadata::Evidence;
use crate::write::words::faults_of;
use duplicates::Duplicates;
use form::Form;

/// Settings of `lint`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Files of records, folders of them, or run folders.
    pub records: Vec<PathBuf>,
    /// What is known about the clips: finds texts that belong to another clip.
    pub clips: Option<PathBuf>,
    /// Examples shown of each fault.
    pub examples: usize,
}

/// A text of a record, and where it stands.
struct Text<'a> {
    field: &'static str,
    text: &'a str,
}

/// Reads all records and reports.
///
/// # Errors
/// A file cannot be read. A line that is no record is a fault of the data, which the report counts.
pub fn run(config: &Config) -> Result<LintReport, Error> {
    let clips = config.clips.as_deref().map(known_clips).transpose()?;
    let mut lint = Lint { report: LintReport::new(config.examples), ..Lint::default() };
    for file in files_under_all(&config.records)? {
        lint.read(&file, clips.as_ref())?;
    }
    lint.form.add_to(&mut lint.report);
    shifted::judge(&lint.pairs, &mut lint.report);
    Ok(lint.report)
}

fn known_clips(path: &Path) -> Result<HashMap<String, Evidence>, Error> {
    let mut clips = HashMap::new();
    for table in parquet_under(path, TABLE_HINT)? {
        let rows: Vec<ClipMetadata> = read_parquet(&table)?;
        clips.extend(rows.iter().map(|row| (clip_key(&row.key), Evidence::of(row))));
    }
    Ok(clips)
}

#[derive(Default)]
struct Lint<'a> {
    report: LintReport,
    duplicates: Duplicates,
    form: Form,
    /// Texts with the clip each names, in order.
    pairs: Vec<(String, Option<&'a Evidence>)>,
}

impl<'a> Lint<'a> {
    fn read(&mut self, path: &Path, clips: Option<&'a HashMap<String, Evidence>>) -> Result<(), Error> {
        for_each_record(path, |place, record| {
            self.report.records += 1;
            match record {
                Ok(record) => self.record(place, &record, clips),
                Err(problem) => self.report.add(Problem::Unreadable, place, &problem),
            }
        })
    }

    fn record(&mut self, place: &str, record: &Map<String, Value>, clips: Option<&'a HashMap<String, Evidence>>) {
        let Some(key) = record.get("file_name").and_then(Value::as_str) else {
            return self.report.add(Problem::Unreadable, place, "no field file_name");
        };
        let clip = clips.and_then(|clips| clips.get(&clip_key(key)));
        if clips.is_some() && clip.is_none() {
            self.report.add(Problem::UnknownClip, place, key);
        }
        let mut said = String::new();
        let pairs = record.get("qa_pairs").and_then(Value::as_array);
        for item in pairs.map_or_else(|| vec![record], |pairs| pairs.iter().filter_map(Value::as_object).collect()) {
            for Text { field, text } in texts_of(item) {
                self.report.texts += 1;
                self.wording(place, field, text);
                if field == "caption" || field == "answer" {
                    said.push_str(text);
                    said.push('\n');
                }
            }
            self.duplicates.see(place, item, &mut self.report);
            self.form.see(place, item, &mut self.report);
        }
        if said.is_empty() {
            self.report.add(Problem::Unreadable, place, "neither caption nor qa_pairs nor answer");
        }
        self.pairs.push((said, clip));
    }

    fn wording(&mut self, place: &str, field: &'static str, text: &str) {
        if text.trim().is_empty() {
            return self.report.add(Problem::Empty, place, field);
        }
        for (wording, words) in faults_of(text) {
            self.report.add(Problem::Wording(wording), place, &format!("{field}: {words}"));
        }
        if let Some(quote) = speech::transcribed(text) {
            self.report.add(Problem::TranscribedSpeech, place, &format!("{field}: {quote}"));
        }
    }
}

/// The texts of a caption or a pair.
fn texts_of(item: &Map<String, Value>) -> Vec<Text<'_>> {
    let fields = ["caption", "question", "thinking", "semantic_elements", "answer"];
    fields.iter().filter_map(|field| item.get(*field)?.as_str().map(|text| Text { field, text })).collect()
}

#[cfg(test)]
mod tests;
