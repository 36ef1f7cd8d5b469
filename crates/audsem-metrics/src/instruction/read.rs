//! Rules by their published names and parameters.

use serde_json::{Map, Value};

use super::{Bounds, Instruction};

/// Why a rule cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstructionProblem {
    /// There is no such rule.
    #[error("no rule is called `{identifier}`")]
    UnknownRule {
        /// What was asked for.
        identifier: String,
    },
    /// A parameter is not there, or null.
    #[error("`{identifier}` has no parameter `{parameter}`")]
    MissingParameter {
        /// The rule.
        identifier: String,
        /// The parameter.
        parameter: &'static str,
    },
    /// A parameter cannot be used.
    #[error("`{identifier}` has the parameter `{parameter}` = {value}, where {wanted} is wanted")]
    UnusableParameter {
        /// The rule.
        identifier: String,
        /// The parameter.
        parameter: &'static str,
        /// Its value.
        value: String,
        /// What it has to be.
        wanted: &'static str,
    },
}

impl Instruction {
    /// The rule of that name. `question` is the text that `Repeat Prompt` wants to be repeated.
    ///
    /// # Errors
    /// There is no such rule, or a parameter of it is missing or unusable.
    pub fn read(identifier: &str, parameters: &Map<String, Value>, question: &str) -> Result<Self, InstructionProblem> {
        let given = Parameters { identifier, parameters };
        let exactly = || given.count("N").map(Bounds::exactly);
        let at_least = || given.count("N").map(Bounds::at_least);
        let bounds = |kind: &str| match kind {
            "(at least)" => at_least(),
            "(at most)" => Ok(Bounds { least: 0, most: Some(given.count("N")?) }),
            "(range)" => Ok(Bounds { least: given.count("N1")?, most: Some(given.count("N2")?) }),
            _ => Err(given.unknown()),
        };
        if let Some((name @ ("Number Words" | "Number Sentences" | "All-capital Words"), kind)) = halves(identifier) {
            let bounds = bounds(kind)?;
            return Ok(match name {
                "Number Words" => Self::Words(bounds),
                "Number Sentences" => Self::Sentences(bounds),
                _ => Self::CapitalWords(bounds),
            });
        }
        Ok(match identifier {
            "Include Keywords" => Self::Keywords(given.words("keywords")?),
            "Keyword Frequency" => Self::KeywordCount(given.text("keyword")?, exactly()?),
            "Forbidden Words" => Self::ForbiddenWords(given.words("forbidden_words")?),
            "Number Paragraphs" => Self::Paragraphs(exactly()?),
            "Postscript" => Self::Postscript(given.phrase("postscript_marker")?),
            "Number Placeholder" => Self::Placeholders(at_least()?),
            "Number Bullets" => Self::Bullets(exactly()?),
            "Title" => Self::Title,
            "Minimum Number Highlighted Section" => Self::Highlights(at_least()?),
            "Multiple Sections" => Self::Sections(given.text("section_splitter")?, exactly()?),
            "Repeat Prompt" if question.trim().is_empty() => return Err(given.missing("question")),
            "Repeat Prompt" => Self::RepeatPrompt(question.to_owned()),
            "Two Responses" => Self::TwoResponses,
            "All Uppercase" => Self::Uppercase,
            "All Lowercase" => Self::Lowercase,
            "Start Checker" => Self::Start(given.phrase("start_phrase")?),
            "End Checker" => Self::End(given.phrase("end_phrase")?),
            "Quotation" => Self::Quotation,
            "No Commas" => Self::NoCommas,
            _ => return Err(given.unknown()),
        })
    }
}

/// What a name counts, and the kind of bound in brackets behind it.
fn halves(identifier: &str) -> Option<(&str, &str)> {
    let at = identifier.find(" (")?;
    Some((&identifier[..at], &identifier[at + 1..]))
}

/// The parameters of a rule.
struct Parameters<'a> {
    identifier: &'a str,
    parameters: &'a Map<String, Value>,
}

impl Parameters<'_> {
    fn unknown(&self) -> InstructionProblem {
        InstructionProblem::UnknownRule { identifier: self.identifier.to_owned() }
    }

    fn missing(&self, parameter: &'static str) -> InstructionProblem {
        InstructionProblem::MissingParameter { identifier: self.identifier.to_owned(), parameter }
    }

    /// A parameter, and the error of it.
    fn of(
        &self,
        parameter: &'static str,
        wanted: &'static str,
    ) -> Result<(&Value, InstructionProblem), InstructionProblem> {
        let value = self.parameters.get(parameter).filter(|value| !value.is_null());
        let value = value.ok_or_else(|| self.missing(parameter))?;
        let problem = InstructionProblem::UnusableParameter {
            identifier: self.identifier.to_owned(),
            parameter,
            value: value.to_string(),
            wanted,
        };
        Ok((value, problem))
    }

    /// A whole number, which tables may hold as `3.0` or as text.
    fn count(&self, parameter: &'static str) -> Result<u64, InstructionProblem> {
        let (value, problem) = self.of(parameter, "a whole number")?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number within its range")]
        let whole = |number: f64| {
            (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as u64)
        };
        let number = match value {
            Value::Number(number) => number.as_f64().and_then(whole),
            Value::String(text) => text.trim().parse().ok().and_then(whole),
            _ => None,
        };
        number.ok_or(problem)
    }

    fn text(&self, parameter: &'static str) -> Result<String, InstructionProblem> {
        let (value, problem) = self.of(parameter, "a text")?;
        let text = value.as_str().filter(|text| !text.trim().is_empty());
        text.map(str::to_owned).ok_or(problem)
    }

    /// A text with a letter of ASCII, without which the published rule accepts everything.
    fn phrase(&self, parameter: &'static str) -> Result<String, InstructionProblem> {
        let (value, problem) = self.of(parameter, "a text with letters of ASCII")?;
        let text = value.as_str().filter(|text| text.contains(|c: char| c.is_ascii_alphabetic()));
        text.map(str::to_owned).ok_or(problem)
    }

    /// Words as a list, or as a text with commas between them.
    fn words(&self, parameter: &'static str) -> Result<Vec<String>, InstructionProblem> {
        let (value, problem) = self.of(parameter, "one or more words")?;
        let words: Option<Vec<String>> = match value {
            Value::String(text) => Some(text.split(", ").map(str::to_owned).collect()),
            Value::Array(list) => list.iter().map(|word| word.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        let is_usable = |words: &Vec<String>| !words.is_empty() && words.iter().all(|word| !word.trim().is_empty());
        words.filter(is_usable).ok_or(problem)
    }
}
