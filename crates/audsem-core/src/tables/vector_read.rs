//! Reading the column of vectors of a table.
//!
//! The frames of [`super::ParquetFile`] decode a list number by number. Tables of embeddings are
//! nothing but such lists, so this reader works on pages: a page that holds whole rows of plain `f32` is
//! returned as it is in the file, and only other pages (compressed, dictionary-encoded, with absent
//! values) go through the general decoder.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use polars::polars_utils::float16::pf16;
use polars::prelude::{ArrowDataType, ArrowField, PolarsResult};
use polars_arrow::array::{Array, FixedSizeListArray, Float32Array, Float64Array, ListArray, PrimitiveArray};
use polars_buffer::Buffer;
use polars_parquet::parquet::compression::{Compression, DecompressionContext};
use polars_parquet::parquet::page::Page;
use polars_parquet::read::{ColumnChunkMetadata, PhysicalType, decompress};

use super::cell::ArrowArray;
use super::column_chunks::{ColumnChunks, check_page};
use super::kind::type_name;
use super::parquet_read::{damaged, guarded};
use super::vector_pages::plain_rows;
use super::{ColumnKind, TableError};
use crate::terminal::counted;

/// The column of vectors.
pub const VECTOR_COLUMN: &str = "vec";

/// The column of vectors of a Parquet file: `dim` numbers in every row.
///
/// It takes fixed-size lists and lists of `f16`, `f32` or `f64`, as any program writes them. A row whose
/// vector is absent or of another length than most, or an absent number in one, reads as NaN.
pub struct VectorFile {
    chunks: ColumnChunks,
    column: String,
    dim: usize,
    /// Rows that read as NaN whatever they hold: row group and row in it.
    masked: BTreeSet<(usize, usize)>,
}

/// What [`VectorFile::for_each_block`] works in, kept from one row group to the next.
#[derive(Debug, Default)]
pub struct VectorScratch {
    values: Vec<f32>,
    page: Vec<u8>,
}

