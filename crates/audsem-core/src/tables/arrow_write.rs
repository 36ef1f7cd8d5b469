//! Writing arrays as Parquet pages, for columns that the frames of [`super::ParquetWriter`] cannot hold.

use std::io::Write;

use polars::polars_utils::compression::ZstdLevel;
use polars::prelude::{ArrowDataType, ArrowField, ArrowSchema, PlSmallStr, PolarsError, PolarsResult};
use polars_arrow::array::Array;
use polars_parquet::parquet::error::ParquetError;
use polars_parquet::write::{
    CompressedPage, CompressionOptions, Compressor, DynIter, DynStreamingIterator, Encoding,
    FallibleStreamingIterator as _, FileWriter, Page, ParquetType, StatisticsOptions, Version, WriteOptions,
    array_to_columns, get_dtype_encoding, schema_to_metadata_key,
};

use super::parquet_write::{ZSTD_LEVEL, write_error};
use super::{Row, TableError};

/// The compressed pages of one leaf column of a row group.
pub(super) type EncodedColumn = DynStreamingIterator<'static, CompressedPage, PolarsError>;

/// The columns of a row type as Arrow describes them.
pub(super) fn arrow_schema<R: Row>() -> ArrowSchema {
    R::COLUMNS
        .iter()
        .map(|column| {
            let name = PlSmallStr::from_static(column.name);
            (name.clone(), ArrowField::new(name, column.kind.arrow_type(), true))
        })
        .collect()
}

/// How all columns but vectors are written.
pub(super) fn compressed() -> Result<WriteOptions, TableError> {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(write_error)?;
    Ok(WriteOptions {
        statistics: StatisticsOptions::empty(),
        version: Version::V1,
        compression: CompressionOptions::Zstd(Some(level)),
        data_page_size: None,
    })
}

/// Empties the buffers into the pages of one row group; `types` are those of the file. Returns the number of rows, too.
pub(super) fn encode<R: Row>(
    buffers: &mut R::Buffers,
    types: &[ParquetType],
) -> Result<(usize, Vec<EncodedColumn>), TableError> {
    let arrays = R::finish(buffers);
    let n_rows = arrays.first().map_or(0, |array| array.len());
    let mut encoded = Vec::with_capacity(types.len());
    for (array, parquet_type) in arrays.into_iter().zip(types) {
        let encodings = get_dtype_encoding(array.dtype());
        encoded.extend(pages(array, parquet_type.clone(), compressed()?, &encodings).map_err(write_error)?);
    }
    Ok((n_rows, encoded))
}

/// The pages of all leaves of one column.
pub(super) fn pages(
    array: Box<dyn Array>,
    parquet_type: ParquetType,
    options: WriteOptions,
    encodings: &[Encoding],
) -> PolarsResult<Vec<EncodedColumn>> {
    let columns = array_to_columns(array, parquet_type, options, encodings)?;
    Ok(columns.into_iter().map(|pages| compress(pages, options.compression)).collect())
}

fn compress(pages: DynIter<'static, PolarsResult<Page>>, compression: CompressionOptions) -> EncodedColumn {
    let pages = pages.map(|page| page.map_err(|error| ParquetError::FeatureNotSupported(error.to_string())));
    DynStreamingIterator::new(Compressor::new(pages, compression, Vec::new()).map_err(PolarsError::from))
}

/// Writes one row group.
pub(super) fn write_group<W: Write>(
    writer: &mut FileWriter<W>,
    n_rows: usize,
    columns: Vec<EncodedColumn>,
) -> Result<(), TableError> {
    writer.write(n_rows as u64, DynIter::new(columns.into_iter().map(Ok))).map_err(write_error)
}

/// Writes the footer.
pub(super) fn end<W: Write>(
    writer: &mut FileWriter<W>,
    values: impl IntoIterator<Item = polars_parquet::write::KeyValue>,
) -> Result<(), TableError> {
    let stated: ArrowSchema =
        writer.schema().iter().map(|(name, field)| (name.clone(), without_views(field.clone()))).collect();
    let metadata = std::iter::once(schema_to_metadata_key(&stated)).chain(values).collect();
    writer.end(Some(metadata)).map_err(write_error)?;
    Ok(())
}

/// Texts as pandas reads them: pyarrow has no conversion of lists of views, and the stored bytes are the same.
fn without_views(mut field: ArrowField) -> ArrowField {
    field.dtype = match field.dtype {
        ArrowDataType::Utf8View => ArrowDataType::LargeUtf8,
        ArrowDataType::LargeList(item) => ArrowDataType::LargeList(Box::new(without_views(*item))),
        ArrowDataType::Struct(fields) => ArrowDataType::Struct(fields.into_iter().map(without_views).collect()),
        other => other,
    };
    field
}
