//! Structs as values of a column: any row type may be one, so `Vec<LabelProb>` is a column
//! `list<struct<label: string, prob: f32>>` once `LabelProb` is declared with [`row!`](crate::row).

use polars_arrow::array::{Array, NullArray, StructArray};

use super::cell::{ArrowArray, Misfit, wrong_type};
use super::lists::{Spans, gather, validity};
use super::{Cell, ColumnKind, Columns, Frame, Row};

/// Structs that were read.
#[derive(Debug)]
pub struct StructColumn<R: Row> {
    fields: R::Columns,
    /// The number of each struct among those that are there; `None` for one that is absent.
    numbers: Vec<Option<usize>>,
}

impl<R: Row> StructColumn<R> {
    fn open(array: &dyn Array) -> Result<Self, Misfit> {
        let (is_there, columns) = fields(array)?;
        let mut n_there = 0;
        let numbers = is_there.iter().map(|there| {
            there.as_ref()?;
            n_there += 1;
            Some(n_there - 1)
        });
        let numbers = numbers.collect();
        let fields = R::Columns::open(&Frame::new(n_there, columns)).map_err(|bad| match bad.misfit {
            Misfit::Type(detail) => Misfit::Type(format!("field `{}`: {detail}", bad.column)),
            other => Misfit::Range(format!("field `{}`: {other}", bad.column)),
        })?;
        Ok(Self { fields, numbers })
    }
}

/// Which structs of an array are there, and the fields of those.
fn fields(array: &dyn Array) -> Result<(Spans, Vec<(String, ArrowArray)>), Misfit> {
    if array.as_any().is::<NullArray>() {
        return Ok((vec![None; array.len()], Vec::new()));
    }
    let array = array.as_any().downcast_ref::<StructArray>().ok_or_else(|| wrong_type(array))?;
    let is_there: Spans = (0..array.len()).map(|i| array.is_valid(i).then(|| i..i + 1)).collect();
    let mut columns = Vec::with_capacity(array.fields().len());
    for (field, values) in array.fields().iter().zip(array.values()) {
        // What lies below absent structs is nothing: it must not count as absent values.
        columns.push((field.name.to_string(), gather(values.as_ref(), &is_there)?.0));
    }
    Ok((is_there, columns))
}

/// Structs to be written.
pub struct StructBuffer<R: Row> {
    fields: R::Buffers,
    is_there: Vec<bool>,
}

impl<R: Row> Default for StructBuffer<R> {
    fn default() -> Self {
        Self { fields: R::Buffers::default(), is_there: Vec::new() }
    }
}

impl<R: Row> StructBuffer<R> {
    fn push(&mut self, row: Option<R::Ref<'_>>) {
        match row {
            Some(row) => R::push(&mut self.fields, row),
            None => R::push_placeholder(&mut self.fields),
        }
        self.is_there.push(row.is_some());
    }

    fn finish(&mut self) -> ArrowArray {
        let mut buffer = std::mem::take(self);
        let dtype = ColumnKind::Struct(R::COLUMNS).arrow_type();
        let fields = R::finish(&mut buffer.fields);
        StructArray::new(dtype, buffer.is_there.len(), fields, validity(&buffer.is_there)).boxed()
    }
}

impl<R: Row> Cell for R {
    const KIND: ColumnKind = ColumnKind::Struct(R::COLUMNS);
    const NULLABLE: bool = false;
    type Ref<'a> = R::Ref<'a>;
    type Column = StructColumn<R>;
    type Buffer = StructBuffer<R>;

    fn as_cell(&self) -> R::Ref<'_> {
        self.as_row()
    }

    fn from_cell(cell: R::Ref<'_>) -> Self {
        R::from_row(cell)
    }

    fn push(buffer: &mut StructBuffer<R>, cell: R::Ref<'_>) {
        buffer.push(Some(cell));
    }

    fn push_placeholder(buffer: &mut StructBuffer<R>) {
        R::push_placeholder(&mut buffer.fields);
        buffer.is_there.push(true);
    }

    fn get(column: &StructColumn<R>, i: usize) -> R::Ref<'_> {
        column.fields.get(column.numbers[i].expect("absent structs were refused when the column was opened"))
    }

    fn finish(buffer: &mut StructBuffer<R>) -> ArrowArray {
        buffer.finish()
    }

    fn open(array: &dyn Array) -> Result<StructColumn<R>, Misfit> {
        let column = StructColumn::open(array)?;
        match column.numbers.iter().filter(|number| number.is_none()).count() {
            0 => Ok(column),
            absent => Err(Misfit::Absent(absent, column.numbers.len())),
        }
    }
}

impl<R: Row> Cell for Option<R> {
    const KIND: ColumnKind = ColumnKind::Struct(R::COLUMNS);
    const NULLABLE: bool = true;
    type Ref<'a> = Option<R::Ref<'a>>;
    type Column = StructColumn<R>;
    type Buffer = StructBuffer<R>;

    fn as_cell(&self) -> Option<R::Ref<'_>> {
        self.as_ref().map(R::as_row)
    }

    fn from_cell(cell: Option<R::Ref<'_>>) -> Self {
        cell.map(R::from_row)
    }

    fn push(buffer: &mut StructBuffer<R>, cell: Option<R::Ref<'_>>) {
        buffer.push(cell);
    }

    fn push_placeholder(buffer: &mut StructBuffer<R>) {
        buffer.push(None);
    }

    fn get(column: &StructColumn<R>, i: usize) -> Option<R::Ref<'_>> {
        column.numbers[i].map(|number| column.fields.get(number))
    }

    fn finish(buffer: &mut StructBuffer<R>) -> ArrowArray {
        buffer.finish()
    }

    fn open(array: &dyn Array) -> Result<StructColumn<R>, Misfit> {
        StructColumn::open(array)
    }
}
