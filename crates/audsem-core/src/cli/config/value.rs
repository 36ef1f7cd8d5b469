//! Values of a configuration file as words of a command line, checked as a flag takes them.

use std::any::TypeId;
use std::error::Error as _;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::DeValue;

/// A value that a flag does not take.
pub(super) struct BadValue {
    /// The place in the text.
    pub(super) offset: usize,
    /// What was expected and what was found.
    pub(super) problem: String,
}

/// The words that a value stands for on the command line.
///
/// # Errors
/// The flag does not take them.
pub(super) fn words(arg: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, BadValue> {
    let takes_many =
        matches!(arg.get_action(), ArgAction::Append) || arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    match value.get_ref() {
        DeValue::Array(items) if takes_many => items.iter().map(|item| word(arg, item)).collect(),
        _ => Ok(vec![word(arg, value)?]),
    }
}

fn word(arg: &Arg, value: &Spanned<DeValue<'_>>) -> Result<String, BadValue> {
    let expected = Expected::of(arg);
    let bad = |problem: String| BadValue { offset: value.span().start, problem };
    let unexpected = |found: &str| bad(format!("expected {}, found {found}", expected.words));
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => return Err(unexpected("a date or time")),
        DeValue::Array(_) => return Err(unexpected("a list")),
        DeValue::Table(_) => return Err(unexpected("a table")),
    };
    let found = match value.get_ref() {
        DeValue::String(text) => format!("{text:?}"),
        _ => text.clone(),
    };
    let fits = match (expected.kind, value.get_ref()) {
        (Kind::Text, value) => value.is_str(),
        (Kind::Truth, value) => value.is_bool(),
        (Kind::Whole, _) => text.parse::<i128>().is_ok(),
        (Kind::Number, _) => text.parse::<f64>().is_ok(),
        (Kind::Other, _) => true,
    };
    if !fits {
        return Err(unexpected(&found));
    }
    match refusal(arg, &text) {
        None => Ok(text),
        Some(Refusal::OneOf(values)) => Err(bad(format!("expected one of {values}, found {found}"))),
        Some(Refusal::Because(why)) => Err(bad(format!("{why}, found {found}"))),
    }
}

/// What a flag takes.
struct Expected {
    kind: Kind,
    words: &'static str,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Truth,
    Whole,
    Number,
    /// What its own parser says.
    Other,
}

impl Expected {
    fn of(arg: &Arg) -> Self {
        let id = arg.get_value_parser().type_id();
        let is_any = |ids: &[TypeId]| ids.iter().any(|known| id == *known);
        let (kind, words) = match arg.get_action() {
            ArgAction::SetTrue | ArgAction::SetFalse => (Kind::Truth, "true or false"),
            ArgAction::Count => (Kind::Whole, "a whole number"),
            _ if !arg.get_possible_values().is_empty() => (Kind::Other, "a string"),
            _ if is_any(&[TypeId::of::<String>(), TypeId::of::<PathBuf>(), TypeId::of::<OsString>()]) => {
                (Kind::Text, "a string")
            }
            _ if is_any(&[TypeId::of::<bool>()]) => (Kind::Truth, "true or false"),
            _ if is_any(&[TypeId::of::<f32>(), TypeId::of::<f64>()]) => (Kind::Number, "a number"),
            _ if is_any(&WHOLE) => (Kind::Whole, "a whole number"),
            _ => (Kind::Other, "a string or a number"),
        };
        Self { kind, words }
    }
}

const WHOLE: [TypeId; 10] = [
    TypeId::of::<u8>(),
    TypeId::of::<u16>(),
    TypeId::of::<u32>(),
    TypeId::of::<u64>(),
    TypeId::of::<usize>(),
    TypeId::of::<i8>(),
    TypeId::of::<i16>(),
    TypeId::of::<i32>(),
    TypeId::of::<i64>(),
    TypeId::of::<isize>(),
];

/// Why the parser of a flag refuses a word.
enum Refusal {
    OneOf(String),
    Because(String),
}

/// Asks the flag's own parser, in a command that has this flag alone.
fn refusal(arg: &Arg, text: &str) -> Option<Refusal> {
    if matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count) {
        return None;
    }
    let alone = Arg::new("value")
        .long("value")
        .action(ArgAction::Append)
        .value_parser(arg.get_value_parser().clone())
        .value_delimiter(arg.get_value_delimiter())
        .ignore_case(arg.is_ignore_case_set());
    let command = Command::new("check").no_binary_name(true).disable_help_flag(true).arg(alone);
    let error = command.try_get_matches_from([format!("--value={text}")]).err()?;
    let valid = match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) => valid.join(", "),
        _ => String::new(),
    };
    Some(match (valid.is_empty(), error.source()) {
        (false, _) => Refusal::OneOf(valid),
        (true, Some(source)) => Refusal::Because(source.to_string()),
        (true, None) => Refusal::Because("expected another value".to_owned()),
    })
}
