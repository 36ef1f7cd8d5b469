//! Answers in the files that other programs write.

use std::path::Path;

use audsem_core::error::Error as CoreError;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::item::{EvaluationItem, records};

/// The fields that answers stand in: those of MMAU's scorer, of its older versions and of the published scripts, and that of
/// MMAR.
const FIELDS: [&str; 4] = ["model_output", "model_prediction", "prediction", "answer_prediction"];

/// The fields that name a question.
const IDS: [&str; 2] = ["id", "uniq_id"];

/// What says which question an answer is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum QuestionName {
    /// Its id.
    Id(String),
    /// Its sound, and its right answer where that is told: records of evalscope have no ids.
    Sound { name: String, right: Option<String> },
}

impl QuestionName {
    /// As people find it in the file.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Id(name) | Self::Sound { name, .. } => name,
        }
    }
}

/// An answer of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForeignAnswer {
    /// Its question.
    pub question: QuestionName,
    /// What the record says of its question, beside the name.
    pub asked: AskedText,
    /// All that was written.
    pub text: String,
}

/// The text of a question as a record repeats it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AskedText {
    question: Option<String>,
    choices: Option<Vec<String>>,
}

impl AskedText {
    fn of(record: &Map<String, Value>) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let list = |value: &Value| value.as_array()?.iter().map(text).collect::<Option<Vec<_>>>();
        Self {
            question: record.get("question").and_then(text),
            choices: record.get("choices").and_then(list).filter(|choices| !choices.is_empty()),
        }
    }

    /// Whether that may be this question: versions of a benchmark have other questions and options under the same ids. A
    /// record may hold the question within a prompt, its options in another order and behind letters, and may say nothing.
    pub(super) fn may_be(&self, item: &EvaluationItem) -> bool {
        let has_question = self.question.as_ref().is_none_or(|text| one_line(text).contains(&one_line(&item.question)));
        let is_one_of = |all: &[String], choice: &String| {
            let choice = one_line(choice);
            all.iter().any(|text| one_line(text).ends_with(&choice))
        };
        let has_choices = self.choices.as_ref().is_none_or(|all| {
            all.len() == item.choices.len() && item.choices.iter().all(|choice| is_one_of(all, choice))
        });
        has_question && has_choices
    }
}

/// A text with single blanks between its words.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A record of AudioBench, which tells nothing of its question but the right answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrderedAnswer {
    /// The right answer.
    pub reference: String,
    /// All that was written.
    pub text: Option<String>,
}

/// Reads predictions as AudioBench writes them: a list in the order of the rows. `None` where records have ids.
pub(super) fn read_ordered(path: &Path, field: Option<&str>) -> Result<Option<Vec<OrderedAnswer>>, Error> {
    let records = records(path)?;
    if records.iter().any(|record| id(record).is_some()) {
        return Ok(None);
    }
    let read = |(n, record): (usize, Map<String, Value>)| {
        let refuse =
            |problem: String| -> Error { CoreError::input(path, format!("record {}: {problem}", n + 1)).into() };
        let reference = text(record.get("reference")).map_err(refuse)?;
        let reference =
            reference.ok_or_else(|| refuse(format!("it has none of {}, and no `reference`", IDS.join(", "))))?;
        let found = match field {
            Some(name) => text(record.get(name)),
            None => answer(&record),
        };
        Ok(OrderedAnswer { reference, text: found.map_err(refuse)? })
    };
    records.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Some)
}

/// Reads the answers of a file: a list, or one object on each line; the object of MMAU's published scripts, whose list is called
/// `results`; the samples of lmms-eval; or the reviews of evalscope. A record without an answer gives none.
pub(super) fn read_answers(path: &Path, field: Option<&str>) -> Result<Vec<ForeignAnswer>, Error> {
    let mut found = Vec::new();
    let records = unpacked(records(path)?).map_err(|problem| CoreError::input(path, problem))?;
    for (n, record) in records.into_iter().enumerate() {
        let refuse = |problem: String| CoreError::input(path, format!("record {}: {problem}", n + 1));
        let doc = record.get("doc").and_then(Value::as_object);
        if let Some(review) = record.get("sample_score").and_then(Value::as_object) {
            found.push(reviewed(review).map_err(refuse)?);
            continue;
        }
        let asked = AskedText::of(doc.unwrap_or(&record));
        let id = id(doc.unwrap_or(&record)).ok_or_else(|| refuse(format!("it has none of {}", IDS.join(", "))))?;
        let text = match (field, doc) {
            (Some(name), _) => text(record.get(name)).map_err(refuse)?,
            (None, Some(_)) => only_text(record.get("resps")).map_err(refuse)?,
            (None, None) => answer(&record).map_err(refuse)?,
        };
        found.extend(text.map(|text| ForeignAnswer { question: QuestionName::Id(id), asked, text }));
    }
    if found.is_empty() {
        let problem =
            format!("it has no answer\nhint: answers stand in {}; name another field with --field", FIELDS.join(", "));
        return Err(CoreError::input(path, problem).into());
    }
    Ok(found)
}

