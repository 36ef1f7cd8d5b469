//! The types of columns: how they are called, written, and which foreign types may stand for them.

use std::fmt;

use polars::prelude::{ArrowDataType, ArrowField, PlSmallStr};

use super::ColumnSpec;

/// What Arrow and Parquet call the values of a list.
const ELEMENT: &str = "element";

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Unsigned integer of 64 bits.
    U64,
    /// Unsigned integer of 32 bits.
    U32,
    /// Signed integer of 64 bits.
    I64,
    /// Signed integer of 32 bits.
    I32,
    /// Signed integer of 8 bits.
    I8,
    /// IEEE 754 number of 64 bits.
    F64,
    /// IEEE 754 number of 32 bits.
    F32,
    /// UTF-8 text.
    Str,
    /// True or false.
    Bool,
    /// Any number of values of one type in a row.
    List {
        /// The type of the values.
        item: &'static ColumnKind,
        /// Whether values may be absent.
        nullable: bool,
    },
    /// Named fields in a row.
    Struct(&'static [ColumnSpec]),
    /// The same number of IEEE 754 numbers of 32 bits in every row; see [`super::VectorFile`].
    Vector,
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U64 => "u64",
            Self::U32 => "u32",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I8 => "i8",
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::Str => "string",
            Self::Bool => "bool",
            Self::Vector => "fixed-size list of f32",
            Self::List { item, .. } => return write!(f, "list<{item}>"),
            Self::Struct(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|field| format!("{}: {}", field.name, field.kind)).collect();
                return write!(f, "struct<{}>", fields.join(", "));
            }
        })
    }
}

impl ColumnKind {
    /// Whether one value of the type holds others.
    pub fn is_nested(self) -> bool {
        matches!(self, Self::List { .. } | Self::Struct(_) | Self::Vector)
    }

    /// The type as it is written.
    pub(super) fn arrow_type(self) -> ArrowDataType {
        let field =
            |name: &'static str, kind: Self| ArrowField::new(PlSmallStr::from_static(name), kind.arrow_type(), true);
        match self {
            Self::U64 => ArrowDataType::UInt64,
            Self::U32 => ArrowDataType::UInt32,
            Self::I64 => ArrowDataType::Int64,
            Self::I32 => ArrowDataType::Int32,
            Self::I8 => ArrowDataType::Int8,
            Self::F64 => ArrowDataType::Float64,
            Self::F32 => ArrowDataType::Float32,
            Self::Str => ArrowDataType::Utf8View,
            Self::Bool => ArrowDataType::Boolean,
            Self::List { item, .. } => ArrowDataType::LargeList(Box::new(field(ELEMENT, *item))),
            Self::Struct(fields) => {
                ArrowDataType::Struct(fields.iter().map(|spec| field(spec.name, spec.kind)).collect())
            }
            Self::Vector => ArrowDataType::LargeList(Box::new(field(ELEMENT, Self::F32))),
        }
    }

    /// Whether a column of another program may stand for one of this type. Values that do not fit are found later.
    pub(super) fn accepts(self, found: &ArrowDataType, nullable: bool) -> bool {
        if *found == ArrowDataType::Null {
            return nullable;
        }
        match self {
            Self::U64 | Self::U32 | Self::I64 | Self::I32 | Self::I8 => is_integer(found),
            Self::F64 | Self::F32 => is_integer(found) || is_float(found),
            Self::Str => is_text(found),
            Self::Bool => *found == ArrowDataType::Boolean,
            Self::List { item, nullable } => list_item(found).is_some_and(|found| item.accepts(&found.dtype, nullable)),
            Self::Vector => list_item(found).is_some_and(|found| is_float(&found.dtype)),
            Self::Struct(fields) => match found {
                ArrowDataType::Struct(found) => fields.iter().all(|wanted| {
                    let found = found.iter().find(|field| field.name.as_str() == wanted.name);
                    found.map_or(wanted.nullable, |found| wanted.kind.accepts(&found.dtype, wanted.nullable))
                }),
                _ => false,
            },
        }
    }
}

fn is_integer(found: &ArrowDataType) -> bool {
    use ArrowDataType::{Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    matches!(found, UInt8 | UInt16 | UInt32 | UInt64 | Int8 | Int16 | Int32 | Int64)
}

fn is_float(found: &ArrowDataType) -> bool {
    matches!(found, ArrowDataType::Float16 | ArrowDataType::Float32 | ArrowDataType::Float64)
}

/// Dictionaries of texts are texts: they are read as what they stand for.
fn is_text(found: &ArrowDataType) -> bool {
    matches!(found, ArrowDataType::Utf8 | ArrowDataType::LargeUtf8 | ArrowDataType::Utf8View)
}

/// What the lists of a column hold.
pub(super) fn list_item(found: &ArrowDataType) -> Option<&ArrowField> {
    match found {
        ArrowDataType::List(item) | ArrowDataType::LargeList(item) | ArrowDataType::FixedSizeList(item, _) => {
            Some(item)
        }
        _ => None,
    }
}

/// A type as messages call it.
pub(super) fn type_name(found: &ArrowDataType) -> String {
    use ArrowDataType::{Boolean, Float16, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    let name = match found {
        UInt8 => "u8",
        UInt16 => "u16",
        UInt32 => "u32",
        UInt64 => "u64",
        Int8 => "i8",
        Int16 => "i16",
        Int32 => "i32",
        Int64 => "i64",
        Float16 => "f16",
        Float32 => "f32",
        Float64 => "f64",
        Boolean => "bool",
        other if is_text(other) => "string",
        ArrowDataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{}: {}", field.name, type_name(&field.dtype))).collect();
            return format!("struct<{}>", fields.join(", "));
        }
        other => {
            return list_item(other)
                .map_or_else(|| other_name(other).to_owned(), |item| format!("list<{}>", type_name(&item.dtype)));
        }
    };
    name.to_owned()
}

/// A type that no column of ours has.
fn other_name(found: &ArrowDataType) -> &'static str {
    use ArrowDataType as Type;
    match found {
        Type::Null => "null",
        Type::Timestamp(..) | Type::Date32 | Type::Date64 => "date",
        Type::Time32(_) | Type::Time64(_) | Type::Duration(_) | Type::Interval(_) => "time",
        Type::Binary | Type::FixedSizeBinary(_) | Type::LargeBinary | Type::BinaryView => "bytes",
        Type::Dictionary(..) => "dictionary",
        Type::Map(..) => "map",
        Type::Union(_) => "union",
        Type::Decimal(..) | Type::Decimal32(..) | Type::Decimal64(..) | Type::Decimal256(..) => "decimal",
        _ => "another type",
    }
}
