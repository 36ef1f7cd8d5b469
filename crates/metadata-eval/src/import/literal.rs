//! Python literals as data: dictionaries, lists, tuples, strings, numbers, `None`, `True` and `False`.
//!
//! Names, calls and operators are refused: nothing is executed.

use serde_json::{Map, Number, Value};

/// Deepest nesting that is read; the reference nests three levels.
const MAX_DEPTH: usize = 32;

/// Reads a text that is one literal. Tuples become arrays; keys of dictionaries must be strings or numbers and become
/// strings; of equal keys the last counts, as in Python.
///
/// # Errors
/// What is wrong, with the number of the byte.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.blanks();
    if reader.at < text.len() { Err(reader.error("more text after the value")) } else { Ok(value) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn error(&self, problem: &str) -> String {
        format!("{problem} at byte {} of a Python literal", self.at)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Whether the next character is this one, which is then taken.
    fn takes(&mut self, wanted: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        self.blanks();
        match self.peek() {
            Some(b'{') => self.dictionary(depth),
            Some(b'[') => self.sequence(b']', depth),
            Some(b'(') => self.sequence(b')', depth),
            Some(b'\'' | b'"') => self.string().map(Value::String),
            Some(b'0'..=b'9' | b'-' | b'+' | b'.') => self.number().map(Value::Number),
            _ => self.word(),
        }
    }

    fn dictionary(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut entries = Map::new();
        while !self.takes(b'}') {
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                _ => return Err(self.error("a key that is neither string nor number")),
            };
            if !self.takes(b':') {
                return Err(self.error("expected `:`"));
            }
            entries.insert(key, self.value(depth + 1)?);
            if !self.takes(b',') && self.peek() != Some(b'}') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
        Ok(Value::Object(entries))
    }

    fn sequence(&mut self, end: u8, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.takes(end) {
            items.push(self.value(depth + 1)?);
            if !self.takes(b',') && self.peek() != Some(end) {
                return Err(self.error("expected `,` or the end of a list"));
            }
        }
        Ok(Value::Array(items))
    }

    fn word(&mut self) -> Result<Value, String> {
        let n = self.rest().find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest().len());
        let value = match &self.rest()[..n] {
            "None" => Value::Null,
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            _ => return Err(self.error("no literal")),
        };
        self.at += n;
        Ok(value)
    }

    fn number(&mut self) -> Result<Number, String> {
        let part_of_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
        let n = self.rest().find(|c| !part_of_number(c)).unwrap_or(self.rest().len());
        let digits = self.rest()[..n].trim_start_matches('+');
        let integer = digits.parse::<i64>().ok().map(Number::from);
        let number = integer.or_else(|| Number::from_f64(digits.parse().ok()?));
        let number = number.ok_or_else(|| self.error("no number"))?;
        self.at += n;
        Ok(number)
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.rest().chars().next().unwrap_or_default();
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else { return Err(self.error("a string without an end")) };
            self.at += c.len_utf8();
            match c {
                '\\' => text.push(self.escape()?),
                '\n' => return Err(self.error("a line break in a string")),
                c if c == quote => return Ok(text),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let Some(c) = self.rest().chars().next() else { return Err(self.error("a string without an end")) };
        self.at += c.len_utf8();
        match c {
            '\\' | '\'' | '"' => Ok(c),
            'n' => Ok('\n'),
            't' => Ok('\t'),
            'r' => Ok('\r'),
            'x' => self.code(2),
            'u' => self.code(4),
            'U' => self.code(8),
            _ => Err(self.error("an escape that Python does not print")),
        }
    }

    fn code(&mut self, digits: usize) -> Result<char, String> {
        let code = self.rest().get(..digits).filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let code = code.and_then(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?));
        let code = code.ok_or_else(|| self.error("an escape without a character"))?;
        self.at += digits;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_python_prints_is_read() {
        for (text, expected) in [
            ("{'Speech': 0.75, \"Child's play\": 1e-05}", json!({"Speech": 0.75, "Child's play": 1e-5})),
            ("{'0-1': {'Rain': 1}, '1-2': {}}", json!({"0-1": {"Rain": 1}, "1-2": {}})),
            (" [1, -2.5, (3,), None, True, False, ] ", json!([1, -2.5, [3], null, true, false])),
            (r"'a\'b\\\n\x41é\U0001F600 ü'", json!("a'b\\\nAé\u{1F600} ü")),
            ("{1: 2, 1: 3}", json!({"1": 3})),
            ("[]", json!([])),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_would_have_to_be_executed_is_refused() {
        for text in [
            "__import__('os')",
            "np.float32(0.5)",
            "1 + 1",
            "{'a': nan}",
            "{'a' 1}",
            "{'a': 1",
            "[1 2]",
            "'a",
            "'a\nb'",
            r"'\ud800'",
            r"'\q'",
            "{[1]: 2}",
            "1e999",
            "",
            "{} {}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&"[".repeat(1000)).is_err());
    }
}