impl VectorFile {
    /// Opens a file and looks for its column [`VECTOR_COLUMN`].
    ///
    /// # Errors
    /// The file cannot be opened, is not a Parquet file, or lacks the column or has it in another type.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        Self::new(ColumnChunks::open(path)?)
    }

    /// Opens a table that lies in memory; `name` identifies it in messages.
    ///
    /// # Errors
    /// As [`VectorFile::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, TableError> {
        Self::new(ColumnChunks::new(name.to_owned(), Buffer::from_vec(bytes))?)
    }

    fn new(chunks: ColumnChunks) -> Result<Self, TableError> {
        let Some(field) = chunks.schema.get(VECTOR_COLUMN) else {
            return Err(TableError::MissingColumn {
                table: chunks.name,
                column: VECTOR_COLUMN,
                kind: ColumnKind::Vector,
                found: chunks.schema.iter_names().map(ToString::to_string).collect(),
                wanted: "embeddings",
            });
        };
        let Some(declared) = declared_dim(field.dtype()) else {
            return Err(TableError::WrongType {
                column: VECTOR_COLUMN,
                kind: ColumnKind::Vector,
                found: super::kind::type_name(field.dtype()),
                wanted: "embeddings",
                table: chunks.name,
            });
        };
        Self::of(chunks, VECTOR_COLUMN, declared)
    }

    /// Opens a file whose vectors are in a column of any name.
    ///
    /// # Errors
    /// As [`VectorFile::open`].
    pub fn open_column(path: &Path, column: &str) -> Result<Self, TableError> {
        let chunks = ColumnChunks::open(path)?;
        let declared = chunks.field(column).map(|field| declared_dim(field.dtype()));
        match declared {
            Some(Some(declared)) => Self::of(chunks, column, declared),
            _ => {
                Err(chunks
                    .no_column(column, "a list of f16, f32 or f64", |field| declared_dim(field.dtype()).is_some()))
            }
        }
    }

    fn of(chunks: ColumnChunks, column: &str, declared: Option<usize>) -> Result<Self, TableError> {
        let (column, dim) = (column.to_owned(), declared.unwrap_or(0));
        let mut file = Self { chunks, column, dim, masked: BTreeSet::new() };
        if declared.is_none() {
            file.dim = file.dim_of_most_rows()?;
        }
        Ok(file)
    }

    /// Lets these rows (row group and row in it) read as NaN: rows that are of no use for what stands beside the vector.
    #[must_use]
    pub fn masking(mut self, rows: BTreeSet<(usize, usize)>) -> Self {
        self.masked = rows;
        self
    }

    /// Numbers in a row; 0 where the table neither says so nor has a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of rows in the file.
    pub fn n_rows(&self) -> usize {
        self.chunks.n_rows()
    }

    /// Number of row groups.
    pub fn n_groups(&self) -> usize {
        self.chunks.n_groups()
    }

    /// Number of rows of row group `i`; panics beyond the last.
    pub fn n_rows_in(&self, i: usize) -> usize {
        self.chunks.n_rows_in(i)
    }

    /// A value of the file's own metadata, such as the model that made the vectors.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.chunks.value(key)
    }

    /// Hands the rows of row group `i` to `visit`, block after block: the number of the block's first
    /// row in the group, and its rows one after the other. May be called from several threads at once.
    /// A table whose vectors are all absent ([`VectorFile::dim`] is 0) has no blocks.
    ///
    /// # Errors
    /// The data is damaged.
    pub fn for_each_block(
        &self,
        i: usize,
        scratch: &mut VectorScratch,
        mut visit: impl FnMut(usize, &[f32]),
    ) -> Result<(), TableError> {
        let mut visit = |first: usize, rows: &[f32]| {
            let n_rows = rows.len() / self.dim.max(1);
            let mut masked = self.masked.range((i, first)..(i, first + n_rows)).peekable();
            if masked.peek().is_none() {
                return visit(first, rows);
            }
            let mut rows = rows.to_vec();
            masked.for_each(|(_, row)| rows[(row - first) * self.dim..][..self.dim].fill(f32::NAN));
            visit(first, &rows);
        };
        let n_rows = self.n_rows_in(i);
        if self.dim == 0 {
            return Ok(());
        }
        let mut done = 0;
        if let Some(column) = self.column_of(i).filter(|column| column.physical_type() == PhysicalType::Float) {
            guarded(|| self.plain_blocks(column, scratch, &mut done, &mut visit))
                .map_err(|fault| fault.about(&self.chunks.name, damaged))?;
        }
        if done < n_rows {
            let rows = self.decode(i)?;
            visit(done, rows.get(done * self.dim..).unwrap_or_default());
            done = n_rows;
        }
        if done == n_rows {
            Ok(())
        } else {
            Err(self.chunks.damaged(format!("row group {i} has {}, not {n_rows}", counted(done, "rows"))))
        }
    }

    /// All rows of row group `i`, one after the other.
    ///
    /// # Errors
    /// As [`VectorFile::for_each_block`].
    pub fn group(&self, i: usize) -> Result<Vec<f32>, TableError> {
        let mut rows = Vec::with_capacity(self.room(i));
        self.for_each_block(i, &mut VectorScratch::default(), |_, block| rows.extend_from_slice(block))?;
        Ok(rows)
    }

    /// A buffer for the numbers of row group `i`. A damaged file may state any number of rows, so the initial capacity is
    /// limited by the size of the file.
    pub fn room(&self, i: usize) -> usize {
        self.n_rows_in(i).saturating_mul(self.dim).min(self.chunks.n_bytes())
    }

    /// Reads pages as long as they hold plain rows, and counts those in `done`.
    fn plain_blocks(
        &self,
        column: &ColumnChunkMetadata,
        scratch: &mut VectorScratch,
        done: &mut usize,
        visit: &mut impl FnMut(usize, &[f32]),
    ) -> PolarsResult<()> {
        let mut context = DecompressionContext::Unset;
        for page in self.chunks.pages(column)? {
            let page = page?;
            check_page(&page)?;
            let Page::Data(mut page) = decompress(page, &mut scratch.page, &mut context)? else { return Ok(()) };
            let Some(values) = plain_rows(&page, self.dim) else { return Ok(()) };
            // Pages begin anywhere, so the numbers are seldom where the processor wants them.
            scratch.values.clear();
            scratch.values.extend(values.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)));
            visit(*done, &scratch.values);
            *done += scratch.values.len() / self.dim;
            if column.compression() != Compression::Uncompressed {
                scratch.page = std::mem::take(page.buffer_mut());
            }
        }
        Ok(())
    }

    /// Row group `i` through the general decoder.
    fn decode(&self, i: usize) -> Result<Vec<f32>, TableError> {
        let array = self.array(i)?;
        let mut rows = Vec::with_capacity(self.room(i));
        append_rows(array.as_ref(), self.dim, &mut rows)
            .ok_or_else(|| self.chunks.damaged(format!("the decoder gave {}", type_name(array.dtype()))))?;
        let found = rows.len() / self.dim;
        if found == self.n_rows_in(i) {
            return Ok(rows);
        }
        Err(self.chunks.damaged(format!(
            "row group {i} has {} in {}",
            counted(found, "vectors"),
            counted(self.n_rows_in(i), "rows")
        )))
    }

    /// The length of most vectors of the first row group that has any with a number in it.
    fn dim_of_most_rows(&self) -> Result<usize, TableError> {
        for i in 0..self.n_groups() {
            if let Some(dim) = most_frequent_length(self.array(i)?.as_ref()) {
                return Ok(dim);
            }
        }
        Ok(0)
    }

    fn array(&self, i: usize) -> Result<ArrowArray, TableError> {
        self.chunks.array(i, &self.column)
    }

    fn column_of(&self, i: usize) -> Option<&ColumnChunkMetadata> {
        self.chunks.leaves(i, &self.column).next().filter(|leaf| leaf.descriptor().descriptor.max_rep_level == 1)
    }
}

