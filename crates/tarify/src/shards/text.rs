//! Reading and judging the text fields of a record.

use serde::Serialize;
use serde_json::{Map, Value};

use super::reason::{Cause, DropReason, Fault};

/// Substrings that betray the data a language model was shown; text that has one speaks of that
/// data instead of the sound.
pub(super) const OMIT_PHRASES: [&str; 4] =
    ["original caption", "original data", "original description", "original title"];

/// What text must be like to be used.
#[derive(Debug, Clone, Serialize, serde::Deserialize, PartialEq, Eq)]
pub struct TextLimits {
    /// Most words of a caption, split at white space; `None` for no limit.
    pub max_words: Option<usize>,
    /// Fewest characters of a caption, question, thinking or list of semantic elements.
    pub min_chars: usize,
    /// Fewest characters of the answer of a pair.
    pub min_answer_chars: usize,
    /// Substrings, case-sensitive, that no used field may hold.
    pub omit_phrases: Vec<String>,
}

/// Why a record or pair is left out, with what the reject file says about it.
pub(super) type LeftOut = (Cause, String);

/// Every run of white space becomes one blank, none at either end. Deleting line breaks, as some
/// packers do, joins the words on both sides.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !cleaned.is_empty() {
            cleaned.push(' ');
        }
        cleaned.push_str(word);
    }
    cleaned
}

/// The raw text of a field.
///
/// # Errors
/// [`DropReason::MissingField`] when it is absent or null, [`Fault::WrongType`] when it is no string.
pub(super) fn raw_field<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, LeftOut> {
    match object.get(name) {
        None | Some(Value::Null) => Err((DropReason::MissingField.into(), name.to_owned())),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err((Fault::WrongType.into(), format!("{name} is {}, not a string", type_name(other)))),
    }
}

/// The cleaned text of a field.
///
/// # Errors
/// As [`raw_field`].
pub(super) fn field(object: &Map<String, Value>, name: &str) -> Result<String, LeftOut> {
    raw_field(object, name).map(clean)
}

/// What kind of JSON value this is, for messages.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl TextLimits {
    /// # Errors
    /// [`DropReason::CaptionLong`].
    pub fn check_words(&self, caption: &str) -> Result<(), LeftOut> {
        let words = caption.split_whitespace().count();
        match self.max_words {
            Some(most) if words > most => Err((DropReason::CaptionLong.into(), format!("{words} words"))),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// The given reason when `text` has fewer characters (Unicode scalar values) than `min_chars`.
    pub fn check_chars(&self, text: &str, short: DropReason) -> Result<(), LeftOut> {
        at_least(text, self.min_chars, short)
    }

    /// # Errors
    /// [`DropReason::AnswerShort`].
    pub fn check_answer(&self, answer: &str) -> Result<(), LeftOut> {
        at_least(answer, self.min_answer_chars, DropReason::AnswerShort)
    }

    /// # Errors
    /// [`DropReason::OmitPhrase`] for the first field that holds one.
    pub fn check_phrases(&self, fields: &[(&str, &str)]) -> Result<(), LeftOut> {
        for (name, text) in fields {
            for phrase in &self.omit_phrases {
                if text.contains(phrase.as_str()) {
                    return Err((DropReason::OmitPhrase.into(), format!("{phrase:?} in {name}")));
                }
            }
        }
        Ok(())
    }
}

fn at_least(text: &str, fewest: usize, short: DropReason) -> Result<(), LeftOut> {
    let chars = text.chars().count();
    if chars < fewest {
        return Err((short.into(), format!("{chars} characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn limits() -> TextLimits {
        TextLimits {
            max_words: Some(3),
            min_chars: 4,
            min_answer_chars: 2,
            omit_phrases: OMIT_PHRASES.map(str::to_owned).to_vec(),
        }
    }

    #[test]
    fn t3_line_breaks_become_blanks_instead_of_joining_words() {
        for (text, cleaned) in [
            ("A dog barks\nloudly", "A dog barks loudly"),
            (" a\r\n\r\n\tb  c\u{a0}d \n", "a b c d"),
            ("", ""),
            (" \n ", ""),
            ("unchanged", "unchanged"),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
        }
    }

    #[test]
    fn limits_are_inclusive() {
        let limits = limits();
        assert!(limits.check_words("one two three").is_ok());
        assert_eq!(limits.check_words("one two three four").unwrap_err().1, "4 words");
        assert!(limits.check_chars("äöüß", DropReason::ThinkingShort).is_ok(), "characters, not bytes");
        assert_eq!(
            limits.check_chars("abc", DropReason::ThinkingShort).unwrap_err().0,
            Cause::Drop(DropReason::ThinkingShort)
        );
        assert!(limits.check_answer("ab").is_ok());
        assert!(limits.check_answer("a").is_err());
        assert!(TextLimits { max_words: None, ..limits }.check_words("a b c d e").is_ok());
    }

    #[test]
    fn t2_a_phrase_in_any_used_field_is_enough() {
        let limits = limits();
        let clean = ("caption", "A dog barks.");
        assert!(limits.check_phrases(&[clean, ("thinking", "The Original Caption")]).is_ok(), "case-sensitive");
        let error = limits.check_phrases(&[clean, ("thinking", "as the original caption says")]).unwrap_err();
        assert_eq!(error, (DropReason::OmitPhrase.into(), "\"original caption\" in thinking".to_owned()));
    }

    #[test]
    fn a_field_is_missing_wrong_or_text() {
        let object = serde_json::json!({"a": "x\ny", "b": null, "c": 3});
        let object = object.as_object().unwrap();
        assert_eq!(field(object, "a").unwrap(), "x y");
        assert_eq!(field(object, "b").unwrap_err(), (DropReason::MissingField.into(), "b".to_owned()));
        assert_eq!(field(object, "z").unwrap_err().0, DropReason::MissingField.into());
        assert_eq!(
            field(object, "c").unwrap_err(),
            (Fault::WrongType.into(), "c is a number, not a string".to_owned())
        );
    }
}
