//! JSON answers are checked here, whatever the server promised about guided decoding.
//!
//! The subset of JSON Schema that the stages use is checked completely, and a schema with any other
//! keyword is refused when it is compiled, so no constraint is ever passed over in silence:
//! `type` (one or several), `enum`, `const`, `properties`, `required`, `additionalProperties`,
//! `items`, `minItems`, `maxItems`, `uniqueItems`, `minLength`, `maxLength`, `minimum`, `maximum`,
//! `exclusiveMinimum`, `exclusiveMaximum`, `anyOf`, `$ref` to `#/$defs/NAME` or
//! `#/definitions/NAME`. `title`, `description`, `default`, `examples`, `$schema` and `$id` say
//! nothing about validity and are skipped.

use serde_json::{Map, Value};

use super::TextError;
use super::error::excerpt;

/// A schema whose every keyword is known to be checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    root: Value,
}

/// How deep schemas and answers may nest; guards the stack against `$ref` circles.
const MAX_DEPTH: usize = 64;

type Flaw = (String, String);

impl Schema {
    /// Takes a schema.
    ///
    /// # Errors
    /// [`TextError::BadSchema`] for a keyword outside the subset, or one with a value of the wrong kind.
    pub fn compile(root: &Value) -> Result<Self, TextError> {
        let schema = Self { root: root.clone() };
        schema.check(root, "", 0).map_err(|(pointer, reason)| TextError::BadSchema { pointer, reason })?;
        Ok(schema)
    }

    /// Parses an answer and checks it. A Markdown code fence around the answer is taken off: models
    /// asked for JSON write one whatever they are told.
    ///
    /// # Errors
    /// [`TextError::Schema`] with the place and the reason.
    pub fn read(&self, answer: &str) -> Result<Value, TextError> {
        let fault = |pointer: String, reason: String| TextError::Schema { pointer, reason, excerpt: excerpt(answer) };
        let value: Value = serde_json::from_str(unfence(answer))
            .map_err(|error| fault(String::new(), format!("not JSON: {error}")))?;
        self.fit(&self.root, &value, "", 0).map_err(|(pointer, reason)| fault(pointer, reason))?;
        Ok(value)
    }