/// Numbers in a row as the type says, `Some(None)` for lists of any length; `None` for other types.
fn declared_dim(dtype: &ArrowDataType) -> Option<Option<usize>> {
    let is_float = |field: &ArrowField| {
        matches!(field.dtype(), ArrowDataType::Float16 | ArrowDataType::Float32 | ArrowDataType::Float64)
    };
    match dtype {
        ArrowDataType::FixedSizeList(field, dim) if is_float(field) => Some(Some(*dim)),
        ArrowDataType::List(field) | ArrowDataType::LargeList(field) if is_float(field) => Some(None),
        _ => None,
    }
}

/// Where a vector begins and ends among the numbers of its array; `None` for one that is absent.
type Span = Option<(usize, usize)>;

/// The vectors of an array, and its numbers.
fn spans(array: &dyn Array) -> Option<(Vec<Span>, &dyn Array)> {
    let any = array.as_any();
    if let Some(list) = any.downcast_ref::<FixedSizeListArray>() {
        let dim = list.size();
        let spans = (0..list.len()).map(|i| list.is_valid(i).then_some((i * dim, (i + 1) * dim)));
        return Some((spans.collect(), list.values().as_ref()));
    }
    if let Some(list) = any.downcast_ref::<ListArray<i64>>() {
        let span =
            |i: usize| (list.offsets()[i].unsigned_abs() as usize, list.offsets()[i + 1].unsigned_abs() as usize);
        return Some(((0..list.len()).map(|i| list.is_valid(i).then(|| span(i))).collect(), list.values().as_ref()));
    }
    let list = any.downcast_ref::<ListArray<i32>>()?;
    let span = |i: usize| (list.offsets()[i].unsigned_abs() as usize, list.offsets()[i + 1].unsigned_abs() as usize);
    Some(((0..list.len()).map(|i| list.is_valid(i).then(|| span(i))).collect(), list.values().as_ref()))
}

/// The length that most vectors have, the first of several; vectors without a number do not count.
fn most_frequent_length(array: &dyn Array) -> Option<usize> {
    let lengths = spans(array)?.0.into_iter().flatten().map(|(start, end)| end - start).filter(|len| *len > 0);
    let mut found: Vec<(usize, u64)> = Vec::new();
    let mut places = HashMap::new();
    for length in lengths {
        let place = *places.entry(length).or_insert(found.len());
        if place == found.len() {
            found.push((length, 0));
        }
        found[place].1 += 1;
    }
    let most = found.iter().map(|(_, n)| *n).max()?;
    found.into_iter().find(|(_, n)| *n == most).map(|(length, _)| length)
}

/// Appends the vectors of an array, absent numbers and vectors of another length as NaN; nothing if they are no vectors.
fn append_rows(array: &dyn Array, dim: usize, rows: &mut Vec<f32>) -> Option<()> {
    let (spans, values) = spans(array)?;
    let at = |i: usize| -> f32 {
        if values.is_null(i) {
            return f32::NAN;
        }
        let any = values.as_any();
        if let Some(values) = any.downcast_ref::<Float32Array>() {
            return values.value(i);
        }
        if let Some(values) = any.downcast_ref::<PrimitiveArray<pf16>>() {
            return values.value(i).into();
        }
        #[expect(clippy::cast_possible_truncation, reason = "vectors are computed with in 32 bits")]
        any.downcast_ref::<Float64Array>().map_or(f32::NAN, |values| values.value(i) as f32)
    };
    for span in spans {
        match span {
            Some((start, end)) if end - start == dim => rows.extend((start..end).map(at)),
            _ => rows.extend(std::iter::repeat_n(f32::NAN, dim)),
        }
    }
    Some(())
}
