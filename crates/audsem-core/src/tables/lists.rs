//! Lists as values of a column: any cell may be in one.

use std::fmt;
use std::ops::Range;

use polars_arrow::array::{Array, FixedSizeListArray, ListArray, NullArray};
use polars_arrow::bitmap::Bitmap;
use polars_arrow::compute::concatenate::concatenate;
use polars_arrow::offset::OffsetsBuffer;

use super::cell::{ArrowArray, Misfit, wrong_type};
use super::{Cell, ColumnKind};

/// Values of one list, borrowed from a row or from a column.
pub struct ListRef<'a, T: Cell>(Values<'a, T>);

enum Values<'a, T: Cell> {
    Slice(&'a [T]),
    Column(&'a T::Column, usize, usize),
}

impl<T: Cell> Clone for ListRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Cell> Copy for ListRef<'_, T> {}

impl<T: Cell> Clone for Values<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Cell> Copy for Values<'_, T> {}

impl<T: Cell> fmt::Debug for ListRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Cell> PartialEq for ListRef<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(one, other)| one == other)
    }
}

impl<'a, T: Cell> From<&'a [T]> for ListRef<'a, T> {
    fn from(values: &'a [T]) -> Self {
        Self(Values::Slice(values))
    }
}

impl<'a, T: Cell> ListRef<'a, T> {
    /// Number of values.
    pub fn len(self) -> usize {
        match self.0 {
            Values::Slice(values) => values.len(),
            Values::Column(_, start, end) => end - start,
        }
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Value `i`; panics beyond the end.
    pub fn get(self, i: usize) -> T::Ref<'a> {
        match self.0 {
            Values::Slice(values) => values[i].as_cell(),
            Values::Column(column, start, end) => {
                assert!(i < end - start, "value {i} of a list of {}", end - start);
                T::get(column, start + i)
            }
        }
    }

    /// All values in order.
    pub fn iter(self) -> impl Iterator<Item = T::Ref<'a>> {
        (0..self.len()).map(move |i| self.get(i))
    }
}

/// Lists that were read.
#[derive(Debug)]
pub struct ListColumn<T: Cell> {
    values: T::Column,
    /// Where each list lies among the values; `None` for one that is absent.
    spans: Vec<Option<Range<usize>>>,
}

impl<T: Cell> ListColumn<T> {
    fn open(array: &dyn Array) -> Result<Self, Misfit> {
        let (spans, values) = lists(array).ok_or_else(|| wrong_type(array))?;
        // What lies below absent lists is nothing: it must not count as absent values.
        let (values, spans) = gather(values.as_ref(), &spans)?;
        Ok(Self { values: T::open(values.as_ref())?, spans })
    }

    fn get(&self, i: usize) -> Option<ListRef<'_, T>> {
        let span = self.spans[i].as_ref()?;
        Some(ListRef(Values::Column(&self.values, span.start, span.end)))
    }
}

/// Where lists or structs lie in an array of values; `None` for one that is absent.
pub(super) type Spans = Vec<Option<Range<usize>>>;

/// The lists of an array of any list type, and its values.
fn lists(array: &dyn Array) -> Option<(Spans, ArrowArray)> {
    let any = array.as_any();
    if let Some(nothing) = any.downcast_ref::<NullArray>() {
        return Some((vec![None; nothing.len()], nothing.sliced(0, 0)));
    }
    if let Some(list) = any.downcast_ref::<FixedSizeListArray>() {
        let span = |i: usize| list.is_valid(i).then(|| i * list.size()..(i + 1) * list.size());
        return Some(((0..list.len()).map(span).collect(), list.values().clone()));
    }
    if let Some(list) = any.downcast_ref::<ListArray<i64>>() {
        let span = |i: usize| list.is_valid(i).then(|| list.offsets().start_end(i)).map(|(start, end)| start..end);
        return Some(((0..list.len()).map(span).collect(), list.values().clone()));
    }
    let list = any.downcast_ref::<ListArray<i32>>()?;
    let span = |i: usize| list.is_valid(i).then(|| list.offsets().start_end(i)).map(|(start, end)| start..end);
    Some(((0..list.len()).map(span).collect(), list.values().clone()))
}

