//! JSON answers are checked here, whatever the server promised about guided decoding.

use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::TextError;
use super::error::excerpt;

/// A JSON schema (draft 2020-12) that answers are checked against.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
}

impl Schema {
    /// Compiles a schema. A keyword that the draft does not know is refused: it is a misspelled constraint that
    /// would never hold anything back.
    ///
    /// # Errors
    /// [`TextError::BadSchema`] with the place and the reason.
    pub fn compile(schema: &Value) -> Result<Self, TextError> {
        let fault = |pointer: String, reason: String| TextError::BadSchema { pointer, reason };
        let build = options().build(schema);
        let validator = build.map_err(|error| fault(error.instance_path().to_string(), error.to_string()))?;
        // The schemas around an unknown keyword are at fault as well; the innermost place is the useful one.
        let unknown = strict().iter_errors(schema).max_by_key(|error| error.instance_path().as_str().len());
        match unknown {
            Some(error) => Err(fault(error.instance_path().to_string(), error.to_string())),
            None => Ok(Self { validator }),
        }
    }

    /// Parses an answer with [`read_json`] and checks it.
    ///
    /// # Errors
    /// [`TextError::Schema`] with the place and the reason.
    pub fn read(&self, answer: &str) -> Result<Value, TextError> {
        let fault = |pointer: String, reason: String| TextError::Schema { pointer, reason, excerpt: excerpt(answer) };
        let value = read_json(answer).map_err(|error| fault(String::new(), format!("not JSON: {error}")))?;
        if let Some(error) = self.validator.iter_errors(&value).next() {
            return Err(fault(error.instance_path().to_string(), error.to_string()));
        }
        Ok(value)
    }
}

fn options() -> jsonschema::ValidationOptions<'static> {
    jsonschema::options().with_draft(Draft::Draft202012).offline()
}

/// The meta-schema of the draft, closed against unknown keywords at every level.
fn strict() -> &'static Validator {
    static STRICT: LazyLock<Validator> = LazyLock::new(|| {
        let meta_schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "urn:audsem:strict-schema",
            "$dynamicAnchor": "meta",
            "$ref": "https://json-schema.org/draft/2020-12/schema",
            "unevaluatedProperties": false,
        });
        options().build(&meta_schema).expect("the meta-schema is a valid schema")
    });
    &STRICT
}

/// The JSON of an answer. Models asked for it often write a Markdown code fence around it regardless of the instructions,
/// which is taken off. If there is other text, too, the first whole object in it counts.
///
/// # Errors
/// There is no JSON in the answer: what is wrong with the whole of it.
pub fn read_json(answer: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(unfence(answer)).or_else(|error| first_object(answer).ok_or(error))
}

/// The first whole object in a text. One that is cut off ends the search: what lies inside it is not the answer.
fn first_object(text: &str) -> Option<Value> {
    for (start, _) in text.match_indices('{') {
        match serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>().next() {
            Some(Ok(value)) => return Some(value),
            Some(Err(error)) if error.is_eof() => return None,
            _ => {}
        }
    }
    None
}

