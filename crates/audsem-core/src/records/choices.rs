//! Multiple-choice questions: their options in every form, and which of them an answer means.

use serde::Serialize;
use serde_json::{Map, Value};

use super::format::{RecordFault, Violation, clean, text_of, type_name};
use crate::terminal::counted;

/// The line between a question and its options.
const HEADING: &str = "Choices:";

/// The letters of options in a list.
const LETTERS: std::ops::RangeInclusive<char> = 'A'..='Z';

/// One option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// What names it, `A`, `B`, ….
    pub letter: String,
    /// Text of the option.
    pub text: String,
}

impl Choice {
    /// The form that answers have: `A. A dog`.
    pub fn answer(&self) -> String {
        format!("{}. {}", self.letter, self.text)
    }
}

/// Two or more options with different letters, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Choices(Vec<Choice>);

impl Choices {
    /// The options of the field `choices`: an object letter → text, a list of texts, or either as text. Null stands
    /// for an option that is not there, as tables have where another question has more.
    ///
    /// # Errors
    /// [`Violation::FewChoices`] for fewer than two, [`Violation::WrongType`] for anything else.
    pub fn from_value(value: &Value) -> Result<Self, RecordFault> {
        let there = |(letter, text): (String, &Value)| {
            let text = match text {
                Value::Null => return None,
                Value::String(text) => clean(text),
                other => {
                    let detail = format!("choice {letter} is {}, not a string", type_name(other));
                    return Some(Err(RecordFault::new(Violation::WrongType, detail)));
                }
            };
            if text.is_empty() {
                let detail = format!("choice {letter} is empty");
                return Some(Err(RecordFault::new(Violation::WrongType, detail)));
            }
            Some(Ok(Choice { letter: clean(&letter), text }))
        };
        match value {
            Value::Object(choices) => {
                let choices = choices.iter().map(|(letter, text)| (letter.clone(), text));
                Self::new(choices.filter_map(there).collect::<Result<_, _>>()?)
            }
            Value::Array(texts) if texts.len() > LETTERS.count() => {
                Err(RecordFault::new(Violation::WrongType, format!("{} choices, but only 26 letters", texts.len())))
            }
            Value::Array(texts) => {
                let choices = LETTERS.map(String::from).zip(texts);
                Self::new(choices.filter_map(there).collect::<Result<_, _>>()?)
            }
            Value::String(text) => match serde_json::from_str(text) {
                Ok(value @ (Value::Array(_) | Value::Object(_))) => Self::from_value(&value),
                _ => Self::new(written_out(text)),
            },
            Value::Null => Self::new(Vec::new()),
            other => {
                let detail = format!("choices is {}, not an object or a list", type_name(other));
                Err(RecordFault::new(Violation::WrongType, detail))
            }
        }
    }

    fn new(choices: Vec<Choice>) -> Result<Self, RecordFault> {
        if choices.len() < 2 {
            return Err(RecordFault::new(Violation::FewChoices, counted(choices.len(), "choices")));
        }
        for (number, choice) in choices.iter().enumerate() {
            if choices[..number].iter().any(|earlier| earlier.letter.eq_ignore_ascii_case(&choice.letter)) {
                let detail = format!("two choices have the letter {}", choice.letter);
                return Err(RecordFault::new(Violation::WrongType, detail));
            }
        }
        Ok(Self(choices))
    }

    /// The options in order.
    pub fn iter(&self) -> impl Iterator<Item = &Choice> {
        self.0.iter()
    }

    /// The options as an object letter → text.
    pub fn to_value(&self) -> Value {
        Value::Object(self.iter().map(|choice| (choice.letter.clone(), choice.text.as_str().into())).collect())
    }

