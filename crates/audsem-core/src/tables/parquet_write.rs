//! Writing Parquet tables whose bytes depend on their rows alone.

use std::io::Write;
use std::marker::PhantomData;

use polars::io::parquet::write::{BatchedWriter, ParquetCompression};
use polars::polars_utils::compression::ZstdLevel;
use polars::prelude::{DataFrame, DataType, Field, IntoColumn, PlSmallStr, PolarsError, Schema, Series};
use polars_parquet::write::{FileWriter, SchemaDescriptor, to_parquet_schema};

use super::arrow_write::{self, EncodedColumn, arrow_schema, compressed};
use super::{Row, TableError};

/// Rows per row group of a table, unless the writer is handed finished row groups. A reader holds
/// one group at a time: at this size some ten megabytes of captions.
pub const ROWS_PER_GROUP: usize = 131_072;

/// Level 1 reaches nine tenths of the ratio of the default level 3 on captions in half the time.
pub(super) const ZSTD_LEVEL: i32 = 1;

/// One row group, encoded and compressed, ready for [`ParquetWriter::write_group`].
pub struct RowGroup<R: Row> {
    encoded: Encoded,
    n_rows: usize,
    row: PhantomData<R>,
}

impl<R: Row> RowGroup<R> {
    /// How many rows it holds.
    pub fn len(&self) -> usize {
        self.n_rows
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.n_rows == 0
    }
}

/// Columns of plain values go through frames, nested ones are encoded one by one.
enum Encoded {
    Flat(Vec<polars::io::parquet::write::RowGroupIterColumns<'static, PolarsError>>),
    Nested(Vec<EncodedColumn>),
}

/// Whether a column of the row type holds lists or structs.
fn is_nested<R: Row>() -> bool {
    R::COLUMNS.iter().any(|column| column.kind.is_nested())
}

/// Encodes row groups apart from the file they go into, so that several threads can do it.
pub struct GroupEncoder<R: Row> {
    form: Form<std::io::Sink>,
    row: PhantomData<R>,
}

/// The writer of a file, chosen by the types of its columns.
enum Form<W: Write> {
    Flat(BatchedWriter<W>),
    Nested(FileWriter<W>, SchemaDescriptor),
}

impl<W: Write> Form<W> {
    fn new<R: Row>(file: W) -> Result<Self, TableError> {
        if !is_nested::<R>() {
            return Ok(Self::Flat(batched::<R, _>(file)?));
        }
        let schema = arrow_schema::<R>();
        let parquet = to_parquet_schema(&schema).map_err(write_error)?;
        Ok(Self::Nested(FileWriter::try_new(file, schema, compressed()?).map_err(write_error)?, parquet))
    }

    fn encode<R: Row>(&self, buffers: &mut R::Buffers) -> Result<RowGroup<R>, TableError> {
        let (n_rows, encoded) = match self {
            Self::Flat(writer) => {
                let frame = frame::<R>(buffers)?;
                let columns = writer.encode_and_compress(&frame).collect::<Result<Vec<_>, _>>().map_err(write_error)?;
                (frame.height(), Encoded::Flat(columns))
            }
            Self::Nested(_, schema) => {
                let (n_rows, columns) = arrow_write::encode::<R>(buffers, schema.fields())?;
                (n_rows, Encoded::Nested(columns))
            }
        };
        Ok(RowGroup { encoded, n_rows, row: PhantomData })
    }

    fn write<R: Row>(&mut self, group: RowGroup<R>) -> Result<(), TableError> {
        match (self, group.encoded) {
            (Self::Flat(writer), Encoded::Flat(columns)) => writer.write_row_groups(columns).map_err(write_error),
            (Self::Nested(writer, _), Encoded::Nested(columns)) => {
                arrow_write::write_group(writer, group.n_rows, columns)
            }
            _ => unreachable!("the row type determines both"),
        }
    }

    fn flush<R: Row>(&mut self, buffers: &mut R::Buffers) -> Result<(), TableError> {
        if let Self::Flat(writer) = self {
            return writer.write_batch(&frame::<R>(buffers)?).map_err(write_error);
        }
        let group = self.encode::<R>(buffers)?;
        self.write(group)
    }