/// Takes a code fence off: "```json … ```" → the inside.
fn unfence(answer: &str) -> &str {
    let trimmed = answer.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let inside = trimmed
        .strip_prefix("```")
        .and_then(|rest| rest.strip_suffix("```"))
        .and_then(|rest| rest.split_once('\n'))
        .filter(|(language, _)| language.trim().chars().all(char::is_alphanumeric));
    inside.map_or(trimmed, |(_, body)| body.trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn question() -> Value {
        json!({
            "type": "object",
            "properties": {
                "question": {"type": "string", "minLength": 3, "maxLength": 20, "pattern": "\\?$"},
                "options": {"type": "array", "items": {"$ref": "#/$defs/option"}, "minItems": 2, "maxItems": 4, "uniqueItems": true},
                "answer": {"enum": ["A", "B", null]},
                "score": {"type": ["number", "null"], "minimum": 0, "exclusiveMaximum": 10},
                "count": {"type": "integer"},
                "who": {"oneOf": [{"const": 7}, {"type": "boolean"}]}
            },
            "required": ["question"],
            "additionalProperties": false,
            "$defs": {"option": {"type": "string"}}
        })
    }

    #[test]
    fn answers() {
        let schema = Schema::compile(&question()).unwrap();
        let check = |answer: &str, expected: Result<(), (&str, &str)>| match (schema.read(answer), expected) {
            (Ok(_), Ok(())) => {}
            (Err(TextError::Schema { pointer, reason, .. }), Err((at, why))) => {
                assert!(pointer == at && reason.contains(why), "{answer}: {pointer}: {reason}");
            }
            (got, expected) => panic!("{answer}: {got:?} instead of {expected:?}"),
        };
        check(r#"{"question": "What?"}"#, Ok(()));
        check("```json\n{\"question\": \"What?\"}\n```", Ok(()));
        check(
            r#"{"question": "What?", "options": ["x", "y"], "answer": null, "score": 9.5, "count": 2.0, "who": true}"#,
            Ok(()),
        );
        check(r#"{"question": "What?""#, Err(("", "not JSON")));
        check("\u{feff}{\"question\": \"What?\"}\n", Ok(()));
        check("Sure! {\"question\": \"What?\"} Or {}?", Ok(()));
        check("A set like {a}: {\"question\": \"What?\"}", Ok(()));
        check("Sure! {\"who\": {\"question\": \"What?\"}", Err(("", "not JSON")));
        check("Sure!", Err(("", "not JSON")));
        check("[]", Err(("", "is not of type \"object\"")));
        check("{}", Err(("", "\"question\" is a required property")));
        check(r#"{"question": "É?"}"#, Err(("/question", "shorter than 3 characters")));
        check(r#"{"question": "What"}"#, Err(("/question", "does not match")));
        check(r#"{"question": "What?", "a/b": 1}"#, Err(("", "'a/b' was unexpected")));
        check(r#"{"question": "What?", "options": ["x"]}"#, Err(("/options", "has less than 2 items")));
        check(r#"{"question": "What?", "options": ["x", "x"]}"#, Err(("/options", "non-unique")));
        check(r#"{"question": "What?", "options": ["x", 2]}"#, Err(("/options/1", "is not of type \"string\"")));
        check(r#"{"question": "What?", "answer": "C"}"#, Err(("/answer", "is not one of")));
        check(r#"{"question": "What?", "score": 10}"#, Err(("/score", "greater than or equal to the maximum of 10")));
        check(r#"{"question": "What?", "count": 2.5}"#, Err(("/count", "is not of type \"integer\"")));
        check(r#"{"question": "What?", "who": 8}"#, Err(("/who", "not valid under any")));
    }

    #[test]
    fn schemas_that_would_not_be_checked_are_refused() {
        let check = |schema: Value, at: &str| match Schema::compile(&schema) {
            Err(TextError::BadSchema { pointer, .. }) => assert_eq!(pointer, at, "{schema}"),
            other => panic!("{schema}: {other:?}"),
        };
        check(json!({"type": "text"}), "/type");
        check(json!({"minItems": -1}), "/minItems");
        check(json!({"items": 3}), "/items");
        check(json!({"anyOf": [{}, {"not": 2}]}), "/anyOf/1/not");
        check(json!({"pattern": "("}), "/pattern");
        check(json!({"minLenght": 3}), "");
        check(json!({"properties": {"a": {"requierd": []}}}), "/properties/a");
    }

    /// Nothing is fetched: a schema is what it says itself.
    #[test]
    fn schemas_elsewhere_are_refused() {
        for reference in ["https://example.org/x", "file:///etc/hostname", "#/$defs/gone"] {
            let error = Schema::compile(&json!({ "$ref": reference })).unwrap_err().to_string();
            assert!(error.contains(reference) || error.contains("$defs"), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn no_answer_panics(answer in r#"[`{}\[\]",:a-z0-9.é\n-]{0,40}"#) {
            static SCHEMA: std::sync::OnceLock<Schema> = std::sync::OnceLock::new();
            let _ = SCHEMA.get_or_init(|| Schema::compile(&question()).unwrap()).read(&answer);
        }
    }
}
