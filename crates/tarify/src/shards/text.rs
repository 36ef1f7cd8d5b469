//! Checks of the text fields of a record.

pub(super) use audsem_core::records::clean;
use audsem_core::records::{RecordFault, Violation, text_of};
use audsem_core::run::{LeftOut, Outcome};
use serde::Serialize;
use serde_json::{Map, Value};

use super::reason::{DropReason, Fault};

/// Substrings that refer to the data a language model was given; text that contains one describes that
/// data instead of the sound.
pub(super) const OMIT_PHRASES: [&str; 4] =
    ["original caption", "original data", "original description", "original title"];

/// Requirements that text must meet to be used.
#[derive(Debug, Clone, Serialize, serde::Deserialize, PartialEq, Eq)]
pub struct TextLimits {
    /// Maximum number of words of a caption, split at white space; `None` for no limit.
    pub max_words: Option<usize>,
    /// Minimum number of characters of a caption, question, thinking or list of semantic elements.
    pub min_chars: usize,
    /// Minimum number of characters of the answer of a pair.
    pub min_answer_chars: usize,
    /// Substrings, case-sensitive, that no used field may hold.
    pub omit_phrases: Vec<String>,
}

/// Why something is left out that is not of its format.
pub(super) fn not_of_format(fault: RecordFault) -> LeftOut {
    match fault.violation {
        Violation::Missing => LeftOut::drop(DropReason::MissingField, fault.detail),
        Violation::WrongType => LeftOut::fail(Fault::WrongType, fault.detail),
        Violation::FewChoices => LeftOut::drop(DropReason::NoChoices, fault.detail),
        Violation::AnswerNotAmongChoices => LeftOut::drop(DropReason::AnswerNotAmongChoices, fault.detail),
    }
}

/// The cleaned text of a field.
///
/// # Errors
/// As [`text_of`].
pub(super) fn field(object: &Map<String, Value>, name: &str) -> Outcome<String> {
    text_of(object, name).map(clean).map_err(not_of_format)
}

impl TextLimits {
    /// # Errors
    /// [`DropReason::CaptionLong`].
    pub fn check_words(&self, caption: &str) -> Outcome<()> {
        let words = caption.split_whitespace().count();
        match self.max_words {
            Some(most) if words > most => Err(LeftOut::drop(DropReason::CaptionLong, format!("{words} words"))),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// The given reason when `text` has fewer characters (Unicode scalar values) than `min_chars`.
    pub fn check_chars(&self, text: &str, short: DropReason) -> Outcome<()> {
        at_least(text, self.min_chars, short)
    }

    /// # Errors
    /// [`DropReason::AnswerShort`].
    pub fn check_answer(&self, answer: &str) -> Outcome<()> {
        at_least(answer, self.min_answer_chars, DropReason::AnswerShort)
    }

    /// # Errors
    /// [`DropReason::OmitPhrase`] for the first field that holds one.
    pub fn check_phrases(&self, fields: &[(&str, &str)]) -> Outcome<()> {
        for (name, text) in fields {
            for phrase in &self.omit_phrases {
                if text.contains(phrase.as_str()) {
                    return Err(LeftOut::drop(DropReason::OmitPhrase, format!("{phrase:?} in {name}")));
                }
            }
        }
        Ok(())
    }
}

fn at_least(text: &str, fewest: usize, short: DropReason) -> Outcome<()> {
    let chars = text.chars().count();
    if chars < fewest {
        return Err(LeftOut::drop(short, format!("{chars} characters")));
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
        assert_eq!(limits.check_words("one two three four").unwrap_err().detail(), "4 words");
        assert!(limits.check_chars("äöüß", DropReason::ThinkingShort).is_ok(), "characters, not bytes");
        assert_eq!(
            limits.check_chars("abc", DropReason::ThinkingShort).unwrap_err(),
            LeftOut::drop(DropReason::ThinkingShort, "3 characters".to_owned())
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
        assert_eq!(error, LeftOut::drop(DropReason::OmitPhrase, "\"original caption\" in thinking".to_owned()));
    }

    #[test]
    fn a_field_is_missing_wrong_or_text() {
        let object = serde_json::json!({"a": "x\ny", "b": null, "c": 3});
        let object = object.as_object().unwrap();
        assert_eq!(field(object, "a").unwrap(), "x y");
        assert_eq!(field(object, "b").unwrap_err(), LeftOut::drop(DropReason::MissingField, "b".to_owned()));
        assert_eq!(field(object, "z").unwrap_err().reason(), "missing_field");
        assert_eq!(
            field(object, "c").unwrap_err(),
            LeftOut::fail(Fault::WrongType, "c is a number, not a string".to_owned())
        );
    }
}