/// The answer of a review of evalscope, which names the sound of its question.
fn reviewed(review: &Map<String, Value>) -> Result<ForeignAnswer, String> {
    let within = |object: &str, name: &str| text(review.get(object).and_then(|object| object.get(name)));
    let name = within("sample_metadata", "audio_id")?.ok_or("its `sample_metadata` has no `audio_id`")?;
    let text = within("score", "prediction")?.ok_or("its `score` has no `prediction`")?;
    let question = QuestionName::Sound { name, right: within("sample_metadata", "answer")? };
    Ok(ForeignAnswer { question, asked: AskedText::default(), text })
}

/// The records inside the object of the published scripts, `{"metrics": …, "results": […]}`.
fn unpacked(mut records: Vec<Map<String, Value>>) -> Result<Vec<Map<String, Value>>, String> {
    let list = match records.as_mut_slice() {
        [only] if only.contains_key("results") => only.remove("results"),
        _ => return Ok(records),
    };
    let Some(Value::Array(list)) = list else { return Err("`results` is no list".to_owned()) };
    let object = |(n, value)| match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(format!("`results[{n}]` is no object")),
    };
    list.into_iter().enumerate().map(object).collect()
}

fn id(record: &Map<String, Value>) -> Option<String> {
    IDS.into_iter().find_map(|name| match record.get(name)? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    })
}

/// The answer of a record, which may stand there under several names, as long as they agree.
fn answer(record: &Map<String, Value>) -> Result<Option<String>, String> {
    let mut found: Option<(&str, String)> = None;
    for name in FIELDS {
        let Some(text) = text(record.get(name))? else { continue };
        match &found {
            Some((first, other)) if *other != text => {
                return Err(format!("`{first}` and `{name}` are different answers: choose one with --field"));
            }
            Some(_) => {}
            None => found = Some((name, text)),
        }
    }
    Ok(found.map(|(_, text)| text))
}

fn text(value: Option<&Value>) -> Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err("its answer is no text".to_owned()),
    }
}

/// The only text inside lists, as lmms-eval keeps answers.
fn only_text(value: Option<&Value>) -> Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(list)) if list.len() == 1 => only_text(list.first()),
        Some(Value::Array(list)) => Err(format!("`resps` has {} answers, of which one is wanted", list.len())),
        Some(_) => Err("`resps` holds something that is no text".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_core::files::write_atomically;
    use serde_json::json;

    use super::*;

    fn read(content: &str, field: Option<&str>) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.json");
        write_atomically(&path, content.as_bytes()).unwrap();
        let answers = read_answers(&path, field).map_err(|error| error.to_string())?;
        Ok(answers.into_iter().map(|answer| (answer.question.text().to_owned(), answer.text)).collect())
    }

    #[test]
    fn answers_are_found_in_the_files_of_other_programs() {
        let expected = vec![("a".to_owned(), "A dog".to_owned())];
        let lmms = json!({ "doc_id": 3, "doc": { "id": "a", "answer": "A dog" }, "resps": [["A dog"]], "target": "A" });
        for content in [
            json!([{ "id": "a", "model_output": "A dog" }]).to_string(),
            json!({ "uniq_id": "a", "model_prediction": "A dog", "model_output": "A dog" }).to_string(),
            json!({ "id": "a", "answer_prediction": "A dog", "prediction": null }).to_string(),
            json!({ "metrics": {}, "results": [{ "id": "a", "prediction": "A dog", "match": 1 }] }).to_string(),
            // As the scripts write it, on many lines.
            format!(
                "\u{feff}{:#}",
                json!({ "metrics": {}, "results": [{ "id": "a", "prediction": "A dog", "match": 1 }] })
            ),
            format!("{lmms}\n"),
        ] {
            assert_eq!(read(&content, None).unwrap(), expected, "{content}");
        }
        let review = json!({ "index": 0, "target": "A", "sample_score": {
            "score": { "extracted_prediction": "A", "prediction": "A dog" },
            "sample_metadata": { "audio_id": "a", "answer": "A dog" } } });
        assert_eq!(read(&review.to_string(), None).unwrap(), expected);
        let own = json!([{ "id": "a", "said": "A dog", "model_output": "x" }, { "id": "b" }]).to_string();
        assert_eq!(read(&own, Some("said")).unwrap(), expected);
    }

    #[test]
    fn nothing_is_guessed() {
        for (content, expected) in [
            (
                json!([{ "id": "a", "model_output": "x", "prediction": "y" }]),
                "`model_output` and `prediction` are different",
            ),
            (json!([{ "model_output": "x" }]), "record 1: it has none of id, uniq_id"),
            (json!([{ "id": "a", "model_output": 3 }]), "its answer is no text"),
            (json!({ "doc": { "id": "a" }, "resps": [["x", "y"]] }), "`resps` has 2 answers"),
            (json!({ "results": [1] }), "`results[0]` is no object"),
            (
                json!([{ "sample_score": { "score": { "prediction": "x" } } }]),
                "its `sample_metadata` has no `audio_id`",
            ),
            (json!([{ "id": "a" }]), "answers.json\nhint: answers stand in model_output"),
        ] {
            let problem = read(&content.to_string(), None).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
