//! Writing tables with a column of vectors.

use std::io::Write;

use polars::prelude::{ArrowDataType, ArrowField, PlSmallStr};
use polars_arrow::array::{FixedSizeListArray, Float32Array};
use polars_parquet::write::{
    CompressionOptions, Encoding, FileWriter, KeyValue, StatisticsOptions, Version, WriteOptions,
};

use super::arrow_write::{self, EncodedColumn, arrow_schema, compressed, pages};
use super::parquet_write::write_error;
use super::vector_read::VECTOR_COLUMN;
use super::{Row, TableError};

/// Rows per row group of a table with vectors: some ten megabytes, which a reader of rows here and
/// there decodes at once.
pub const VECTORS_PER_GROUP: usize = 8192;

/// Size of a page of vectors. It stays in the processor's own cache from the check of its levels to
/// the last use of its numbers.
const PAGE_BYTES: usize = 256 << 10;

/// Writes rows of type `R`, each with a vector of the same length in a further, last column
/// [`VECTOR_COLUMN`].
///
/// The vectors are not compressed: embeddings hardly shrink, and plain ones are read at the speed of
/// memory. The other columns are compressed as in every table.
pub struct VectorWriter<R: Row, W: Write> {
    writer: FileWriter<W>,
    dim: usize,
    metadata: Vec<KeyValue>,
    buffers: R::Buffers,
    values: Vec<f32>,
    n_buffered: usize,
    n_rows: u64,
}

impl<R: Row, W: Write> VectorWriter<R, W> {
    /// Begins a file of vectors of `dim` numbers; `values` are kept in the file's metadata.
    ///
    /// # Errors
    /// `dim` is 0.
    pub fn new(file: W, dim: usize, values: &[(&str, &str)]) -> Result<Self, TableError> {
        if dim == 0 {
            return Err(TableError::Write { detail: "vectors without numbers".to_owned() });
        }
        let mut schema = arrow_schema::<R>();
        let name = PlSmallStr::from_static(VECTOR_COLUMN);
        schema.insert(name.clone(), ArrowField::new(name, vector_type(dim), false));
        let writer = FileWriter::try_new(file, schema, compressed()?).map_err(write_error)?;
        let metadata = values
            .iter()
            .map(|(key, value)| KeyValue { key: (*key).to_owned(), value: Some((*value).to_owned()) })
            .collect();
        let (buffers, values) = (R::Buffers::default(), Vec::new());
        Ok(Self { writer, dim, metadata, buffers, values, n_buffered: 0, n_rows: 0 })
    }

    /// Appends one row with its vector; writes a row group when [`VECTORS_PER_GROUP`] have come
    /// together.
    ///
    /// # Errors
    /// The vector has another length, or a row group cannot be written.
    pub fn push(&mut self, row: R::Ref<'_>, vector: &[f32]) -> Result<(), TableError> {
        if vector.len() != self.dim {
            let detail = format!("a vector of {} numbers in a table of {}", vector.len(), self.dim);
            return Err(TableError::Write { detail });
        }
        R::push(&mut self.buffers, row);
        self.values.extend_from_slice(vector);
        self.n_buffered += 1;
        self.n_rows += 1;
        if self.n_buffered == VECTORS_PER_GROUP { self.flush() } else { Ok(()) }
    }

    /// Writes what is left and the footer; returns how many rows the file has.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn finish(mut self) -> Result<u64, TableError> {
        self.flush()?;
        arrow_write::end(&mut self.writer, std::mem::take(&mut self.metadata))?;
        Ok(self.n_rows)
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let n_rows = std::mem::take(&mut self.n_buffered);
        if n_rows == 0 {
            return Ok(());
        }
        let columns = self.encode()?;
        arrow_write::write_group(&mut self.writer, n_rows, columns)
    }

    /// Empties the buffers into the pages of one row group.
    fn encode(&mut self) -> Result<Vec<EncodedColumn>, TableError> {
        let types = self.writer.parquet_schema().fields().to_vec();
        let (_, mut encoded) = arrow_write::encode::<R>(&mut self.buffers, &types)?;
        let numbers = Float32Array::from_vec(std::mem::take(&mut self.values)).boxed();
        let n_rows = numbers.len() / self.dim;
        let vectors = FixedSizeListArray::new(vector_type(self.dim), n_rows, numbers, None).boxed();
        let last = types[types.len() - 1].clone();
        encoded.extend(pages(vectors, last, plain(), &[Encoding::Plain]).map_err(write_error)?);
        Ok(encoded)
    }
}

fn vector_type(dim: usize) -> ArrowDataType {
    // `element` is what Arrow and Parquet call the inside of a list.
    let element = ArrowField::new(PlSmallStr::from_static("element"), ArrowDataType::Float32, false);
    ArrowDataType::FixedSizeList(Box::new(element), dim)
}

fn plain() -> WriteOptions {
    WriteOptions {
        statistics: StatisticsOptions::empty(),
        version: Version::V1,
        compression: CompressionOptions::Uncompressed,
        data_page_size: Some(PAGE_BYTES),
    }
}
