//! Questions of training shards, such as those that were held out from a training.

use std::collections::BTreeMap;
use std::path::Path;

use audsem_core::clips::{Description, clip_of_question};
use audsem_core::error::Error as CoreError;
use audsem_core::json::read_object;
use audsem_core::records::{Question, text_of};
use audsem_core::tar::{SampleReader, tars_under};
use serde_json::{Map, Value};

use super::benchmark::BenchmarkItems;
use super::{AnswerKind, EvaluationItem};
use crate::error::Error;

/// Adds the questions of a shard, or of all in a folder. A sample that holds none is told.
pub(super) fn read(path: &Path, into: &mut BenchmarkItems) -> Result<(), Error> {
    for tar in tars_under(path)? {
        let unreadable = |error: audsem_core::tar::TarError| CoreError::input(&tar, error.to_string());
        let mut samples = SampleReader::open(&tar).map_err(unreadable)?;
        while let Some(mut sample) = samples.next_sample().map_err(unreadable)? {
            let Some(json) = sample.take("json") else {
                into.notes.push(format!("{}: `{}` is left out: it has no JSON", tar.display(), sample.key));
                continue;
            };
            let clip = clip_of_question(&Description::parse(&json).clip_key(&sample.key)).to_owned();
            match read_object(&json) {
                Ok(object) => add(&sample.key, &clip, &object.value, into),
                Err(error) => into.notes.push(format!("{}: `{}` is left out: {error}", tar.display(), sample.key)),
            }
        }
        into.files.push(tar);
    }
    Ok(())
}

/// Adds the question of a sample, or each of its pairs.
fn add(key: &str, clip: &str, fields: &Map<String, Value>, into: &mut BenchmarkItems) {
    let pairs = fields.get("qa_pairs").and_then(Value::as_array).filter(|_| !fields.contains_key("question"));
    let pairs: Vec<(String, Option<&Map<String, Value>>)> = match pairs {
        None => vec![(key.to_owned(), Some(fields))],
        Some(pairs) => pairs.iter().enumerate().map(|(n, pair)| (format!("{key}#{n}"), pair.as_object())).collect(),
    };
    for (id, pair) in pairs {
        let read = pair.ok_or_else(|| "it is no object".to_owned()).and_then(|pair| item(&id, clip, pair));
        match read {
            Ok(item) => into.items.push(item),
            Err(problem) => into.notes.push(format!("`{id}` is left out: {problem}")),
        }
    }
}

fn item(id: &str, clip: &str, pair: &Map<String, Value>) -> Result<EvaluationItem, String> {
    let text = |name: &str| match text_of(pair, name).map(str::trim) {
        Ok("") => Err(format!("its `{name}` is empty")),
        Ok(text) => Ok(text.to_owned()),
        Err(fault) => Err(fault.detail),
    };
    let (question, answer) = (text("question")?, text("answer")?);
    let with_options = Question::read(pair).ok();
    let (kind, choices, question, answer) = match with_options {
        Some(read) => {
            let right = read.choices.find(&answer).map_err(|fault| fault.detail)?;
            let right = right.text.clone();
            (AnswerKind::Choice, read.choices.iter().map(|choice| choice.text.clone()).collect(), read.stem, right)
        }
        // A caption record carries its text along.
        None if pair.contains_key("caption") => (AnswerKind::Caption, Vec::new(), question, answer),
        None => (AnswerKind::Open, Vec::new(), question, answer),
    };
    Ok(EvaluationItem {
        benchmark: "shards".to_owned(),
        id: id.to_owned(),
        kind,
        sounds: vec![clip.to_owned()],
        question,
        choices,
        references: vec![answer],
        groups: BTreeMap::new(),
        published: Map::new(),
    })
}
