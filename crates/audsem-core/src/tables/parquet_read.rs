//! Reading Parquet tables, one row group at a time.
//!
//! A file that is not Parquet, was truncated or has other columns is refused before any row is read.
//! Bits that flipped inside a whole file are found as far as the Parquet library finds them; the
//! SHA-256 that a run folder keeps of each part is the certain test.

use std::fs::File;
use std::io::{self, Cursor};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use polars::io::mmap::MmapBytesReader;
use polars::io::parquet::metadata::FileMetadata;
use polars::prelude::{
    ArrowDataType, ArrowSchema, CompatLevel, DataFrame, ParallelStrategy, ParquetReader, PolarsError, PolarsResult,
    SerReader,
};
use polars_buffer::Buffer;

use super::cell::ArrowArray;
use super::column_chunks::ColumnChunks;
use super::kind::type_name;
use super::{BadColumn, Columns, Frame, Row, TableError, UsableRows};
use crate::input::open_plain;
use crate::panics::caught;

/// A Parquet file of rows of type `R`; may hold further columns, which are not read.
pub struct ParquetFile<R: Row> {
    name: String,
    source: Source,
    metadata: Arc<FileMetadata>,
    /// The columns one by one: their sizes, and their data where frames do not read some of them.
    chunks: ColumnChunks,
    /// Whether no column is nested or of another type than our own.
    is_read_by_frames: bool,
    row: PhantomData<R>,
}

enum Source {
    File(File),
    Bytes(Arc<[u8]>),
}

impl<R: Row> ParquetFile<R> {
    /// Opens a file and checks its columns against the row type.
    ///
    /// # Errors
    /// The file cannot be opened, is not a Parquet file, or lacks a column or has it in another type.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let open_error = |source| TableError::Open { path: path.to_owned(), source };
        let file = open_plain(path).map_err(open_error)?;
        if file.metadata().map_err(open_error)?.len() == 0 {
            let table = path.display().to_string();
            return Err(TableError::NotParquet { table, detail: "the file is empty".to_owned() });
        }
        Self::new(Source::File(file), ColumnChunks::open(path)?)
    }

    /// Opens a table that lies in memory; `name` identifies it in messages.
    ///
    /// # Errors
    /// As [`ParquetFile::open`].
    pub fn from_bytes(name: &str, bytes: impl Into<Arc<[u8]>>) -> Result<Self, TableError> {
        let bytes: Arc<[u8]> = bytes.into();
        let again = Arc::clone(&bytes);
        Self::new(Source::Bytes(bytes), ColumnChunks::new(name.to_owned(), Buffer::from_owner(again))?)
    }

    fn new(source: Source, chunks: ColumnChunks) -> Result<Self, TableError> {
        let name = chunks.name.clone();
        let (metadata, schema) = guarded(|| {
            let mut reader = ParquetReader::new(source.reader()?);
            let schema = reader.schema()?;
            Ok((reader.get_metadata()?.clone(), schema))
        })
        .map_err(|fault| fault.about(&name, not_parquet))?;
        let ours = |column: &super::ColumnSpec| {
            schema.get(column.name).is_some_and(|field| is_read_by_frames(&field.dtype, &column.kind.arrow_type()))
        };
        let is_read_by_frames = R::COLUMNS.iter().all(|column| !column.kind.is_nested() && ours(column));
        if !is_read_by_frames {
            check_schema::<R>(&name, &chunks.schema)?;
        }
        Ok(Self { name, source, metadata, chunks, is_read_by_frames, row: PhantomData })
    }

    /// Number of rows in the file.
    pub fn n_rows(&self) -> usize {
        self.metadata.num_rows
    }

    /// Number of row groups.
    pub fn n_groups(&self) -> usize {
        self.metadata.row_groups.len()
    }

    /// Number of rows of row group `i`; panics beyond the last.
    pub fn n_rows_in(&self, i: usize) -> usize {
        self.metadata.row_groups[i].num_rows()
    }

    /// The columns of row group `i`. May be called from several threads at once.
    ///
    /// # Errors
    /// The data is damaged, a value is absent or does not fit.
    pub fn group(&self, i: usize) -> Result<R::Columns, TableError> {
        R::Columns::open(&Frame::new(self.n_rows_in(i), self.arrays(i)?)).map_err(|bad| self.bad_value(bad))
    }

    /// The rows of row group `i` that can be read, and the others: for tables that anyone may have written.
    ///
    /// # Errors
    /// The data is damaged.
    pub fn usable(&self, i: usize) -> Result<UsableRows<R>, TableError> {
        UsableRows::of(self.n_rows_in(i), self.arrays(i)?).map_err(|bad| self.bad_value(bad))
    }

    /// All row groups in order, each as [`ParquetFile::usable`] gives it.
    pub fn usable_groups(&self) -> impl Iterator<Item = Result<UsableRows<R>, TableError>> {
        (0..self.n_groups()).map(|i| self.usable(i))
    }

    fn bad_value(&self, BadColumn { column, misfit }: BadColumn) -> TableError {
        TableError::BadValue { table: self.name.clone(), column, detail: misfit.to_string() }
    }

    fn arrays(&self, i: usize) -> Result<Vec<(String, ArrowArray)>, TableError> {
        if self.is_read_by_frames {
            return self.columns_of_frame(i);
        }
        let column = |spec: &super::ColumnSpec| Ok((spec.name.to_owned(), self.chunks.array(i, spec.name)?));
        R::COLUMNS.iter().map(column).collect()
    }

    fn columns_of_frame(&self, i: usize) -> Result<Vec<(String, ArrowArray)>, TableError> {
        let checked_read = || {
            R::COLUMNS.iter().try_for_each(|column| self.chunks.check_sizes(i, column.name))?;
            self.read(i)
        };
        let frame = guarded(checked_read).map_err(|fault| fault.about(&self.name, damaged))?;
        let columns = frame.columns().iter().map(|column| {
            let series = column.as_materialized_series().rechunk();
            (column.name().to_string(), series.to_arrow(0, CompatLevel::newest()))
        });
        Ok(columns.collect())
    }

    /// All row groups in order, as columns.
    pub fn groups(&self) -> impl Iterator<Item = Result<R::Columns, TableError>> {
        (0..self.n_groups()).map(|i| self.group(i))
    }

    /// Reads one row group through metadata that knows of no other: the reader visits every group
    /// it knows, which would make reading group after group quadratic.
    fn read(&self, i: usize) -> PolarsResult<DataFrame> {
        let all = &self.metadata;
        let group = all.row_groups[i].clone();
        let n_rows = group.num_rows();
        let one = FileMetadata {
            version: all.version,
            num_rows: n_rows,
            max_row_group_height: n_rows,
            created_by: None,
            row_groups: vec![group],
            key_value_metadata: all.key_value_metadata.clone(),
            schema_descr: all.schema_descr.clone(),
            column_orders: all.column_orders.clone(),
            footer_buf: all.footer_buf.clone(),
        };
        let columns = R::COLUMNS.iter().map(|column| column.name.to_owned()).collect();
        let mut reader = ParquetReader::new(self.source.reader()?)
            .read_parallel(ParallelStrategy::None)
            .with_slice(Some((0, n_rows)))
            .with_columns(Some(columns));
        reader.set_metadata(Arc::new(one));
        reader.finish()
    }
}

