//! Numbers of other types than ours, value by value and only where each can be held.

use std::fmt;

use polars::polars_utils::float16::pf16;
use polars::prelude::ArrowDataType;
use polars_arrow::array::{Array, PrimitiveArray};

use super::cell::{Misfit, wrong_type};

/// A number of a foreign column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Any integer of up to 64 bits.
    Integer(i128),
    /// Any floating-point number of up to 64 bits.
    Float(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
        }
    }
}

/// A number type that foreign numbers are turned into.
pub(super) trait FromNumber: Sized {
    /// The name in messages.
    const NAME: &'static str;
    /// Converts a number; `None` where the type has no room for it. Floating-point types round.
    fn from_number(number: Number) -> Option<Self>;
}

macro_rules! integers {
    ($($ty:ident),+) => {
        $(impl FromNumber for $ty {
            const NAME: &'static str = stringify!($ty);

            fn from_number(number: Number) -> Option<Self> {
                match number {
                    Number::Integer(number) => number.try_into().ok(),
                    Number::Float(_) => None,
                }
            }
        })+
    };
}

macro_rules! floats {
    ($($ty:ident),+) => {
        $(impl FromNumber for $ty {
            const NAME: &'static str = stringify!($ty);

            fn from_number(number: Number) -> Option<Self> {
                Some(match number {
                    Number::Integer(number) => number as $ty,
                    Number::Float(number) => number as $ty,
                })
            }
        })+
    };
}

integers!(u64, u32, i64, i32, i8);
floats!(f64, f32);

/// The numbers of an array of any integer or floating-point type.
///
/// # Errors
/// One does not fit, or the array holds no numbers.
pub(super) fn read_numbers<T: FromNumber>(array: &dyn Array) -> Result<Vec<Option<T>>, Misfit> {
    if *array.dtype() == ArrowDataType::Null {
        return Ok((0..array.len()).map(|_| None).collect());
    }
    let mut values = Vec::with_capacity(array.len());
    for_each_number(array, |number| {
        let value = number.map(|number| T::from_number(number).ok_or(number)).transpose();
        values.push(value.map_err(|number| Misfit::Range(format!("not every value fits {}: {number}", T::NAME)))?);
        Ok(())
    })?;
    Ok(values)
}

/// Shows every number of an array, `None` where it is absent.
///
/// # Errors
/// The array holds no numbers, and what `visit` gives.
pub(super) fn for_each_number(
    array: &dyn Array,
    mut visit: impl FnMut(Option<Number>) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    macro_rules! visit_as {
        ($($ty:ty => $number:expr),+ $(,)?) => {
            $(if let Some(array) = array.as_any().downcast_ref::<PrimitiveArray<$ty>>() {
                return array.iter().try_for_each(|value| visit(value.map(|value| $number(*value))));
            })+
        };
    }
    visit_as!(
        u8 => |value| Number::Integer(i128::from(value)),
        u16 => |value| Number::Integer(i128::from(value)),
        u32 => |value| Number::Integer(i128::from(value)),
        u64 => |value| Number::Integer(i128::from(value)),
        i8 => |value| Number::Integer(i128::from(value)),
        i16 => |value| Number::Integer(i128::from(value)),
        i32 => |value| Number::Integer(i128::from(value)),
        i64 => |value| Number::Integer(i128::from(value)),
        pf16 => |value: pf16| Number::Float(f64::from(f32::from(value))),
        f32 => |value| Number::Float(f64::from(value)),
        f64 => Number::Float,
    );
    Err(wrong_type(array))
}