/// The values that lie in the spans, one span after the other, and the spans among them.
pub(super) fn gather(values: &dyn Array, spans: &[Option<Range<usize>>]) -> Result<(ArrowArray, Spans), Misfit> {
    let mut moved = Vec::with_capacity(spans.len());
    // Neighbouring spans are copied at once; most arrays are one run.
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut end = 0;
    for span in spans {
        let Some(span) = span else {
            moved.push(None);
            continue;
        };
        if span.end > values.len() {
            return Err(Misfit::Type("a list goes beyond its values".to_owned()));
        }
        match runs.last_mut() {
            Some(last) if last.end == span.start => last.end = span.end,
            _ => runs.push(span.clone()),
        }
        moved.push(Some(end..end + span.len()));
        end += span.len();
    }
    let parts: Vec<ArrowArray> = runs.iter().map(|run| values.sliced(run.start, run.len())).collect();
    let values = match parts.as_slice() {
        [] => values.sliced(0, 0),
        [one] => one.clone(),
        parts => {
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            concatenate(&parts).map_err(|error| Misfit::Type(error.to_string()))?
        }
    };
    Ok((values, moved))
}

/// Lists to be written.
pub struct ListBuffer<T: Cell> {
    values: T::Buffer,
    n_values: i64,
    ends: Vec<i64>,
    is_there: Vec<bool>,
}

impl<T: Cell> Default for ListBuffer<T> {
    fn default() -> Self {
        Self { values: T::Buffer::default(), n_values: 0, ends: vec![0], is_there: Vec::new() }
    }
}

impl<T: Cell> ListBuffer<T> {
    fn push(&mut self, list: Option<ListRef<'_, T>>) {
        if let Some(list) = list {
            list.iter().for_each(|value| T::push(&mut self.values, value));
            self.n_values += i64::try_from(list.len()).expect("a list in memory has fewer than 2^63 values");
        }
        self.ends.push(self.n_values);
        self.is_there.push(list.is_some());
    }

    fn finish(&mut self) -> ArrowArray {
        let mut buffer = std::mem::take(self);
        let kind = ColumnKind::List { item: &T::KIND, nullable: T::NULLABLE };
        let ends = OffsetsBuffer::try_from(buffer.ends).expect("ends only grow");
        let values = T::finish(&mut buffer.values);
        ListArray::<i64>::new(kind.arrow_type(), ends, values, validity(&buffer.is_there)).boxed()
    }
}

/// Which values are there; nothing if all are.
pub(super) fn validity(is_there: &[bool]) -> Option<Bitmap> {
    is_there.contains(&false).then(|| is_there.iter().copied().collect())
}

impl<T: Cell> Cell for Vec<T> {
    const KIND: ColumnKind = ColumnKind::List { item: &T::KIND, nullable: T::NULLABLE };
    const NULLABLE: bool = false;
    type Ref<'a> = ListRef<'a, T>;
    type Column = ListColumn<T>;
    type Buffer = ListBuffer<T>;

    fn as_cell(&self) -> ListRef<'_, T> {
        self.as_slice().into()
    }

    fn from_cell(cell: ListRef<'_, T>) -> Self {
        cell.iter().map(T::from_cell).collect()
    }

    fn push(buffer: &mut ListBuffer<T>, cell: ListRef<'_, T>) {
        buffer.push(Some(cell));
    }

    fn push_placeholder(buffer: &mut ListBuffer<T>) {
        buffer.push(Some(ListRef(Values::Slice(&[]))));
    }

    fn get(column: &ListColumn<T>, i: usize) -> ListRef<'_, T> {
        column.get(i).expect("absent lists were refused when the column was opened")
    }

    fn finish(buffer: &mut ListBuffer<T>) -> ArrowArray {
        buffer.finish()
    }

    fn open(array: &dyn Array) -> Result<ListColumn<T>, Misfit> {
        let column = ListColumn::open(array)?;
        match column.spans.iter().filter(|span| span.is_none()).count() {
            0 => Ok(column),
            absent => Err(Misfit::Absent(absent, column.spans.len())),
        }
    }
}

impl<T: Cell> Cell for Option<Vec<T>> {
    const KIND: ColumnKind = <Vec<T> as Cell>::KIND;
    const NULLABLE: bool = true;
    type Ref<'a> = Option<ListRef<'a, T>>;
    type Column = ListColumn<T>;
    type Buffer = ListBuffer<T>;

    fn as_cell(&self) -> Option<ListRef<'_, T>> {
        self.as_deref().map(Into::into)
    }

    fn from_cell(cell: Option<ListRef<'_, T>>) -> Self {
        cell.map(Vec::from_cell)
    }

    fn push(buffer: &mut ListBuffer<T>, cell: Option<ListRef<'_, T>>) {
        buffer.push(cell);
    }

    fn push_placeholder(buffer: &mut ListBuffer<T>) {
        buffer.push(None);
    }

    fn get(column: &ListColumn<T>, i: usize) -> Option<ListRef<'_, T>> {
        column.get(i)
    }

    fn finish(buffer: &mut ListBuffer<T>) -> ArrowArray {
        buffer.finish()
    }

    fn open(array: &dyn Array) -> Result<ListColumn<T>, Misfit> {
        ListColumn::open(array)
    }
}