impl Source {
    fn reader(&self) -> PolarsResult<Box<dyn MmapBytesReader>> {
        Ok(match self {
            Self::File(file) => Box::new(file.try_clone()?),
            Self::Bytes(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        })
    }
}

/// Whether frames read a column of this type as the wanted one without a change.
fn is_read_by_frames(found: &ArrowDataType, wanted: &ArrowDataType) -> bool {
    found == wanted
        || (*wanted == ArrowDataType::Utf8View && matches!(found, ArrowDataType::Utf8 | ArrowDataType::LargeUtf8))
}

/// Why the Parquet reader failed.
pub(super) enum ReadFault {
    /// The operating system could not read the file, which says nothing of its content.
    System(io::Error),
    /// The bytes are not what a table has.
    Content(String),
}

impl ReadFault {
    /// The error about a table: `of_content` makes it from a description of what is wrong with the bytes.
    pub(super) fn about(self, table: &str, of_content: impl FnOnce(String, String) -> TableError) -> TableError {
        match self {
            Self::System(source) => TableError::Open { path: table.into(), source },
            Self::Content(detail) => of_content(table.to_owned(), detail),
        }
    }
}

/// Runs the Parquet reader on untrusted bytes. It panics on some kinds of damage, which is
/// turned into an error like the rest.
pub(super) fn guarded<T>(read: impl FnOnce() -> PolarsResult<T>) -> Result<T, ReadFault> {
    match caught(read) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(PolarsError::IO { error, .. })) if error.raw_os_error().is_some() => Err(ReadFault::System(
            error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error),
        )),
        Ok(Err(fault)) => Err(ReadFault::Content(fault.to_string())),
        Err(_) => Err(ReadFault::Content("the reader cannot decode its contents".to_owned())),
    }
}

/// The error about a file whose footer is not that of a Parquet file.
pub(super) fn not_parquet(table: String, detail: String) -> TableError {
    TableError::NotParquet { table, detail }
}

/// The error about a table whose data is not what its footer says.
pub(super) fn damaged(table: String, detail: String) -> TableError {
    TableError::Damaged { table, detail }
}

/// Checks names and types before any data is read, so that the message can list the whole file.
fn check_schema<R: Row>(name: &str, schema: &ArrowSchema) -> Result<(), TableError> {
    for column in R::COLUMNS {
        let Some(field) = schema.get(column.name) else {
            return Err(TableError::MissingColumn {
                table: name.to_owned(),
                column: column.name,
                kind: column.kind,
                found: schema.iter_names().map(ToString::to_string).collect(),
                wanted: R::TABLE,
            });
        };
        if !column.kind.accepts(field.dtype(), column.nullable) {
            return Err(TableError::WrongType {
                table: name.to_owned(),
                column: column.name,
                kind: column.kind,
                found: type_name(field.dtype()),
                wanted: R::TABLE,
            });
        }
    }
    Ok(())
}

/// All rows of a Parquet file.
///
/// # Errors
/// As [`ParquetFile::open`] and [`ParquetFile::group`].
pub fn read_parquet<R: Row>(path: &Path) -> Result<Vec<R>, TableError> {
    let mut rows = Vec::new();
    for chunk in ParquetRows::open(path)? {
        rows.append(&mut chunk?);
    }
    Ok(rows)
}

/// The rows of a Parquet file, one row group after the other.
pub struct ParquetRows<R: Row> {
    file: ParquetFile<R>,
    next: usize,
}

impl<R: Row> ParquetRows<R> {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`ParquetFile::open`].
    pub fn open(path: &Path) -> Result<Self, TableError> {
        Ok(Self { file: ParquetFile::open(path)?, next: 0 })
    }
}

impl<R: Row> Iterator for ParquetRows<R> {
    type Item = Result<Vec<R>, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.file.n_groups() {
            return None;
        }
        let columns = self.file.group(self.next);
        self.next += 1;
        Some(columns.map(|columns| (0..columns.len()).map(|i| R::from_row(columns.get(i))).collect()))
    }
}