    /// The option that an answer means: `A. A dog`, `A) A dog`, the letter alone, or the text alone. Case and a final full
    /// stop are ignored. If a letter precedes a text, the text must be that of the letter.
    ///
    /// # Errors
    /// [`Violation::AnswerNotAmongChoices`] if it means no option, or could mean several.
    pub fn find(&self, answer: &str) -> Result<&Choice, RecordFault> {
        let exact = clean(answer);
        if let Some(choice) = self.iter().find(|choice| choice.answer() == exact) {
            return Ok(choice);
        }
        let answer = plain(answer);
        let letter_and_text = |choice: &&Choice| {
            [". ", ") ", ": "].iter().any(|mark| {
                answer == format!("{}{mark}{}", choice.letter.to_lowercase(), plain(&choice.text))
                    || answer == format!("({}{mark}{}", choice.letter.to_lowercase(), plain(&choice.text))
            })
        };
        if let Some(choice) = self.iter().find(letter_and_text) {
            return Ok(choice);
        }
        let by_text = self.iter().filter(|choice| plain(&choice.text) == answer);
        let letter = answer.trim_start_matches('(').trim_end_matches([')', ':']);
        let by_letter = self.iter().filter(|choice| choice.letter.to_lowercase() == letter);
        let mut found: Vec<&Choice> = by_text.chain(by_letter).collect();
        found.dedup();
        match found.as_slice() {
            [one] => Ok(one),
            [] => {
                Err(RecordFault::new(Violation::AnswerNotAmongChoices, format!("{answer:?} is not one of the choices")))
            }
            several => {
                let detail = format!("{answer:?} could be {} choices", several.len());
                Err(RecordFault::new(Violation::AnswerNotAmongChoices, detail))
            }
        }
    }
}

/// A text as answers are compared: lower case, single blanks, no full stop at its end.
pub fn plain(text: &str) -> String {
    let text = clean(text).to_lowercase();
    text.trim_end_matches(['.', ' ']).to_owned()
}

/// A question without its options, and the options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The bare question.
    pub stem: String,
    /// The options.
    pub choices: Choices,
}

impl Question {
    /// Reads `question` and `choices` of a pair.
    ///
    /// The options stand in the field `choices` or at the end of the question below a line `Choices:`; the field wins when
    /// both are there. Reading a question that was already put together gives the same again, so nothing is added twice.
    ///
    /// # Errors
    /// As [`text_of`] and [`Choices::from_value`].
    pub fn read(pair: &Map<String, Value>) -> Result<Self, RecordFault> {
        let text = text_of(pair, "question")?;
        let (stem, embedded) = match text.rfind(HEADING) {
            Some(at) => (&text[..at], written_out(&text[at + HEADING.len()..])),
            None => (text, Vec::new()),
        };
        // The heading may be a word of the question: it is only cut off if options follow.
        let stem = clean(if embedded.len() < 2 { text } else { stem });
        let choices = match pair.get("choices") {
            None | Some(Value::Null) => Choices::new(embedded)?,
            Some(value) => Choices::from_value(value)?,
        };
        Ok(Self { stem, choices })
    }

    /// The form that training reads: the question, the heading and one line per option.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{HEADING}", self.stem);
        for choice in self.choices.iter() {
            text.push('\n');
            text.push_str(&choice.answer());
        }
        text
    }
}

/// Reads `A. … B. …`: one option per line, or, when the lines do not say so, all in one. Options without text are ignored.
fn written_out(text: &str) -> Vec<Choice> {
    let by_line = split_at_letters(text, |before| before.is_empty() || before.ends_with('\n'));
    if by_line.len() >= 2 {
        return by_line;
    }
    split_at_letters(text, |before| before.is_empty() || before.ends_with(char::is_whitespace))
}