    fn finish(self) -> Result<(), TableError> {
        match self {
            Self::Flat(writer) => writer.finish().map(drop).map_err(write_error),
            Self::Nested(mut writer, _) => arrow_write::end(&mut writer, []),
        }
    }
}

impl<R: Row> GroupEncoder<R> {
    /// An encoder of rows of type `R`.
    ///
    /// # Errors
    /// The Parquet library refuses the schema.
    pub fn new() -> Result<Self, TableError> {
        Ok(Self { form: Form::new::<R>(std::io::sink())?, row: PhantomData })
    }

    /// Empties the buffers into one row group.
    ///
    /// # Errors
    /// The Parquet library cannot encode them.
    pub fn encode(&self, buffers: &mut R::Buffers) -> Result<RowGroup<R>, TableError> {
        self.form.encode(buffers)
    }
}

/// Writes rows of type `R` to a Parquet file.
pub struct ParquetWriter<R: Row, W: Write> {
    form: Form<W>,
    buffers: R::Buffers,
    n_buffered: usize,
    n_rows: u64,
}

impl<R: Row, W: Write + Send> ParquetWriter<R, W> {
    /// Begins a file.
    ///
    /// # Errors
    /// The first bytes cannot be written.
    pub fn new(file: W) -> Result<Self, TableError> {
        Ok(Self { form: Form::new::<R>(file)?, buffers: R::Buffers::default(), n_buffered: 0, n_rows: 0 })
    }

    /// Appends one row; writes a row group when [`ROWS_PER_GROUP`] rows have accumulated.
    ///
    /// # Errors
    /// A row group cannot be written.
    pub fn push(&mut self, row: R::Ref<'_>) -> Result<(), TableError> {
        R::push(&mut self.buffers, row);
        self.n_buffered += 1;
        self.n_rows += 1;
        if self.n_buffered == ROWS_PER_GROUP { self.flush() } else { Ok(()) }
    }

    /// Appends a row group that a [`GroupEncoder`] has made, after the rows pushed so far.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_group(&mut self, group: RowGroup<R>) -> Result<(), TableError> {
        self.flush()?;
        self.n_rows += group.n_rows as u64;
        self.form.write(group)
    }

    /// Writes what is left and the footer; returns how many rows the file has.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn finish(mut self) -> Result<u64, TableError> {
        self.flush()?;
        self.form.finish()?;
        Ok(self.n_rows)
    }

    fn flush(&mut self) -> Result<(), TableError> {
        if self.n_buffered == 0 {
            return Ok(());
        }
        self.n_buffered = 0;
        self.form.flush::<R>(&mut self.buffers)
    }
}

/// Writes all rows as one Parquet file; returns how many there were.
///
/// # Errors
/// The file cannot be written.
pub fn write_parquet<'a, R: Row>(
    rows: impl IntoIterator<Item = &'a R>,
    file: impl Write + Send,
) -> Result<u64, TableError> {
    let mut writer = ParquetWriter::<R, _>::new(file)?;
    for row in rows {
        writer.push(row.as_row())?;
    }
    writer.finish()
}

/// A writer for the schema of `R`. Columns are not written in parallel: shards already are.
fn batched<R: Row, W: Write>(file: W) -> Result<BatchedWriter<W>, TableError> {
    let schema: Schema = R::COLUMNS
        .iter()
        .map(|column| Field::new(PlSmallStr::from_static(column.name), data_type(column.kind)))
        .collect();
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(write_error)?;
    polars::prelude::ParquetWriter::new(file)
        .with_compression(ParquetCompression::Zstd(Some(level)))
        .set_parallel(false)
        .batched(&schema)
        .map_err(write_error)
}

fn frame<R: Row>(buffers: &mut R::Buffers) -> Result<DataFrame, TableError> {
    let columns = R::finish(buffers)
        .into_iter()
        .zip(R::COLUMNS)
        .map(|(array, column)| Ok(Series::from_arrow(PlSmallStr::from_static(column.name), array)?.into_column()));
    DataFrame::new_infer_height(columns.collect::<Result<_, PolarsError>>().map_err(write_error)?).map_err(write_error)
}

/// The type of a plain column of a frame.
fn data_type(kind: super::ColumnKind) -> DataType {
    DataType::from_arrow_dtype(&kind.arrow_type())
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
pub(super) fn write_error(source: PolarsError) -> TableError {
    TableError::Write { detail: source.to_string() }
}
