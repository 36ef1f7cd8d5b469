//! Rows of any Parquet file as JSON objects, whatever its columns are.
//!
//! Lists are arrays, structs objects, maps arrays of objects `key`, `value`; dates, times and decimals are text. Bytes have no
//! form in JSON: their columns, and their fields of structs, are left out; [`MediaRows`](super::MediaRows) reads sounds.
//!
//! For tables whose columns are only passed through. A table whose columns are known has a row type.

use std::path::Path;

use polars::polars_utils::float16::pf16;
use polars::prelude::ArrowDataType;
use polars_arrow::array::{
    Array, BooleanArray, FixedSizeListArray, ListArray, PrimitiveArray, StructArray, Utf8ViewArray, get_display,
};
use polars_buffer::Buffer;
use serde_json::{Map, Number, Value};

use super::TableError;
use super::cell::{ArrowArray, refuse_long};
use super::column_chunks::ColumnChunks;
use super::parquet_read::guarded;

/// Maximum nesting of columns that are read: deeper ones do not occur, and each level is a recursive call.
const MAX_DEPTH: usize = 64;

/// A Parquet file whose rows are read as JSON.
pub struct JsonRows {
    chunks: ColumnChunks,
    names: Vec<String>,
    without_json: Vec<String>,
}

impl JsonRows {
    /// Opens a file.
    ///
    /// # Errors
    /// The file cannot be opened or is no Parquet file.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        Self::new(ColumnChunks::open(path)?)
    }

    /// Opens a table that lies in memory; `name` identifies it in messages.
    ///
    /// # Errors
    /// The bytes are not a Parquet file.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, TableError> {
        Self::new(ColumnChunks::new(name.to_owned(), Buffer::from_vec(bytes))?)
    }

    fn new(chunks: ColumnChunks) -> Result<Self, TableError> {
        let columns = || chunks.schema.iter().map(|(name, field)| (name.to_string(), &field.dtype));
        let names = columns().filter(|(_, dtype)| has_json(dtype, MAX_DEPTH)).map(|(name, _)| name).collect();
        let mut without_json = Vec::new();
        columns().for_each(|(name, dtype)| note_without_json(name, dtype, MAX_DEPTH, &mut without_json));
        Ok(Self { names, without_json, chunks })
    }

    /// The columns that are read, in file order.
    pub fn columns(&self) -> &[String] {
        &self.names
    }

    /// What is not read because JSON has no form for it: columns of bytes, and fields of structs that are bytes, as `a.b`.
    pub fn columns_without_json(&self) -> &[String] {
        &self.without_json
    }

    /// Reads the named columns alone. Names that the file does not have are skipped.
    #[must_use]
    pub fn with_columns(mut self, wanted: &[&str]) -> Self {
        self.names.retain(|name| wanted.contains(&name.as_str()));
        self
    }

    /// Number of rows in the file.
    pub fn n_rows(&self) -> usize {
        self.chunks.n_rows()
    }

    /// Number of row groups.
    pub fn n_groups(&self) -> usize {
        self.chunks.n_groups()
    }

    /// How many rows row group `i` has; panics beyond the last.
    pub fn n_rows_in(&self, i: usize) -> usize {
        self.chunks.n_rows_in(i)
    }

    /// The columns of row group `i`; panics beyond the last.
    ///
    /// # Errors
    /// The data is damaged.
    pub fn group(&self, i: usize) -> Result<JsonGroup, TableError> {
        let column = |name: &String| {
            let array = self.chunks.array(i, name)?;
            if let Some(texts) = array.as_any().downcast_ref::<Utf8ViewArray>() {
                refuse_long(texts).map_err(|detail| self.chunks.damaged(format!("column `{name}`: {detail}")))?;
            }
            Ok((name.clone(), array))
        };
        let columns = self.names.iter().map(column).collect::<Result<_, TableError>>()?;
        Ok(JsonGroup { n_rows: self.chunks.n_rows_in(i), columns })
    }

    /// The row groups in order.
    ///
    /// # Errors
    /// As [`JsonRows::group`].
    pub fn groups(&self) -> impl Iterator<Item = Result<JsonGroup, TableError>> {
        (0..self.n_groups()).map(|i| self.group(i))
    }
}

/// Rows of one row group, not yet made into objects.
pub struct JsonGroup {
    n_rows: usize,
    columns: Vec<(String, ArrowArray)>,
}

impl JsonGroup {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.n_rows
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.n_rows == 0
    }

    /// Rows of the table, to be made into objects one by one.
    pub fn reader(&self) -> JsonReader<'_> {
        let columns = self.columns.iter().map(|(name, array)| (name.as_str(), reader(array.as_ref())));
        JsonReader { columns: columns.collect() }
    }
}

/// What makes rows of a [`JsonGroup`] into objects. Rows and values are numbered from 0; a number beyond the last panics.
pub struct JsonReader<'a> {
    columns: Vec<(&'a str, ReadValue<'a>)>,
}

impl JsonReader<'_> {
    /// Row `i` as an object; an absent value is null.
    pub fn row(&self, i: usize) -> Map<String, Value> {
        self.columns.iter().map(|(name, read)| ((*name).to_owned(), read(i))).collect()
    }

    /// One value of row `i`; null if it is absent or there is no such column.
    pub fn value(&self, column: &str, i: usize) -> Value {
        self.columns.iter().find(|(name, _)| *name == column).map_or(Value::Null, |(_, read)| read(i))
    }
}