fn split_at_letters(text: &str, is_start: impl Fn(&str) -> bool) -> Vec<Choice> {
    // Letter, where its mark begins, and where its text does.
    let mut starts: Vec<(char, usize, usize)> = Vec::new();
    let mut from = 0;
    for letter in LETTERS {
        let marks = [format!("({letter}) "), format!("{letter}. "), format!("{letter}) ")];
        let found = marks.iter().filter_map(|mark| {
            let mut places = text[from..].match_indices(mark.as_str()).map(|(at, _)| from + at);
            places.find(|&at| is_start(&text[..at])).map(|at| (at, at + mark.len()))
        });
        let Some((at, end)) = found.min() else { break };
        starts.push((letter, at, end));
        from = end;
    }
    let ends = starts.iter().skip(1).map(|&(_, at, _)| at).chain([text.len()]);
    let choice = |(&(letter, _, from), end): (&(char, usize, usize), usize)| Choice {
        letter: letter.to_string(),
        text: clean(&text[from..end]),
    };
    starts.iter().zip(ends).map(choice).take_while(|choice| !choice.text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(pair: Value) -> Result<Question, RecordFault> {
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
    fn options_may_be_text_and_a_heading_may_be_a_word() {
        for choices in [
            "(A) A dog (B) A door",
            "A. A dog\nB. A door",
            r#"["A dog", "A door"]"#,
            r#"{"A": "A dog", "B": "A door"}"#,
        ] {
            let pair = serde_json::json!({"question": "Choices: what are they here?", "choices": choices});
            assert_eq!(
                read(pair).unwrap().text(),
                "Choices: what are they here?\nChoices:\nA. A dog\nB. A door",
                "{choices}"
            );
        }
    }

    #[test]
    fn an_answer_means_one_choice_or_none() {
        let choices = serde_json::json!({"A": "A dog.", "B": "A door", "C": "B", "D": "a DOOR"});
        let choices = Choices::from_value(&choices).unwrap();
        for (answer, letter) in [
            ("A. A dog.", Some("A")),
            ("a) a  dog", Some("A")),
            ("(A) A dog", Some("A")),
            ("A: A dog", Some("A")),
            ("A", Some("A")),
            ("(A)", Some("A")),
            ("A.", Some("A")),
            ("a dog", Some("A")),
            ("D. A door", Some("D")),
            ("C. B", Some("C")),
            ("A. A door", None),
            ("A door", None),
            ("B", None),
            ("E", None),
            ("dog", None),
            ("Because it barks", None),
            ("", None),
        ] {
            let found = choices.find(answer).map(|choice| choice.letter.as_str());
            assert_eq!(found.as_ref().ok().copied(), letter, "{answer}: {found:?}");
            if letter.is_none() {
                assert_eq!(found.unwrap_err().violation, Violation::AnswerNotAmongChoices);
            }
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
        let many: Vec<String> = (0..27).map(|n| n.to_string()).collect();
        for (pair, violation) in [
            (serde_json::json!({"question": "What barks?"}), Violation::FewChoices),
            (serde_json::json!({"question": "What?", "choices": {"A": "x"}}), Violation::FewChoices),
            (serde_json::json!({"question": "What?", "choices": {"A": "x", "B": null}}), Violation::FewChoices),
            (serde_json::json!({"question": "What?", "choices": "A"}), Violation::FewChoices),
            (serde_json::json!({"choices": {"A": "x", "B": "y"}}), Violation::Missing),
            (serde_json::json!({"question": "What?", "choices": {"A": 1, "B": "y"}}), Violation::WrongType),
            (serde_json::json!({"question": "What?", "choices": {"A": "x", "B": " "}}), Violation::WrongType),
            (serde_json::json!({"question": "What?", "choices": {"A": "x", "a ": "y"}}), Violation::WrongType),
            (serde_json::json!({"question": "What?", "choices": many}), Violation::WrongType),
            (serde_json::json!({"question": "What?", "choices": 7}), Violation::WrongType),
        ] {
            assert_eq!(read(pair.clone()).unwrap_err().violation, violation, "{pair}");
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
                assert_eq!(again.choices, read.choices);
                for choice in read.choices.iter() {
                    assert_eq!(read.choices.find(&choice.answer()), Ok(choice));
                }
            }
        }
    }
}
