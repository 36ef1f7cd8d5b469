#![allow(clippy::unwrap_used)]
//! What is read, against what Python's `json.loads` gives and against `serde_json`.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Number, Value, json};

use super::*;

/// What we make of a value as `fixtures/regen/python_json.py` writes it.
fn of_python(value: &Value, repairs: &mut Repairs) -> Value {
    let Some(object) = value.as_object() else { return value.clone() };
    let (kind, value) = object.iter().next().unwrap();
    let text = value.as_str().unwrap_or_default();
    match kind.as_str() {
        "int" => match (text.parse::<i64>(), text.parse::<u64>()) {
            (Ok(whole), _) => whole.into(),
            (_, Ok(whole)) => whole.into(),
            _ => {
                repairs.long_integers += 1;
                text.into()
            }
        },
        "float" => {
            let number = Number::from_f64(text.parse().unwrap());
            repairs.not_finite += u64::from(number.is_none());
            number.map_or(Value::Null, Value::Number)
        }
        "str" => {
            let points = value.as_array().unwrap().iter().map(|point| point.as_u64().unwrap() as u32);
            let c = |point| {
                repairs.surrogates += u64::from(char::from_u32(point).is_none());
                char::from_u32(point).unwrap_or('\u{fffd}')
            };
            points.map(c).collect::<String>().into()
        }
        "list" => value.as_array().unwrap().iter().map(|item| of_python(item, repairs)).collect(),
        _ => {
            let pairs = value.as_array().unwrap().iter().map(|pair| {
                let key = of_python(&pair[0], repairs);
                (key.as_str().unwrap().to_owned(), of_python(&pair[1], repairs))
            });
            Value::Object(pairs.collect())
        }
    }
}

#[test]
fn what_python_reads_is_read_and_nothing_else() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/json/python_json.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases.len() > 250);
    for case in &cases {
        let text = case["text"].as_str().unwrap();
        let read = read(text.as_bytes());
        match case.get("value") {
            // The mark in front of a text is an error in Python; its readers of files skip it as we do.
            None if text.starts_with('\u{feff}') => assert!(read.is_ok(), "{text:?}"),
            None => assert!(read.is_err(), "{text:?}: {read:?}"),
            Some(Value::Bool(true)) if text.len() > 1000 => assert!(read.is_ok(), "{text:.20}: {:?}", read.err()),
            Some(value) => {
                let mut repairs = Repairs::default();
                let value = of_python(value, &mut repairs);
                assert_eq!(read, Ok(Read { value, repairs }), "{text:?}");
            }
        }
        let mut reader = Reader::new(text.trim_start_matches('\u{feff}'));
        let skipped = reader.skip().is_ok() && reader.end().is_ok();
        assert_eq!(skipped, super::read(text.as_bytes()).is_ok(), "skipped: {text:.60?}");
    }
}

#[test]
fn fields_that_are_not_read_are_no_obstacle() {
    let deep = "[{\"a\":".repeat(200_000) + "NaN" + &"}]".repeat(200_000);
    let text = format!(
        "\u{feff} {{\"x\": {deep}, \"key\": \"a\\ud83d\", \"n\": 123456789012345678901234567890, \"y\": [Infinity, 1e999, \
         \"\\ude00\"], \"m\": NaN, \"key\": \"b\\ud83d\"}}\n"
    );
    let read = read_fields(text.as_bytes(), ["key", "n", "m", "absent"]).unwrap();
    let digits = "123456789012345678901234567890";
    assert_eq!(read.value, [Some(json!("b\u{fffd}")), Some(json!(digits)), Some(Value::Null), None]);
    assert_eq!(read.repairs, Repairs { surrogates: 2, not_finite: 1, long_integers: 1 });
    // No number that is none is taken for one.
    assert!(read.value.iter().flatten().all(|value| value.as_f64().is_none() && value.as_i64().is_none()));
    assert_eq!(read_object(text.as_bytes()).unwrap_err().problem, "nested too deep");
}

#[test]
fn errors_tell_what_and_where() {
    for (text, expected) in [
        (&b"{\"a\":1,\n \"\xc3\xa9\": tru}"[..], "expected a value at line 2 column 7"),
        (b"{\"a\" 1}", "expected `:` at line 1 column 6"),
        (b"[1 2]", "expected `,` or `]` at line 1 column 4"),
        (b"{\"a\":1]", "expected `,` or `}` at line 1 column 7"),
        (b"[\"a", "the text ends in a string at line 1 column 4"),
        (b"", "the text ends where a value should be at line 1 column 1"),
        (b"{} {}", "text after the value at line 1 column 4"),
        (b"\"\\ud83\"", "invalid escape sequence at line 1 column 2"),
        (b"[1.]", "expected a digit after the decimal point at line 1 column 3"),
        (b"\xff", "not UTF-8 at line 1 column 1"),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), expected);
    }
    assert_eq!(read_object(b"[1]").unwrap_err().problem, "expected an object");
    assert_eq!(read_fields(b"[1]", ["a"]).unwrap_err().problem, "expected an object");
}

/// A value of that depth can be read, written and dropped on the stack of any thread.
#[test]
fn the_deepest_value_that_is_read_can_be_used() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let value = read(nested(MAX_DEPTH).as_bytes()).unwrap().value;
    assert_eq!(value.to_string(), nested(MAX_DEPTH));
    assert_eq!(read(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err().problem, "nested too deep");
}

fn a_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..5).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn ordinary_json_is_read_as_it_is(value in a_value(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        prop_assert_eq!(read(text.as_bytes()), Ok(Read { value, repairs: Repairs::default() }));
        let mut reader = Reader::new(&text);
        prop_assert_eq!(reader.skip().unwrap(), &text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}:,\"\\\\a-fnux0-9.eE+NaIity \t\n-]{0,40}|\\PC{0,20}") {
        let read = read(text.as_bytes());
        let mut reader = Reader::new(text.trim_start_matches('\u{feff}'));
        prop_assert_eq!(read.is_ok(), reader.skip().is_ok() && reader.end().is_ok());
        // Whatever the standard allows is read, numbers apart that serde_json rounds.
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let read = read.unwrap();
            prop_assert!(read.value == value || read.repairs.long_integers > 0 || text.contains(['.', 'e', 'E', '-']));
        }
    }
}
