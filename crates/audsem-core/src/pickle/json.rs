//! Pickled values as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{Node, PickleError, PickledValue};

/// Parts within parts, which a reader without recursion limits would follow into the ground.
const MAX_DEPTH: usize = 100;

impl PickledValue<'_> {
    /// The value as JSON of at most `most` parts: tuples and sets as arrays, keys as texts, bytes in hexadecimal. What
    /// JSON has no word for is an object: `{"python_class": "module.name", …}` with the fields or arguments of an object,
    /// `{"python_float": "nan"}`, `{"python_integer": "0x…"}`.
    ///
    /// # Errors
    /// [`PickleError::TooLarge`] for more parts, also where they are only many because they are shared, and for values
    /// that contain themselves.
    pub fn to_json(self, most: usize) -> Result<Value, PickleError> {
        let mut left = most;
        self.json(&mut left, 0).ok_or(PickleError::TooLarge { most })
    }

    fn json(self, left: &mut usize, depth: usize) -> Option<Value> {
        *left = left.checked_sub(1)?;
        if depth > MAX_DEPTH {
            return None;
        }
        let mut below = |value: PickledValue<'_>| value.json(left, depth + 1);
        Some(match self.node() {
            Node::None => Value::Null,
            Node::Bool(value) => json!(value),
            Node::Int(value) => json!(value),
            Node::Long(bytes) => json!({ "python_integer": format!("0x{}", hex(bytes.iter().rev())) }),
            Node::Float(value) if value.is_finite() => json!(value),
            Node::Float(value) => json!({ "python_float": value.to_string() }),
            Node::Text(text) => json!(text),
            Node::Bytes(bytes) => json!(hex(bytes.iter())),
            Node::List(_) | Node::Tuple(_) | Node::Set(_) => {
                self.items().map(below).collect::<Option<Vec<_>>>()?.into()
            }
            Node::Dict(_) => object(self.entries(), &mut below)?.into(),
            Node::Global { module, name } => json!({ "python_class": format!("{module}.{name}") }),
            Node::Persistent(id) => json!({ "python_reference": below(self.pickle.at(*id))? }),
            Node::Object(object) => {
                let mut fields = match self.pickle.at(object.callable).global() {
                    Some((module, name)) => {
                        Map::from_iter([("python_class".to_owned(), json!(format!("{module}.{name}")))])
                    }
                    None => Map::from_iter([("python_class".to_owned(), below(self.pickle.at(object.callable))?)]),
                };
                match object.state.map(|state| self.pickle.at(state)).filter(|state| state.is_dict()) {
                    Some(state) => fields.extend(self::object(state.entries(), &mut below)?),
                    None => _ = fields.insert("arguments".to_owned(), below(self.pickle.at(object.args))?),
                }
                fields.into()
            }
        })
    }
}

fn object<'a>(
    entries: impl Iterator<Item = (PickledValue<'a>, PickledValue<'a>)>,
    below: &mut impl FnMut(PickledValue<'_>) -> Option<Value>,
) -> Option<Map<String, Value>> {
    entries.map(|(key, value)| Some((key_text(below(key)?), below(value)?))).collect()
}

fn key_text(key: Value) -> String {
    match key {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}
