//! JSON as Python writes it, which is a little more than the standard allows.
//!
//! Most JSON of this field was written by Python's `json`, which writes and reads `NaN` and lone
//! surrogates. A strict reader would lose a whole record because of a field that
//! nobody uses. This module reads everything that `json.loads` reads, as follows:
//!
//! | in the text | here |
//! |---|---|
//! | `NaN`, `Infinity`, `-Infinity`, numbers that overflow (`1e999`) | `null`, counted: no field that is read as a number takes it, and written again it is the standard's way to write a missing value |
//! | a whole number beyond 64 bits | its digits as a string, counted: no digit is lost, and no field that is read as a number takes it rounded |
//! | half a surrogate pair (`"\ud83d"`) | U+FFFD, counted: text in UTF-8 cannot hold it |
//! | a byte order mark at the beginning | skipped |
//! | a repeated key | the last value, in the place of the first |
//! | fractions and exponents | the nearest 64-bit float, as in Python; `-0` is the whole number 0 |
//! | nesting in what is skipped | any depth |
//! | nesting in what is read | up to [`MAX_DEPTH`], the depth at which Python fails |
//!
//! All else is an error, as it is in Python: single quotes, comments, commas before a closing bracket, raw
//! control characters in strings, leading zeros, anything behind the value.
//!
//! [`read`] and [`read_object`] build a value; [`read_fields`] reads a few fields of an object and only
//! validates the others; [`Reader`] walks through a text without building anything.

mod reader;
#[cfg(test)]
mod tests;
mod text;

use serde_json::{Map, Value};

pub use reader::{JsonKind, Reader};
pub use text::plain_len;

/// Deepest nesting of lists and objects in a value that is read.
pub const MAX_DEPTH: usize = 990;

/// Maximum size of a record, in bytes: a line of JSON, the JSON of a sample, a record of a CSV file. A parsed text takes up
/// to sixteen times as much memory.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// A value, and how many parts of the text had to be replaced because no value can represent them.
#[derive(Debug, Clone, PartialEq)]
pub struct Read<T> {
    /// What has been read.
    pub value: T,
    /// Counts of replaced parts of the text.
    pub repairs: Repairs,
}

/// Counts of parts of the text that were replaced. Skipped values are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Halves of surrogate pairs, each now U+FFFD.
    pub surrogates: u64,
    /// Numbers that are not finite, each now null.
    pub not_finite: u64,
    /// Whole numbers beyond 64 bits, each now a string of its digits.
    pub long_integers: u64,
}

/// Why a text is not valid JSON, not even by Python's rules, and where.
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

/// Reads a text that consists of one value.
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
/// The text is not valid, or nested deeper than [`MAX_DEPTH`].
pub fn read(bytes: &[u8]) -> Result<Read<Value>, JsonError> {
    read_with(bytes, |reader| reader.value())
}

/// Reads a text that consists of one object.
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

/// Reads these fields of one object, each `None` if it is absent. Other fields are only validated, so
/// their depth is not limited.
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
    /// An error at the end of `before`, the text up to it.
    fn at(problem: &'static str, before: &[u8]) -> Self {
        let line = before.split(|&b| b == b'\n').count();
        let last = before.rsplit(|&b| b == b'\n').next().unwrap_or(before);
        Self { problem, line, column: String::from_utf8_lossy(last).chars().count() + 1 }
    }
}
