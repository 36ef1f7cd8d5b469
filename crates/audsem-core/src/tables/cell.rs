//! The values a column can hold: numbers, booleans and texts. Lists and structs are in
//! separate modules.

use std::fmt;

use polars::prelude::ArrowDataType;
use polars_arrow::array::{Array, BooleanArray, MutablePlString, PrimitiveArray, Utf8ViewArray};

use super::ColumnKind;
use super::numbers::read_numbers;
use crate::json::MAX_RECORD_BYTES;
use crate::terminal::{by_number, counted};

/// An array as the Parquet library hands it over.
pub type ArrowArray = Box<dyn Array>;

/// Why a column cannot be read as the type that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// Values are absent in a column that may not have absent values: how many, of how many.
    Absent(usize, usize),
    /// A value cannot be held by the type.
    Range(String),
    /// The decoder returned another type than the file's schema says.
    Type(String),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(absent, all) => {
                write!(f, "{absent} of {} {} absent", counted(*all, "values"), by_number(*absent, "is", "are"))
            }
            Self::Range(detail) | Self::Type(detail) => f.write_str(detail),
        }
    }
}

/// A Rust type that can be the type of a column.
pub trait Cell: fmt::Debug + Sized + Send + Sync + 'static {
    /// Column type of the cell.
    const KIND: ColumnKind;
    /// Whether a value may be absent.
    const NULLABLE: bool;
    /// A value that borrows its text.
    type Ref<'a>: Copy + fmt::Debug + PartialEq;
    /// Values that were read.
    type Column: fmt::Debug + Send + Sync + 'static;
    /// Values to be written.
    type Buffer: Default + Send;

    /// This value, borrowed.
    fn as_cell(&self) -> Self::Ref<'_>;
    /// An owned value.
    fn from_cell(cell: Self::Ref<'_>) -> Self;
    /// Appends a value.
    fn push(buffer: &mut Self::Buffer, cell: Self::Ref<'_>);
    /// Appends what stands in the place of a value inside an absent struct.
    fn push_placeholder(buffer: &mut Self::Buffer);
    /// Value `i` of a column; panics beyond its end.
    fn get(column: &Self::Column, i: usize) -> Self::Ref<'_>;
    /// Empties the buffer into an array for the Parquet library.
    #[doc(hidden)]
    fn finish(buffer: &mut Self::Buffer) -> ArrowArray;
    /// Takes the values out of an array of a type that [`ColumnKind`] accepts.
    #[doc(hidden)]
    fn open(array: &dyn Array) -> Result<Self::Column, Misfit>;
}

/// Refuses absent values.
fn all_there(array: &dyn Array) -> Result<(), Misfit> {
    match array.null_count() {
        0 => Ok(()),
        absent => Err(Misfit::Absent(absent, array.len())),
    }
}

macro_rules! number {
    ($ty:ty, $kind:expr) => {
        impl Cell for $ty {
            const KIND: ColumnKind = $kind;
            const NULLABLE: bool = false;
            type Ref<'a> = $ty;
            type Column = Vec<$ty>;
            type Buffer = Vec<$ty>;

            fn as_cell(&self) -> $ty {
                *self
            }

            fn from_cell(cell: $ty) -> $ty {
                cell
            }

            fn push(buffer: &mut Vec<$ty>, cell: $ty) {
                buffer.push(cell);
            }

            fn push_placeholder(buffer: &mut Vec<$ty>) {
                buffer.push(<$ty>::default());
            }

            fn get(column: &Vec<$ty>, i: usize) -> $ty {
                column[i]
            }

            fn finish(buffer: &mut Vec<$ty>) -> ArrowArray {
                PrimitiveArray::from_vec(std::mem::take(buffer)).boxed()
            }

            fn open(array: &dyn Array) -> Result<Vec<$ty>, Misfit> {
                all_there(array)?;
                match array.as_any().downcast_ref::<PrimitiveArray<$ty>>() {
                    Some(array) => Ok(array.values().as_slice().to_vec()),
                    None => Ok(read_numbers::<$ty>(array)?.into_iter().flatten().collect()),
                }
            }
        }

        impl Cell for Option<$ty> {
            const KIND: ColumnKind = $kind;
            const NULLABLE: bool = true;
            type Ref<'a> = Option<$ty>;
            type Column = Vec<Option<$ty>>;
            type Buffer = Vec<Option<$ty>>;

            fn as_cell(&self) -> Option<$ty> {
                *self
            }

            fn from_cell(cell: Option<$ty>) -> Option<$ty> {
                cell
            }

            fn push(buffer: &mut Vec<Option<$ty>>, cell: Option<$ty>) {
                buffer.push(cell);
            }

            fn push_placeholder(buffer: &mut Vec<Option<$ty>>) {
                buffer.push(None);
            }

            fn get(column: &Vec<Option<$ty>>, i: usize) -> Option<$ty> {
                column[i]
            }

            fn finish(buffer: &mut Vec<Option<$ty>>) -> ArrowArray {
                PrimitiveArray::<$ty>::from_slice_of_options(&std::mem::take(buffer))
            }

            fn open(array: &dyn Array) -> Result<Vec<Option<$ty>>, Misfit> {
                match array.as_any().downcast_ref::<PrimitiveArray<$ty>>() {
                    Some(array) => Ok(array.iter().map(|value| value.copied()).collect()),
                    None => read_numbers::<$ty>(array),
                }
            }
        }
    };
}

number!(u64, ColumnKind::U64);
number!(u32, ColumnKind::U32);
number!(i64, ColumnKind::I64);
number!(i32, ColumnKind::I32);
number!(i8, ColumnKind::I8);
number!(f64, ColumnKind::F64);
number!(f32, ColumnKind::F32);

/// Makes arrays from values that may be absent.
trait FromOptions<T> {
    fn from_slice_of_options(values: &[Option<T>]) -> ArrowArray;
}

impl<T: polars_arrow::types::NativeType> FromOptions<T> for PrimitiveArray<T> {
    fn from_slice_of_options(values: &[Option<T>]) -> ArrowArray {
        Self::from_trusted_len_iter(values.iter().copied()).boxed()
    }
}

impl Cell for bool {
    const KIND: ColumnKind = ColumnKind::Bool;
    const NULLABLE: bool = false;
    type Ref<'a> = bool;
    type Column = Vec<bool>;
    type Buffer = Vec<bool>;

    fn as_cell(&self) -> bool {
        *self
    }

    fn from_cell(cell: bool) -> bool {
        cell
    }

    fn push(buffer: &mut Vec<bool>, cell: bool) {
        buffer.push(cell);
    }

    fn push_placeholder(buffer: &mut Vec<bool>) {
        buffer.push(false);
    }

    fn get(column: &Vec<bool>, i: usize) -> bool {
        column[i]
    }

    fn finish(buffer: &mut Vec<bool>) -> ArrowArray {
        BooleanArray::from_slice(std::mem::take(buffer)).boxed()
    }

    fn open(array: &dyn Array) -> Result<Vec<bool>, Misfit> {
        all_there(array)?;
        let array = array.as_any().downcast_ref::<BooleanArray>().ok_or_else(|| wrong_type(array))?;
        Ok(array.values().iter().collect())
    }
}

/// The message for an array of a type that nothing accepts.
pub(super) fn wrong_type(array: &dyn Array) -> Misfit {
    Misfit::Type(format!("the decoder returned {}", super::kind::type_name(array.dtype())))
}

/// Texts that were read, stored together in memory and accessed without a copy.
#[derive(Debug)]
pub struct StrColumn(Utf8ViewArray);

impl StrColumn {
    /// Text `i`, the empty text where it is absent; panics beyond the end.
    pub fn get(&self, i: usize) -> &str {
        // Where a text is absent, the place of its value may hold that of another one.
        self.0.get(i).unwrap_or_default()
    }

    /// Text `i`, unless it is absent; panics beyond the end.
    pub fn get_opt(&self, i: usize) -> Option<&str> {
        self.0.get(i)
    }

    /// All texts in order, the empty text where one is absent.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Option::unwrap_or_default)
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn open(array: &dyn Array) -> Result<Self, Misfit> {
        if *array.dtype() == ArrowDataType::Null {
            return Ok(Self(Utf8ViewArray::new_null(ArrowDataType::Utf8View, array.len())));
        }
        let texts = array.as_any().downcast_ref::<Utf8ViewArray>().ok_or_else(|| wrong_type(array))?;
        refuse_long(texts).map_err(Misfit::Range)?;
        Ok(Self(texts.clone()))
    }
}

/// Refuses texts longer than [`MAX_RECORD_BYTES`]: a page of a few kilobytes can hold one of any length, and whoever gets
/// it makes several times as much of it.
pub(super) fn refuse_long(texts: &Utf8ViewArray) -> Result<(), String> {
    let longest = texts.views().iter().map(|view| view.length).max().unwrap_or(0) as usize;
    if longest <= MAX_RECORD_BYTES {
        return Ok(());
    }
    Err(format!("a text of {longest} bytes; at most {MAX_RECORD_BYTES} are read"))
}

/// Texts to be written.
#[derive(Default)]
pub struct StrBuffer(MutablePlString);

impl StrBuffer {
    fn finish(&mut self) -> ArrowArray {
        std::mem::take(self).0.freeze().boxed()
    }
}

impl Cell for String {
    const KIND: ColumnKind = ColumnKind::Str;
    const NULLABLE: bool = false;
    type Ref<'a> = &'a str;
    type Column = StrColumn;
    type Buffer = StrBuffer;

    fn as_cell(&self) -> &str {
        self
    }

    fn from_cell(cell: &str) -> String {
        cell.to_owned()
    }

    fn push(buffer: &mut StrBuffer, cell: &str) {
        buffer.0.push_value(cell);
    }

    fn push_placeholder(buffer: &mut StrBuffer) {
        buffer.0.push_value("");
    }

    fn get(column: &StrColumn, i: usize) -> &str {
        column.get(i)
    }

    fn finish(buffer: &mut StrBuffer) -> ArrowArray {
        buffer.finish()
    }

    fn open(array: &dyn Array) -> Result<StrColumn, Misfit> {
        all_there(array)?;
        StrColumn::open(array)
    }
}

impl Cell for Option<String> {
    const KIND: ColumnKind = ColumnKind::Str;
    const NULLABLE: bool = true;
    type Ref<'a> = Option<&'a str>;
    type Column = StrColumn;
    type Buffer = StrBuffer;

    fn as_cell(&self) -> Option<&str> {
        self.as_deref()
    }

    fn from_cell(cell: Option<&str>) -> Option<String> {
        cell.map(str::to_owned)
    }

    fn push(buffer: &mut StrBuffer, cell: Option<&str>) {
        buffer.0.push(cell);
    }

    fn push_placeholder(buffer: &mut StrBuffer) {
        buffer.0.push_null();
    }

    fn get(column: &StrColumn, i: usize) -> Option<&str> {
        column.get_opt(i)
    }

    fn finish(buffer: &mut StrBuffer) -> ArrowArray {
        buffer.finish()
    }

    fn open(array: &dyn Array) -> Result<StrColumn, Misfit> {
        StrColumn::open(array)
    }
}