    fn check(&self, schema: &Value, at: &str, depth: usize) -> Result<(), Flaw> {
        if depth > MAX_DEPTH {
            return Err((at.to_owned(), "nests too deep".into()));
        }
        let map = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(map) => map,
            _ => return Err((at.to_owned(), "must be an object or a boolean".into())),
        };
        for (key, value) in map {
            match key.as_str() {
                "$ref" if self.target(value).is_some() => {}
                "items" | "additionalProperties" => {
                    self.check(value, &format!("{at}/{key}"), depth + 1)?;
                }
                "properties" | "$defs" | "definitions" if value.is_object() => {
                    for (name, part) in value.as_object().into_iter().flatten() {
                        self.check(part, &format!("{at}/{key}/{name}"), depth + 1)?;
                    }
                }
                "anyOf" if value.is_array() => {
                    for (i, part) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(part, &format!("{at}/{key}/{i}"), depth + 1)?;
                    }
                }
                key => check_leaf(key, value).map_err(|reason| (format!("{at}/{key}"), reason))?,
            }
        }
        Ok(())
    }

    fn target(&self, reference: &Value) -> Option<&Value> {
        let pointer = reference.as_str()?.strip_prefix('#')?;
        (pointer.starts_with("/$defs/") || pointer.starts_with("/definitions/"))
            .then(|| self.root.pointer(pointer))
            .flatten()
    }

    fn fit(&self, schema: &Value, value: &Value, at: &str, depth: usize) -> Result<(), Flaw> {
        let no = |reason: String| Err((at.to_owned(), reason));
        if depth > MAX_DEPTH {
            return no("nests too deep".into());
        }
        let map = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Object(map) => map,
            _ => return no("nothing is allowed here".into()),
        };
        if let Some(target) = map.get("$ref").and_then(|reference| self.target(reference)) {
            self.fit(target, value, at, depth + 1)?;
        }
        self.fit_general(map, value, at, depth)?;
        match value {
            Value::Object(object) => self.fit_object(map, object, at, depth),
            Value::Array(items) => self.fit_array(map, items, at, depth),
            Value::String(text) => {
                bounds(map, text.chars().count() as f64, "minLength", "maxLength", "characters").or_else(no)
            }
            Value::Number(number) => fit_number(map, number.as_f64().unwrap_or(f64::NAN)).or_else(no),
            Value::Null | Value::Bool(_) => Ok(()),
        }
    }

    /// The keywords that apply to values of every type.
    fn fit_general(&self, map: &Map<String, Value>, value: &Value, at: &str, depth: usize) -> Result<(), Flaw> {
        let no = |reason: String| Err((at.to_owned(), reason));
        if let Some(types) = map.get("type").map(type_names)
            && !types.iter().any(|name| is_type(value, name))
        {
            return no(format!("expected {}, got {}", types.join(" or "), type_of(value)));
        }
        if map.get("const").is_some_and(|expected| expected != value) {
            return no(format!("expected {}, got {value}", map["const"]));
        }
        if let Some(Value::Array(allowed)) = map.get("enum")
            && !allowed.contains(value)
        {
            return no(format!("{value} is none of the allowed values"));
        }
        if let Some(Value::Array(parts)) = map.get("anyOf")
            && !parts.iter().any(|part| self.fit(part, value, at, depth + 1).is_ok())
        {
            return no("fits none of the alternatives".into());
        }
        Ok(())
    }

    fn fit_object(
        &self,
        schema: &Map<String, Value>,
        object: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Result<(), Flaw> {
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                return Err((at.to_owned(), format!("`{name}` is missing")));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, value) in object {
            let inside = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            match (properties.and_then(|parts| parts.get(name)), schema.get("additionalProperties")) {
                (Some(part), _) | (None, Some(part @ Value::Object(_))) => self.fit(part, value, &inside, depth + 1)?,
                (None, Some(Value::Bool(false))) => {
                    return Err((inside, "is not a known property".into()));
                }
                (None, _) => {}
            }
        }
        Ok(())
    }

    fn fit_array(&self, schema: &Map<String, Value>, items: &[Value], at: &str, depth: usize) -> Result<(), Flaw> {
        bounds(schema, items.len() as f64, "minItems", "maxItems", "items")
            .map_err(|reason| (at.to_owned(), reason))?;
        let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        for (i, item) in items.iter().enumerate() {
            let inside = format!("{at}/{i}");
            if unique && items[..i].contains(item) {
                return Err((inside, "occurs twice".into()));
            }
            if let Some(part) = schema.get("items") {
                self.fit(part, item, &inside, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Checks a keyword that holds no schema.
fn check_leaf(key: &str, value: &Value) -> Result<(), String> {
    let types_exist = || {
        let names = type_names(value);
        !names.is_empty() && names.iter().all(|name| TYPES.contains(name))
    };
    let (holds, must) = match key {
        "title" | "description" | "default" | "examples" | "$schema" | "$id" | "const" => (true, ""),
        "type" => (types_exist(), "must name JSON types"),
        "enum" | "required" | "anyOf" => (value.is_array(), "must be an array"),
        "properties" | "$defs" | "definitions" => (value.is_object(), "must be an object"),
        "minItems" | "maxItems" | "minLength" | "maxLength" => (value.is_u64(), "must be a whole number"),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => (value.is_number(), "must be a number"),
        "uniqueItems" => (value.is_boolean(), "must be true or false"),
        "$ref" => (false, "must point to #/$defs/NAME or #/definitions/NAME of this schema"),
        _ => (false, "keyword is not checked here, so it is not accepted"),
    };
    if holds { Ok(()) } else { Err(must.to_owned()) }
}

const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];

fn type_names(value: &Value) -> Vec<&str> {
    match value {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().map(|name| name.as_str().unwrap_or_default()).collect(),
        _ => Vec::new(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    // 2.0 is an integer too: the specification looks at the value, not at how it is written.
    let whole = |number: f64| number.fract() == 0.0;
    name == type_of(value) || (name == "integer" && value.as_f64().is_some_and(whole))
}

fn bounds(schema: &Map<String, Value>, n: f64, least: &str, most: &str, unit: &str) -> Result<(), String> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    if let Some(least) = bound(least).filter(|least| n < *least) {
        return Err(format!("{n} {unit}, fewer than {least}"));
    }
    if let Some(most) = bound(most).filter(|most| n > *most) {
        return Err(format!("{n} {unit}, more than {most}"));
    }
    Ok(())
}

fn fit_number(schema: &Map<String, Value>, number: f64) -> Result<(), String> {
    type Rule = (&'static str, fn(f64, f64) -> bool);
    let rules: [Rule; 4] = [
        ("minimum", |n, bound| n >= bound),
        ("maximum", |n, bound| n <= bound),
        ("exclusiveMinimum", |n, bound| n > bound),
        ("exclusiveMaximum", |n, bound| n < bound),
    ];
    for (key, holds) in rules {
        if let Some(bound) = schema.get(key).and_then(Value::as_f64).filter(|bound| !holds(number, *bound)) {
            return Err(format!("{number} breaks {key} {bound}"));
        }
    }
    Ok(())
}

/// Takes a code fence off: "```json … ```" → the inside.
fn unfence(answer: &str) -> &str {
    let trimmed = answer.trim();
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
    use serde_json::json;

    use super::*;

    fn question() -> Value {
        json!({
            "type": "object",
            "properties": {
                "question": {"type": "string", "minLength": 3, "maxLength": 20},
                "options": {"type": "array", "items": {"$ref": "#/$defs/option"}, "minItems": 2, "maxItems": 4, "uniqueItems": true},
                "answer": {"enum": ["A", "B", null]},
                "score": {"type": ["number", "null"], "minimum": 0, "exclusiveMaximum": 10},
                "count": {"type": "integer"},
                "who": {"anyOf": [{"const": 7}, {"type": "boolean"}]}
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
        check("Sure! {\"question\": \"What?\"}", Err(("", "not JSON")));
        check("[]", Err(("", "expected object, got array")));
        check("{}", Err(("", "`question` is missing")));
        check(r#"{"question": "Éh"}"#, Err(("/question", "2 characters, fewer than 3")));
        check(r#"{"question": "What?", "a/b": 1}"#, Err(("/a~1b", "not a known property")));
        check(r#"{"question": "What?", "options": ["x"]}"#, Err(("/options", "1 items, fewer than 2")));
        check(r#"{"question": "What?", "options": ["x", "x"]}"#, Err(("/options/1", "occurs twice")));
        check(r#"{"question": "What?", "options": ["x", 2]}"#, Err(("/options/1", "expected string, got number")));
        check(r#"{"question": "What?", "answer": "C"}"#, Err(("/answer", "none of the allowed")));
        check(r#"{"question": "What?", "score": 10}"#, Err(("/score", "exclusiveMaximum")));
        check(r#"{"question": "What?", "count": 2.5}"#, Err(("/count", "expected integer")));
        check(r#"{"question": "What?", "who": 8}"#, Err(("/who", "none of the alternatives")));
    }

    #[test]
    fn schemas_that_would_not_be_checked_are_refused() {
        let check = |schema: Value, at: &str| match Schema::compile(&schema) {
            Err(TextError::BadSchema { pointer, .. }) => assert_eq!(pointer, at, "{schema}"),
            other => panic!("{schema}: {other:?}"),
        };
        check(json!({"type": "string", "pattern": "^a"}), "/pattern");
        check(json!({"properties": {"a": {"oneOf": []}}}), "/properties/a/oneOf");
        check(json!({"type": "text"}), "/type");
        check(json!({"minItems": -1}), "/minItems");
        check(json!({"$ref": "https://example.org/x"}), "/$ref");
        check(json!({"items": 3}), "/items");
        check(json!({"anyOf": [{}, {"not": {}}]}), "/anyOf/1/not");
    }

    #[test]
    fn reference_circle_ends() {
        let schema = Schema::compile(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}})).unwrap();
        assert!(matches!(schema.read("1"), Err(TextError::Schema { reason, .. }) if reason.contains("too deep")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn no_answer_panics(answer in r#"[`{}\[\]",:a-z0-9.é\n-]{0,40}"#) {
            let _ = Schema::compile(&question()).unwrap().read(&answer);
        }
    }
}
