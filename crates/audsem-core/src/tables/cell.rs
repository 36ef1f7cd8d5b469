//! The value types a column can hold.

use std::fmt;

use polars::prelude::{
    BooleanChunked, BooleanType, ChunkedArray, DataType, Float32Type, Int8Type, IntoColumn, IntoSeries,
    NewChunkedArray, PlSmallStr, PolarsDataType, Series, StringChunked, StringChunkedBuilder, StringType, UInt32Type,
    UInt64Type,
};

use super::PolarsColumn;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned integer of 64 bits.
    U64,
    /// Unsigned integer of 32 bits.
    U32,
    /// Signed integer of 8 bits.
    I8,
    /// IEEE 754 number of 32 bits.
    F32,
    /// UTF-8 text.
    Str,
    /// True or false.
    Bool,
    /// As many IEEE 754 numbers of 32 bits in every row; see [`super::VectorFile`].
    Vector,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U64 => "u64",
            Self::U32 => "u32",
            Self::I8 => "i8",
            Self::F32 => "f32",
            Self::Str => "string",
            Self::Bool => "bool",
            Self::Vector => "fixed-size list of f32",
        })
    }
}

impl Kind {
    /// The column type of the Parquet library.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::U64 => DataType::UInt64,
            Self::U32 => DataType::UInt32,
            Self::I8 => DataType::Int8,
            Self::F32 => DataType::Float32,
            Self::Str => DataType::String,
            Self::Bool => DataType::Boolean,
            Self::Vector => DataType::List(Box::new(DataType::Float32)),
        }
    }
}

/// A Rust type that can be the type of a column.
pub trait Cell: Sized + Send + Sync + 'static {
    /// Its column type.
    const KIND: Kind;
    /// Whether a value may be absent.
    const NULLABLE: bool;
    /// A value that borrows its text.
    type Ref<'a>: Copy + fmt::Debug + PartialEq;
    /// Values that were read.
    type Column: fmt::Debug + Send + Sync;
    /// Values to be written.
    type Buffer: Default + Send;

    /// This value, borrowed.
    fn as_cell(&self) -> Self::Ref<'_>;
    /// An owned value.
    fn from_cell(cell: Self::Ref<'_>) -> Self;
    /// Appends a value.
    fn push(buffer: &mut Self::Buffer, cell: Self::Ref<'_>);
    /// Value `i` of a column; panics beyond its end.
    fn get(column: &Self::Column, i: usize) -> Self::Ref<'_>;
    /// Empties the buffer into a column of the Parquet library.
    #[doc(hidden)]
    fn finish(buffer: &mut Self::Buffer, name: &'static str) -> PolarsColumn;
    /// Takes the values out of a series of the right type, without nulls unless `NULLABLE`.
    #[doc(hidden)]
    fn open(series: &Series) -> Self::Column;
}

/// A series that was cast to the type of the cell, as the array type behind it.
fn typed<T: PolarsDataType>(series: &Series) -> &ChunkedArray<T> {
    series.as_any().downcast_ref().expect("the frame has cast the series to the type of the cell")
}

macro_rules! number {
    ($ty:ty, $kind:expr, $polars:ty) => {
        impl Cell for $ty {
            const KIND: Kind = $kind;
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

            fn get(column: &Vec<$ty>, i: usize) -> $ty {
                column[i]
            }

            fn finish(buffer: &mut Vec<$ty>, name: &'static str) -> PolarsColumn {
                let values = std::mem::take(buffer);
                ChunkedArray::<$polars>::from_vec(PlSmallStr::from_static(name), values).into_series().into_column()
            }

            fn open(series: &Series) -> Vec<$ty> {
                let mut values = Vec::with_capacity(series.len());
                for array in typed::<$polars>(series).downcast_iter() {
                    values.extend_from_slice(array.values());
                }
                values
            }
        }

        impl Cell for Option<$ty> {
            const KIND: Kind = $kind;
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

            fn get(column: &Vec<Option<$ty>>, i: usize) -> Option<$ty> {
                column[i]
            }

            fn finish(buffer: &mut Vec<Option<$ty>>, name: &'static str) -> PolarsColumn {
                let values = std::mem::take(buffer);
                ChunkedArray::<$polars>::from_slice_options(PlSmallStr::from_static(name), &values)
                    .into_series()
                    .into_column()
            }

            fn open(series: &Series) -> Vec<Option<$ty>> {
                typed::<$polars>(series).iter().collect()
            }
        }
    };
}

number!(u64, Kind::U64, UInt64Type);
number!(u32, Kind::U32, UInt32Type);
number!(i8, Kind::I8, Int8Type);
number!(f32, Kind::F32, Float32Type);

impl Cell for bool {
    const KIND: Kind = Kind::Bool;
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

    fn get(column: &Vec<bool>, i: usize) -> bool {
        column[i]
    }

    fn finish(buffer: &mut Vec<bool>, name: &'static str) -> PolarsColumn {
        let values = std::mem::take(buffer);
        BooleanChunked::from_slice(PlSmallStr::from_static(name), &values).into_series().into_column()
    }

    fn open(series: &Series) -> Vec<bool> {
        typed::<BooleanType>(series).iter().map(|value| value.unwrap_or_default()).collect()
    }
}

/// Texts that were read. They lie together in memory; none is copied to look at it.
#[derive(Debug)]
pub struct StrColumn(StringChunked);

impl StrColumn {
    /// Text `i`, the empty text where it is absent; panics beyond the end.
    pub fn get(&self, i: usize) -> &str {
        self.array().value(i)
    }

    /// Text `i`, unless it is absent; panics beyond the end.
    pub fn get_opt(&self, i: usize) -> Option<&str> {
        self.array().get(i)
    }

    /// All texts in order, the empty text where one is absent.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.array().values_iter()
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn array(&self) -> &<StringType as PolarsDataType>::Array {
        self.0.downcast_as_array()
    }

    fn open(series: &Series) -> Self {
        Self(typed::<StringType>(series).rechunk().into_owned())
    }
}

/// Texts to be written.
pub struct StrBuffer(StringChunkedBuilder);

impl Default for StrBuffer {
    fn default() -> Self {
        Self(StringChunkedBuilder::new(PlSmallStr::EMPTY, 0))
    }
}

impl StrBuffer {
    fn finish(&mut self, name: &'static str) -> PolarsColumn {
        let mut texts = std::mem::take(self).0.finish();
        texts.rename(PlSmallStr::from_static(name));
        texts.into_series().into_column()
    }
}

impl Cell for String {
    const KIND: Kind = Kind::Str;
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
        buffer.0.append_value(cell);
    }

    fn get(column: &StrColumn, i: usize) -> &str {
        column.get(i)
    }

    fn finish(buffer: &mut StrBuffer, name: &'static str) -> PolarsColumn {
        buffer.finish(name)
    }

    fn open(series: &Series) -> StrColumn {
        StrColumn::open(series)
    }
}

impl Cell for Option<String> {
    const KIND: Kind = Kind::Str;
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
        buffer.0.append_option(cell);
    }

    fn get(column: &StrColumn, i: usize) -> Option<&str> {
        column.get_opt(i)
    }

    fn finish(buffer: &mut StrBuffer, name: &'static str) -> PolarsColumn {
        buffer.finish(name)
    }

    fn open(series: &Series) -> StrColumn {
        StrColumn::open(series)
    }
}
