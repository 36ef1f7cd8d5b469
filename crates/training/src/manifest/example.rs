//! The examples that the JSON of a sample holds.

use audsem_core::json::{JsonError, read_object};
use audsem_core::records::{Choices, Question, type_name};
use audsem_core::run::{LeftOut, Outcome};
use serde_json::{Map, Value};

use super::Fault;
use crate::tables::NamedNumber;

/// The fields that training reads, all of them text.
const FIELDS: [&str; 4] = ["question", "thinking", "semantic_elements", "answer"];

/// The texts of an example, without blanks at either end. Absent ones are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExampleText {
    /// The question, with its choices if it has any.
    pub question: String,
    /// The reasoning.
    pub thinking: String,
    /// The semantic elements.
    pub semantic_elements: String,
    /// The answer.
    pub answer: String,
    /// The options of a question that has some.
    pub choices: Option<Choices>,
}

impl ExampleText {
    /// Reads the fields of a sample or of one of its pairs.
    ///
    /// # Errors
    /// A field is no string, or question or answer are empty.
    fn read(fields: &Map<String, Value>) -> Outcome<Self> {
        let [question, thinking, semantic_elements, answer] = FIELDS.map(|name| text(fields, name));
        let text = Self {
            question: question?,
            thinking: thinking?,
            semantic_elements: semantic_elements?,
            answer: answer?,
            choices: Question::read(fields).ok().map(|question| question.choices),
        };
        match () {
            () if text.question.is_empty() => Err(LeftOut::fail(Fault::NoQuestion, String::new())),
            () if text.answer.is_empty() => {
                let hint = match fields.contains_key("caption") {
                    true => {
                        "it has a `caption`: build the shards again with `audsem-tarify shards`, which writes `answer`"
                    }
                    false => "",
                };
                Err(LeftOut::fail(Fault::NoAnswer, hint.to_owned()))
            }
            () => Ok(text),
        }
    }

    /// Bytes of all texts together.
    pub(super) fn bytes(&self) -> usize {
        [&self.question, &self.thinking, &self.semantic_elements, &self.answer].map(String::len).iter().sum()
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Outcome<String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.trim().to_owned()),
        Some(other) => Err(LeftOut::fail(Fault::WrongType, format!("{name} is {}", type_name(other)))),
    }
}

/// An example of a sample: the number of its pair, its texts, and the numbers beside them.
pub(super) type NumberedExample = (Option<u32>, Outcome<(ExampleText, Vec<NamedNumber>)>);

/// Reads the examples of a sample's JSON: one, or one for each of its `qa_pairs` where it has no question of its own.
///
/// # Errors
/// The JSON is none.
pub(super) fn examples(json: &[u8]) -> Outcome<Vec<NumberedExample>> {
    let fields = object(json).map_err(|error| LeftOut::fail(Fault::BadJson, error.to_string()))?;
    let Some(pairs) = pairs(&fields) else {
        return Ok(vec![(None, ExampleText::read(&fields).map(|text| (text, numbers(&fields))))]);
    };
    let example = |(number, pair): (usize, &Value)| {
        let read = match pair {
            Value::Object(pair) => ExampleText::read(pair).map(|text| (text, numbers(pair))),
            other => Err(LeftOut::fail(Fault::WrongType, format!("qa_pairs[{number}] is {}", type_name(other)))),
        };
        (u32::try_from(number).ok(), read)
    };
    Ok(pairs.iter().enumerate().map(example).collect())
}

/// Reads the texts of one example from the JSON that a manifest points to.
///
/// # Errors
/// The JSON does not hold this example.
pub fn read_example(json: &[u8], pair: Option<u32>) -> Outcome<ExampleText> {
    let examples = examples(json)?;
    let found = examples.into_iter().find(|(number, _)| *number == pair);
    let absent = || {
        LeftOut::fail(
            Fault::BadJson,
            match pair {
                Some(number) => format!("there is no pair {number}"),
                None => "its text is no example by itself".to_owned(),
            },
        )
    };
    found.ok_or_else(absent)?.1.map(|(text, _)| text)
}

fn object(json: &[u8]) -> Result<Map<String, Value>, JsonError> {
    Ok(read_object(json)?.value)
}

/// The pairs of a sample of several; a caption may carry the pairs of its record along, and has a question of its own.
fn pairs(fields: &Map<String, Value>) -> Option<&Vec<Value>> {
    match fields.get("qa_pairs") {
        Some(Value::Array(pairs)) if !fields.contains_key("question") => Some(pairs),
        _ => None,
    }
}

/// The numeric fields of an object, in its order.
fn numbers(fields: &Map<String, Value>) -> Vec<NamedNumber> {
    let number = |(name, value): (&String, &Value)| Some(NamedNumber { name: name.clone(), value: value.as_f64()? });
    fields.iter().filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reasons(json: &str) -> Vec<&'static str> {
        match examples(json.as_bytes()) {
            Err(left_out) => vec![left_out.reason()],
            Ok(examples) => {
                let reason = |(_, read): &NumberedExample| read.as_ref().err().map_or("kept", |left| left.reason());
                examples.iter().map(reason).collect()
            }
        }
    }

    #[test]
    fn what_cannot_be_learned_from_has_a_reason() {
        for (json, expected) in [
            (r#"{"question": "q", "thinking": "t", "answer": "a"}"#, vec!["kept"]),
            (r#"{"question": "q", "answer": "a", "thinking": null}"#, vec!["kept"]),
            (r#"{"question": "q", "answer": " "}"#, vec!["no_answer"]),
            (r#"{"question": "q", "caption": "rain"}"#, vec!["no_answer"]),
            (r#"{"answer": "a"}"#, vec!["no_question"]),
            (r#"{"question": 7, "answer": "a"}"#, vec!["wrong_type"]),
            (r#"{"question": "q", "answer": ["a"]}"#, vec!["wrong_type"]),
            (
                r#"{"qa_pairs": [{"question": "q", "answer": "a"}, 7, {"question": "q"}]}"#,
                vec!["kept", "wrong_type", "no_answer"],
            ),
            (r#"{"question": "q", "answer": "a", "qa_pairs": [7]}"#, vec!["kept"]),
            (r#"{"qa_pairs": []}"#, vec![]),
            ("[1]", vec!["bad_json"]),
            ("{", vec!["bad_json"]),
        ] {
            assert_eq!(reasons(json), expected, "{json}");
        }
        assert_eq!(examples(b"{\"question\": \"\xff\"}").unwrap_err().reason(), "bad_json", "not UTF-8");
    }

    #[test]
    fn one_example_of_several_is_found_by_its_number() {
        let json = br#"{"qa_pairs": [{"question": "a?", "answer": "a", "difficulty": 0.5}, {"question": "b?", "answer": " b\n"}]}"#;
        let text = read_example(json, Some(1)).unwrap();
        assert_eq!((text.question.as_str(), text.answer.as_str(), text.thinking.as_str()), ("b?", "b", ""));
        assert!(read_example(json, None).is_err() && read_example(json, Some(2)).is_err());
        let (_, first) = &examples(json).unwrap()[0];
        assert_eq!(first.as_ref().unwrap().1, [NamedNumber { name: "difficulty".to_owned(), value: 0.5 }]);
    }
}
