//! JSON as Python writes it, which is a little more than the standard allows.
//!
//! Most JSON of this field was written by Python's `json`, which writes numbers that are none and halves of
//! surrogate pairs, and reads them again. Read by the standard, a whole record is lost for a field that
//! nobody looks at. Here everything that `json.loads` reads is read, and this is what becomes of it:
//!
//! | in the text | here |
//! |---|---|
//! | `NaN`, `Infinity`, `-Infinity`, numbers that overflow (`1e999`) | `null`, counted: no field that is read as a number takes it, and written again it is what the standard has for no value |
//! | a whole number beyond 64 bits | its digits as a string, counted: no digit is lost, and no field that is read as a number takes it rounded |
//! | half a surrogate pair (`"\ud83d"`) | U+FFFD, counted: text in UTF-8 cannot hold it |
//! | a byte order mark at the beginning | skipped |
//! | a repeated key | the last value, in the place of the first |
//! | fractions and exponents | the nearest 64-bit float, as in Python; `-0` is the whole number 0 |
//! | nesting in what is skipped | any depth |
//! | nesting in what is read | to [`MAX_DEPTH`], the depth at which Python gives up |
//!
//! All else is an error, as it is in Python: single quotes, comments, commas before a closing bracket, raw
//! control characters in strings, leading zeros, anything behind the value.
//!
//! [`read`] and [`read_object`] build a value; [`read_fields`] reads a few fields of an object and only
//! checks the others; [`Reader`] walks through a text without building anything.

mod reader;
#[cfg(test)]
mod tests;
mod text;

use serde_json::{Map, Value};

pub use reader::{JsonKind, Reader};
pub use text::plain_len;

/// Deepest nesting of lists and objects in a value that is read.
pub const MAX_DEPTH: usize = 990;

/// What has been read, and what had to be put in place of what no value here can hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Read<T> {
    /// What has been read.
    pub value: T,
    /// How often something else stands for what was in the text.
    pub repairs: Repairs,
}

/// How often something else stands for what was in the text. What is skipped is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Halves of surrogate pairs, each now U+FFFD.
    pub surrogates: u64,
    /// Numbers that are not finite, each now null.
    pub not_finite: u64,
    /// Whole numbers beyond 64 bits, each now a string of its digits.
    pub long_integers: u64,
}

/// Why a text is no JSON, not even Python's, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at line {line} column {column}")]
pub struct JsonError {
    /// What is wrong.
    pub problem: &'static str,
    /// Line of the text, from 1.
    pub line: usize,
    /// Character of the line, from 1.
    pub column: usize,
}

/// Reads one value, which is all there is.
///
/// ```
/// use audsem_core::json::read;
///
/// let read = read(br#"{"caption": "[rain]", "loudness": NaN}"#)?;
/// assert_eq!(read.value, serde_json::json!({"caption": "[rain]", "loudness": null}));
/// assert_eq!(read.repairs.not_finite, 1);
/// # Ok::<(), audsem_core::json::JsonError>(())
/// ```
///
/// # Errors
/// It is no such text, or nested deeper than [`MAX_DEPTH`].
pub fn read(bytes: &[u8]) -> Result<Read<Value>, JsonError> {
    read_with(bytes, |reader| reader.value())
}

/// Reads one object, which is all there is.
///
/// # Errors
/// As [`read`], and if it is another value.
pub fn read_object(bytes: &[u8]) -> Result<Read<Map<String, Value>>, JsonError> {
    read_with(bytes, |reader| {
        let mut object = Map::new();
        reader.object(|reader, key| {
            object.insert(key.into_owned(), reader.value()?);
            Ok(())
        })?;
        Ok(object)
    })
}

/// Reads these fields of one object, each `None` if it is not there. Other fields are only checked, so
/// nothing in them is an obstacle, however deep.
///
/// # Errors
/// As [`read_object`].
pub fn read_fields<const N: usize>(bytes: &[u8], names: [&str; N]) -> Result<Read<[Option<Value>; N]>, JsonError> {
    read_with(bytes, |reader| {
        let mut fields = [const { None }; N];
        reader.object(|reader, key| {
            match names.iter().zip(&mut fields).find(|(name, _)| **name == key) {
                Some((_, field)) => *field = Some(reader.value()?),
                None => drop(reader.skip()?),
            }
            Ok(())
        })?;
        Ok(fields)
    })
}

fn read_with<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, JsonError>,
) -> Result<Read<T>, JsonError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(JsonError::at("not UTF-8", &bytes[..error.valid_up_to()])),
    };
    let mut reader = Reader::new(text);
    let value = read(&mut reader)?;
    reader.end()?;
    Ok(Read { value, repairs: reader.repairs() })
}

impl JsonError {
    /// A problem behind `before`, the text up to it.
    fn at(problem: &'static str, before: &[u8]) -> Self {
        let line = before.split(|&b| b == b'\n').count();
        let last = before.rsplit(|&b| b == b'\n').next().unwrap_or(before);
        Self { problem, line, column: String::from_utf8_lossy(last).chars().count() + 1 }
    }
}