/// Reads value `i` of a column.
type ReadValue<'a> = Box<dyn Fn(usize) -> Value + 'a>;

/// Whether values of a type have a form in JSON.
fn has_json(found: &ArrowDataType, depth: usize) -> bool {
    use ArrowDataType::{
        Binary, BinaryView, FixedSizeBinary, FixedSizeList, Interval, LargeBinary, LargeList, List, Struct, Union,
    };
    if depth == 0 {
        return false;
    }
    match found {
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) | Interval(_) | Union(_) => false,
        List(item) | LargeList(item) | FixedSizeList(item, _) | ArrowDataType::Map(item, _) => {
            has_json(&item.dtype, depth - 1)
        }
        Struct(fields) => fields.is_empty() || fields.iter().any(|field| has_json(&field.dtype, depth - 1)),
        _ => true,
    }
}

/// Adds what of a column JSON has no form for.
fn note_without_json(name: String, found: &ArrowDataType, depth: usize, to: &mut Vec<String>) {
    match found {
        found if !has_json(found, depth) => to.push(name),
        ArrowDataType::Struct(fields) => {
            fields
                .iter()
                .for_each(|field| note_without_json(format!("{name}.{}", field.name), &field.dtype, depth - 1, to));
        }
        ArrowDataType::List(item) | ArrowDataType::LargeList(item) | ArrowDataType::FixedSizeList(item, _) => {
            note_without_json(name, &item.dtype, depth - 1, to);
        }
        _ => {}
    }
}

/// What reads value `i` of an array.
fn reader(array: &dyn Array) -> ReadValue<'_> {
    let values = present(array);
    Box::new(move |i| if array.is_null(i) { Value::Null } else { values(i) })
}

/// Reads values of which none is absent.
fn present(array: &dyn Array) -> ReadValue<'_> {
    let any = array.as_any();
    if is_plain_number(array.dtype())
        && let Some(read) = number_reader(array)
    {
        return read;
    }
    if let Some(array) = any.downcast_ref::<Utf8ViewArray>() {
        return Box::new(|i| array.value(i).into());
    }
    if let Some(array) = any.downcast_ref::<BooleanArray>() {
        return Box::new(|i| array.value(i).into());
    }
    if let Some(array) = any.downcast_ref::<StructArray>() {
        return struct_reader(array);
    }
    if let Some(array) = any.downcast_ref::<ListArray<i64>>() {
        let values = reader(array.values().as_ref());
        return Box::new(move |i| list(&values, array.offsets().start_end(i)));
    }
    if let Some(array) = any.downcast_ref::<ListArray<i32>>() {
        let values = reader(array.values().as_ref());
        return Box::new(move |i| list(&values, array.offsets().start_end(i)));
    }
    if let Some(array) = any.downcast_ref::<FixedSizeListArray>() {
        let (values, size) = (reader(array.values().as_ref()), array.size());
        return Box::new(move |i| list(&values, (i * size, (i + 1) * size)));
    }
    // Dates, times, durations and decimals, as the library prints them; those that no calendar has as the number they are.
    let (display, number) = (get_display::<String>(array, "null"), number_reader(array));
    Box::new(move |i| {
        let printed = guarded(|| {
            let mut text = String::new();
            Ok(display(&mut text, i).map(|()| text))
        });
        match (printed, &number) {
            (Ok(Ok(text)), _) => text.into(),
            (_, Some(number)) => number(i),
            (_, None) => Value::Null,
        }
    })
}

/// Numbers that are not dates, times or decimals.
fn is_plain_number(found: &ArrowDataType) -> bool {
    use ArrowDataType::{Float16, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    matches!(found, UInt8 | UInt16 | UInt32 | UInt64 | Int8 | Int16 | Int32 | Int64 | Float16 | Float32 | Float64)
}

fn number_reader(array: &dyn Array) -> Option<ReadValue<'_>> {
    macro_rules! read_as {
        ($($ty:ty => $value:expr),+ $(,)?) => {
            $(if let Some(array) = array.as_any().downcast_ref::<PrimitiveArray<$ty>>() {
                return Some(Box::new(|i| $value(array.value(i))));
            })+
        };
    }
    read_as!(
        u8 => Value::from, u16 => Value::from, u32 => Value::from, u64 => Value::from,
        i8 => Value::from, i16 => Value::from, i32 => Value::from, i64 => Value::from,
        pf16 => |value: pf16| float(f64::from(f32::from(value))),
        f32 => |value: f32| float(f64::from(value)),
        f64 => float,
    );
    None
}

/// JSON has no form for NaN and the infinities: null, as pandas reads it back.
fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn struct_reader(array: &StructArray) -> ReadValue<'_> {
    let fields = array.fields().iter().zip(array.values()).filter(|(field, _)| has_json(&field.dtype, MAX_DEPTH));
    let fields: Vec<_> = fields.map(|(field, values)| (field.name.to_string(), reader(values.as_ref()))).collect();
    Box::new(move |i| Value::Object(fields.iter().map(|(name, read)| (name.clone(), read(i))).collect()))
}

fn list(values: &dyn Fn(usize) -> Value, (start, end): (usize, usize)) -> Value {
    (start..end).map(values).collect()
}
