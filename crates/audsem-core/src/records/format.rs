//! The definition of a format, and the check of an object against it.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::Choices;

/// A kind of JSON object.
#[derive(Debug)]
pub struct RecordFormat {
    /// Name of the format in the documentation.
    pub name: &'static str,
    /// What one object represents.
    pub doc: &'static str,
    /// Its fields. Others may stand beside them.
    pub fields: &'static [Field],
    /// Rules that relate several fields.
    pub rules: &'static [Rule],
    /// An object of this format, as JSON.
    pub example: &'static str,
}

/// A field of a format.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// When the field is required.
    pub need: Need,
    /// What it means.
    pub doc: &'static str,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum FieldKind {
    /// Text that is not blank.
    Text,
    /// The options of a question; see [`Choices`].
    Choices,
    /// One or more objects of a format.
    List(&'static RecordFormat),
}

/// When a field is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// In every object.
    Always,
    /// Where samples need and use `semantic_elements`.
    WithSemantic,
    /// Never required.
    Optional,
}

/// A rule that relates several fields of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `answer` is one of `choices`.
    AnswerAmongChoices,
}

/// How an object violates its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A required field is absent, null or empty.
    Missing,
    /// A field has another JSON type.
    WrongType,
    /// A question has fewer than two choices.
    FewChoices,
    /// The answer is not one of the choices, or could be several.
    AnswerNotAmongChoices,
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFault {
    /// The kind of violation.
    pub violation: Violation,
    /// The field or value that decided.
    pub detail: String,
}

impl RecordFault {
    pub(super) fn new(violation: Violation, detail: impl Into<String>) -> Self {
        Self { violation, detail: detail.into() }
    }

    fn within(mut self, place: &str) -> Self {
        self.detail = format!("{place}: {}", self.detail);
        self
    }
}

/// Every run of white space becomes one blank, none at either end. Deleting line breaks, as some
/// packers do, joins the words on both sides.
pub fn clean(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The type of a JSON value, for messages.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The text of a field as it stands there.
///
/// # Errors
/// [`Violation::Missing`] when it is absent or null, [`Violation::WrongType`] when it is not a string.
pub fn text_of<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, RecordFault> {
    match object.get(name) {
        None | Some(Value::Null) => Err(RecordFault::new(Violation::Missing, name)),
        Some(Value::String(text)) => Ok(text),
        Some(other) => {
            let detail = format!("{name} is {}, not a string", type_name(other));
            Err(RecordFault::new(Violation::WrongType, detail))
        }
    }
}

impl RecordFormat {
    /// Checks an object: its fields, with `semantic` also those that need it, then its rules.
    ///
    /// # Errors
    /// The first thing that is wrong; absent fields are named together.
    pub fn check(&self, object: &Map<String, Value>, semantic: bool) -> Result<(), RecordFault> {
        let needed = |field: &&Field| field.need == Need::Always || (semantic && field.need == Need::WithSemantic);
        let absent = |field: &&Field| object.get(field.name).is_none_or(is_empty);
        let missing: Vec<&str> = self.fields.iter().filter(needed).filter(absent).map(|field| field.name).collect();
        if !missing.is_empty() {
            return Err(RecordFault::new(Violation::Missing, missing.join(", ")));
        }
        for field in self.fields {
            match object.get(field.name) {
                Some(value) if needed(&field) || !value.is_null() => field.check(object, value, semantic)?,
                _ => {}
            }
        }
        self.rules.iter().try_for_each(|rule| rule.check(object))
    }

    /// The format as a Markdown section with a table of its fields and an example.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let mut write = || {
            writeln!(out, "### {}\n\n{}\n", self.name, self.doc)?;
            writeln!(out, "| field | type | when | meaning |\n| --- | --- | --- | --- |")?;
            self.fields.iter().try_for_each(|field| field.line(&mut out, ""))?;
            writeln!(out)?;
            self.rules.iter().chain(self.inner_rules()).try_for_each(|rule| writeln!(out, "{}\n", rule.doc()))?;
            writeln!(out, "```json\n{}\n```\n", self.example)
        };
        write().expect("writing to a string does not fail");
        out
    }

    fn inner_rules(&self) -> impl Iterator<Item = &'static Rule> {
        self.fields.iter().flat_map(|field| match field.kind {
            FieldKind::List(format) => format.rules,
            FieldKind::Text | FieldKind::Choices => &[],
        })
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

impl Field {
    fn check(&self, object: &Map<String, Value>, value: &Value, semantic: bool) -> Result<(), RecordFault> {
        match self.kind {
            FieldKind::Text => text_of(object, self.name).map(drop),
            FieldKind::Choices => Choices::from_value(value).map(drop),
            FieldKind::List(format) => {
                let Value::Array(items) = value else {
                    let detail = format!("{} is {}, not a list", self.name, type_name(value));
                    return Err(RecordFault::new(Violation::WrongType, detail));
                };
                for (number, item) in items.iter().enumerate() {
                    let place = format!("{}[{number}]", self.name);
                    let Value::Object(item) = item else {
                        let detail = format!("{place} is {}, not an object", type_name(item));
                        return Err(RecordFault::new(Violation::WrongType, detail));
                    };
                    format.check(item, semantic).map_err(|fault| fault.within(&place))?;
                }
                Ok(())
            }
        }
    }

    fn line(&self, out: &mut String, parent: &str) -> std::fmt::Result {
        let name = format!("{parent}{}", self.name);
        let kind = match self.kind {
            FieldKind::Text => "string",
            FieldKind::Choices => "object letter → string, or array of strings",
            FieldKind::List(_) => "array of objects",
        };
        let need = match self.need {
            Need::Always => "always",
            Need::WithSemantic => "with `--semantic`",
            Need::Optional => "may be",
        };
        writeln!(out, "| `{name}` | {kind} | {need} | {} |", self.doc)?;
        match self.kind {
            FieldKind::List(format) => {
                format.fields.iter().try_for_each(|field| field.line(out, &format!("{name}[].")))
            }
            FieldKind::Text | FieldKind::Choices => Ok(()),
        }
    }
}

impl Rule {
    fn check(self, object: &Map<String, Value>) -> Result<(), RecordFault> {
        match self {
            Self::AnswerAmongChoices => {
                let choices = Choices::from_value(object.get("choices").unwrap_or(&Value::Null))?;
                choices.find(text_of(object, "answer")?).map(drop)
            }
        }
    }

    fn doc(self) -> &'static str {
        match self {
            Self::AnswerAmongChoices => {
                "`answer` is one of `choices`: `X. text` as `shards` writes it, the letter alone, or the text alone where one \
                 choice has it. Case and a full stop at the end do not count."
            }
        }
    }
}
