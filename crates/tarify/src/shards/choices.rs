//! The options of a multiple-choice question, from either place they are found in.

use serde::Serialize;
use serde_json::{Map, Value};

use super::reason::{DropReason, Fault};
use super::text::{LeftOut, clean, raw_field, type_name};

/// The line between a question and its options.
const HEADING: &str = "Choices:";

/// One option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// What names it, `A`, `B`, ….
    pub letter: String,
    /// What it says.
    pub text: String,
}

/// A question without its options, and the options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The bare question.
    pub stem: String,
    /// Two or more options in order.
    pub choices: Vec<Choice>,
}

impl Question {
    /// Reads `question` and `choices` of a pair.
    ///
    /// The options stand in the field `choices` (an object letter → text, or a list) or at the end
    /// of the question below a line `Choices:`; the field wins when both are there. Reading a
    /// question that was already put together gives the same again, so nothing is added twice.
    ///
    /// # Errors
    /// [`DropReason::NoChoices`] for fewer than two options, and as [`raw_field`].
    pub fn read(pair: &Map<String, Value>) -> Result<Self, LeftOut> {
        let text = raw_field(pair, "question")?;
        let (stem, embedded) = match text.rfind(HEADING) {
            Some(at) => (&text[..at], embedded_choices(&text[at + HEADING.len()..])),
            None => (text, Vec::new()),
        };
        let choices = match pair.get("choices") {
            None | Some(Value::Null) => embedded,
            Some(value) => field_choices(value)?,
        };
        if choices.len() < 2 {
            return Err((DropReason::NoChoices.into(), format!("{} choices", choices.len())));
        }
        Ok(Self { stem: clean(stem), choices })
    }

    /// The form that training reads: the question, the heading and one line per option.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{HEADING}", self.stem);
        for choice in &self.choices {
            text.push_str(&format!("\n{}. {}", choice.letter, choice.text));
        }
        text
    }
}

fn field_choices(value: &Value) -> Result<Vec<Choice>, LeftOut> {
    let choice = |letter: &str, text: &Value| match text {
        Value::String(text) => Ok(Choice { letter: clean(letter), text: clean(text) }),
        other => Err((Fault::WrongType.into(), format!("choice {letter} is {}, not a string", type_name(other)))),
    };
    match value {
        Value::Object(choices) => choices.iter().map(|(letter, text)| choice(letter, text)).collect(),
        Value::Array(texts) => ('A'..='Z').zip(texts).map(|(l, text)| choice(&l.to_string(), text)).collect(),
        other => Err((Fault::WrongType.into(), format!("choices is {}, not an object or a list", type_name(other)))),
    }
}

/// Reads `A. … B. …`: one option per line, or, when the lines do not say so, all in one.
fn embedded_choices(text: &str) -> Vec<Choice> {
    let by_line = split_at_letters(text, |before| before.is_empty() || before.ends_with('\n'));
    if by_line.len() >= 2 {
        return by_line;
    }
    split_at_letters(text, |before| before.is_empty() || before.ends_with(char::is_whitespace))
}

fn split_at_letters(text: &str, is_start: impl Fn(&str) -> bool) -> Vec<Choice> {
    let mut starts = Vec::new();
    let mut from = 0;
    for letter in 'A'..='Z' {
        let found = [". ", ") "].iter().filter_map(|mark| {
            let marker = format!("{letter}{mark}");
            text[from..].match_indices(&marker).map(|(at, _)| from + at).find(|&at| is_start(&text[..at]))
        });
        let Some(at) = found.min() else { break };
        starts.push((letter, at));
        from = at + 3;
    }
    let ends = starts.iter().skip(1).map(|&(_, at)| at).chain([text.len()]);
    let choice = |((letter, at), end): (&(char, usize), usize)| Choice {
        letter: letter.to_string(),
        text: clean(&text[at + 3..end]),
    };
    starts.iter().zip(ends).map(choice).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(pair: Value) -> Result<Question, LeftOut> {
        Question::read(pair.as_object().unwrap())
    }

    #[test]
    fn both_forms_of_options_read_alike() {
        let expected = "What barks?\nChoices:\nA. A dog\nB. A door";
        for pair in [
            serde_json::json!({"question": "What\nbarks?", "choices": {"A": "A dog", "B": "A\ndoor"}}),
            serde_json::json!({"question": "What barks?", "choices": ["A dog", "A door"]}),
            serde_json::json!({"question": "What barks?\nChoices:\nA. A dog\nB. A door"}),
            serde_json::json!({"question": "What barks? Choices: A. A dog B. A door"}),
            serde_json::json!({"question": "What barks?\nChoices:\nA) A dog\nB) A door\n", "choices": null}),
        ] {
            assert_eq!(read(pair.clone()).unwrap().text(), expected, "{pair}");
        }
    }

    #[test]
    fn t6_options_are_never_added_twice() {
        let pair = serde_json::json!({"question": "What barks?", "choices": {"A": "A dog", "B": "A door"}});
        let once = read(pair.clone()).unwrap().text();
        let mut again = pair;
        again["question"] = once.clone().into();
        assert_eq!(read(again).unwrap().text(), once);
    }

    #[test]
    fn an_initial_inside_an_option_is_no_new_option() {
        let text = "Who?\nChoices:\nA. J. B. Smith\nB. Nobody";
        assert_eq!(read(serde_json::json!({"question": text})).unwrap().text(), text);
    }

    #[test]
    fn fewer_than_two_options_or_other_types_are_rejected() {
        for (pair, cause) in [
            (serde_json::json!({"question": "What barks?"}), DropReason::NoChoices.into()),
            (serde_json::json!({"question": "What?", "choices": {"A": "x"}}), DropReason::NoChoices.into()),
            (serde_json::json!({"choices": {"A": "x", "B": "y"}}), DropReason::MissingField.into()),
            (serde_json::json!({"question": "What?", "choices": {"A": 1, "B": "y"}}), Fault::WrongType.into()),
            (serde_json::json!({"question": "What?", "choices": "A"}), Fault::WrongType.into()),
        ] {
            assert_eq!(read(pair.clone()).unwrap_err().0, cause, "{pair}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(10_000))]

        /// What a question was made into reads back as the same question.
        #[test]
        fn any_text_is_read_and_reading_twice_changes_nothing(
            question in "([A-E][.)] ?|Choices:|\\PC{0,6}|[ \n]){0,12}",
            choices in proptest::option::of(proptest::collection::vec("([A-C][.)] |\\PC|\n){0,6}", 0..5)),
        ) {
            let pair = serde_json::json!({ "question": question, "choices": choices });
            if let Ok(read) = read(pair) {
                let _ = Question::read(serde_json::json!({ "question": read.text() }).as_object().unwrap());
                let again = serde_json::json!({
                    "question": read.text(),
                    "choices": read.choices.iter().map(|choice| choice.text.clone()).collect::<Vec<_>>(),
                });
                let again = Question::read(again.as_object().unwrap()).unwrap();
                assert_eq!(again.choices.len(), read.choices.len());
            }
        }
    }
}
