//! Conditions on columns: `COLUMN OP VALUE`.

use std::fmt;
use std::str::FromStr;

use audsem_core::tables::{ColumnKind, Row as _};
use serde::Serialize;
use serde_json::Value;

use crate::tables::ClipMetadata;

/// A condition on one column of [`ClipMetadata`], as `speech <= 0.2` or `ced_tags contains Rain`.
///
/// Numbers, truth values and texts are compared; texts with `=` and `!=` only. `contains` finds a part of a text, a text
/// in a list, or a label in a list of labels. An absent value meets no condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Condition {
    column: &'static str,
    operator: Operator,
    operand: Operand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Operand {
    Number(f64),
    Truth(bool),
    Text(String),
}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// The text does not have three parts.
    #[error("expected COLUMN OP VALUE with OP one of =, !=, <, <=, >, >=, contains; got {0:?}")]
    Form(String),
    /// There is no such column.
    #[error("the table has no column `{0}`; docs/formats.md lists the columns of `clip metadata`")]
    Column(String),
    /// The operator does not fit the type of the column.
    #[error("`{operator}` does not work on column `{column}`, which is {kind}")]
    Operator {
        /// The operator.
        operator: &'static str,
        /// The column.
        column: &'static str,
        /// The type of the column.
        kind: String,
    },
    /// The value does not have the type of the column.
    #[error("{value:?} is not a value for column `{column}`, which is {kind}")]
    Value {
        /// The value.
        value: String,
        /// The column.
        column: &'static str,
        /// The type of the column.
        kind: String,
    },
}

impl Operator {
    const ALL: [Self; 7] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Contains,
    ];

    fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Contains => "contains",
        }
    }

    fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual)
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let form = || ConditionError::Form(text.to_owned());
        let (name, rest) = text.trim().split_once(char::is_whitespace).ok_or_else(form)?;
        let (symbol, value) = rest.trim_start().split_once(char::is_whitespace).ok_or_else(form)?;
        let value = value.trim();
        let operator = Operator::ALL.into_iter().find(|operator| operator.symbol() == symbol).ok_or_else(form)?;
        if value.is_empty() {
            return Err(form());
        }
        let spec = ClipMetadata::COLUMNS.iter().find(|spec| spec.name == name);
        let spec = spec.ok_or_else(|| ConditionError::Column(name.to_owned()))?;
        let operand = operand(spec.name, spec.kind, operator, value)?;
        Ok(Self { column: spec.name, operator, operand })
    }
}

/// The value of a condition, of the type that the column and the operator ask for.
fn operand(column: &'static str, kind: ColumnKind, operator: Operator, value: &str) -> Result<Operand, ConditionError> {
    use ColumnKind::{Bool, F32, F64, I8, I32, I64, List, Str, Struct, U32, U64, Vector};
    let bad_value = || ConditionError::Value { value: value.to_owned(), column, kind: kind.to_string() };
    let fits = match kind {
        U64 | U32 | I64 | I32 | I8 | F64 | F32 => operator != Operator::Contains,
        Bool => operator.is_equality(),
        Str => operator.is_equality() || operator == Operator::Contains,
        List { .. } => operator == Operator::Contains,
        Struct(_) | Vector => false,
    };
    if !fits {
        return Err(ConditionError::Operator { operator: operator.symbol(), column, kind: kind.to_string() });
    }
    match kind {
        Str | List { .. } => Ok(Operand::Text(value.to_owned())),
        Bool => value.parse().map(Operand::Truth).map_err(|_| bad_value()),
        _ => match value.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Operand::Number(number)),
            _ => Err(bad_value()),
        },
    }
}

impl Condition {
    /// The column that decides.
    #[must_use]
    pub fn column(&self) -> &str {
        self.column
    }

    /// Whether a value of the column meets the condition.
    #[must_use]
    pub fn is_met(&self, value: &Value) -> bool {
        match (value, &self.operand) {
            (Value::Number(number), Operand::Number(operand)) => {
                number.as_f64().is_some_and(|number| self.orders(number.partial_cmp(operand)))
            }
            (Value::Bool(truth), Operand::Truth(operand)) => self.orders(truth.partial_cmp(operand)),
            (Value::String(text), Operand::Text(operand)) => match self.operator {
                Operator::Contains => text.contains(operand),
                _ => self.orders(text.partial_cmp(operand)),
            },
            (Value::Array(items), Operand::Text(operand)) => items.iter().any(|item| names(item) == Some(operand)),
            _ => false,
        }
    }

    fn orders(&self, found: Option<std::cmp::Ordering>) -> bool {
        let Some(found) = found else { return false };
        match self.operator {
            Operator::Equal => found.is_eq(),
            Operator::NotEqual => found.is_ne(),
            Operator::Less => found.is_lt(),
            Operator::LessOrEqual => found.is_le(),
            Operator::Greater => found.is_gt(),
            Operator::GreaterOrEqual => found.is_ge(),
            Operator::Contains => false,
        }
    }
}

/// The text of a list's item, or its label.
fn names(item: &Value) -> Option<&str> {
    item.as_str().or_else(|| item.get("label")?.as_str())
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.column, self.operator.symbol())?;
        match &self.operand {
            Operand::Number(number) => write!(f, "{number}"),
            Operand::Truth(truth) => write!(f, "{truth}"),
            Operand::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(condition: &str, value: &Value, expected: bool) {
        let condition: Condition = condition.parse().unwrap();
        assert_eq!(condition.is_met(value), expected, "{condition} for {value}");
        assert_eq!(condition.to_string().parse(), Ok(condition));
    }

    #[test]
    fn numbers_texts_truth_values_and_labels_are_compared() {
        check("speech <= 0.25", &json!(0.25), true);
        check("speech < 0.25", &json!(0.25), false);
        check("duration_ms != 3000", &json!(3001), true);
        check("has_sat = true", &json!(true), true);
        check("video_id = a b", &json!("a b"), true);
        check("audio_caption contains dog barks", &json!("A dog barks."), true);
        check("descriptions contains a street", &json!(["a street", "a car"]), true);
        check("ced_tags contains Rain", &json!([{"label": "Rain on surface", "prob": 0.5}]), false);
        check("ced_tags contains Rain", &json!([{"label": "Wind"}, {"label": "Rain"}]), true);
    }

    #[test]
    fn an_absent_value_meets_no_condition() {
        for condition in ["speech != 1", "text != x", "ced_tags contains Rain", "has_audio != true"] {
            check(condition, &Value::Null, false);
        }
    }

    #[test]
    fn what_cannot_be_decided_is_refused() {
        for (text, expected) in [
            ("speech", "expected COLUMN OP VALUE"),
            ("speech ~ 1", "expected COLUMN OP VALUE"),
            ("loudness > 1", "no column `loudness`"),
            ("speech > loud", "not a value"),
            ("speech > NaN", "not a value"),
            ("text < b", "does not work on column `text`"),
            ("ced_tags = Rain", "does not work on column `ced_tags`"),
            ("has_audio > false", "does not work"),
        ] {
            let error = text.parse::<Condition>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
