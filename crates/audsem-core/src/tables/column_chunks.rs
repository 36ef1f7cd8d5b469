//! The columns of any Parquet file as arrays, for columns that the frames of [`super::ParquetFile`] cannot hold.

use std::io::Cursor;
use std::path::Path;

use polars::polars_utils::mmap::MMapSemaphore;
use polars::prelude::{ArrowDataType, ArrowField, ArrowSchema, PolarsError, PolarsResult};
use polars_arrow::array::{Array, new_empty_array};
use polars_arrow::compute::concatenate::concatenate;
use polars_buffer::Buffer;
use polars_parquet::parquet::page::CompressedPage;
use polars_parquet::read::{
    BasicDecompressor, ColumnChunkMetadata, FileMetadata, PageReader, column_iter_to_arrays, infer_schema,
    read_metadata,
};

use super::TableError;
use super::cell::ArrowArray;
use super::error::names;
use super::kind::type_name;
use super::parquet_read::{damaged, guarded, not_parquet};
use crate::input::open_plain;
use crate::terminal::counted;

/// Maximum number of rows of a row group. Programs write at most a million; a damaged or hostile file may
/// state any number, for which memory would be allocated.
pub(super) const MAX_ROWS_PER_GROUP: usize = 1 << 26;

/// Values of a nested column for each byte that it takes. Lists that are alike take few bytes for many values, but a
/// number that no writer reaches is damage.
const MAX_VALUES_PER_BYTE: usize = 64;

/// Largest page of values, decompressed: a page of a few kilobytes may state any size, for which memory would be allocated.
/// Most programs write pages of a megabyte, DuckDB up to 100 MB, and fastparquet, which writes one page for each column of
/// a row group, up to 500 MiB.
pub(super) const MAX_PAGE_BYTES: usize = 512 << 20;

/// A Parquet file in memory, or mapped into it.
pub(super) struct ColumnChunks {
    /// What the file is called in messages.
    pub name: String,
    /// The columns, with dictionaries as what they stand for.
    pub schema: ArrowSchema,
    bytes: Buffer<u8>,
    metadata: FileMetadata,
}

impl ColumnChunks {
    /// Opens a file.
    ///
    /// # Errors
    /// The file cannot be opened or is no Parquet file.
    pub(super) fn open(path: &Path) -> Result<Self, TableError> {
        let open_error = |source| TableError::Open { path: path.to_owned(), source };
        let file = open_plain(path).map_err(open_error)?;
        let metadata = file.metadata().map_err(open_error)?;
        let name = path.display().to_string();
        if metadata.len() == 0 {
            return Err(TableError::NotParquet { table: name, detail: "the file is empty".to_owned() });
        }
        // The pages of the kernel's cache are mapped: nothing is copied, and the kernel can reclaim pages that
        // are not used again.
        let bytes = guarded(|| Ok(Buffer::from_owner(MMapSemaphore::new_from_file(&file)?)))
            .map_err(|fault| fault.about(&name, not_parquet))?;
        Self::new(name, bytes)
    }

    /// Opens a table that lies in memory.
    ///
    /// # Errors
    /// The bytes are not a Parquet file.
    pub(super) fn new(name: String, bytes: Buffer<u8>) -> Result<Self, TableError> {
        let (metadata, schema) = guarded(|| {
            let metadata = read_metadata(&mut Cursor::new(bytes.as_slice()))?;
            let schema = infer_schema(&metadata)?;
            Ok((metadata, schema.into_iter().map(|(name, field)| (name, without_dictionaries(field))).collect()))
        })
        .map_err(|fault| fault.about(&name, not_parquet))?;
        Ok(Self { name, schema, bytes, metadata })
    }

    /// Number of rows in the file.
    pub(super) fn n_rows(&self) -> usize {
        self.metadata.num_rows
    }

    /// Number of row groups.
    pub(super) fn n_groups(&self) -> usize {
        self.metadata.row_groups.len()
    }

    /// Number of rows of row group `i`; panics beyond the last.
    pub(super) fn n_rows_in(&self, i: usize) -> usize {
        self.metadata.row_groups[i].num_rows()
    }

    /// A column by its name.
    pub(super) fn field(&self, name: &str) -> Option<&ArrowField> {
        self.schema.get(name)
    }

    /// The error about a column that the user has named and that is not there, or not `wanted`. It lists those that would
    /// do, else all.
    pub(super) fn no_column(&self, name: &str, wanted: &'static str, fits: impl Fn(&ArrowField) -> bool) -> TableError {
        let problem = match self.field(name) {
            Some(field) => format!("holds {}, not {wanted}", type_name(field.dtype())),
            None => "is absent".to_owned(),
        };
        let columns = |fits: &dyn Fn(&ArrowField) -> bool| -> Vec<String> {
            let fitting = self.schema.iter_values().filter(|field| fits(field));
            fitting.map(|field| field.name.to_string()).collect()
        };
        let fitting = columns(&fits);
        let hint = match fitting.is_empty() {
            true => format!("no column holds such values; there are {}", names(&columns(&|_| true))),
            false => format!("columns of such values are {}", names(&fitting)),
        };
        TableError::NamedColumn { table: self.name.clone(), column: name.to_owned(), problem, hint }
    }

    /// A value of the file's own metadata.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        let pairs = self.metadata.key_value_metadata.as_ref()?;
        pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
    }

    /// Number of bytes in the file.
    pub(super) fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The leaf columns below the column `name` of row group `i`.
    pub(super) fn leaves(&self, i: usize, name: &str) -> impl Iterator<Item = &ColumnChunkMetadata> {
        let columns = self.metadata.row_groups[i].parquet_columns().iter();
        columns
            .filter(move |column| column.descriptor().path_in_schema.first().is_some_and(|root| root.as_str() == name))
    }

    /// The pages of a leaf column. Their sizes in the file are within [`MAX_PAGE_BYTES`]; see [`check_page`] for those they
    /// have when they are decompressed.
    ///
    /// # Errors
    /// The column lies beyond the end of the file.
    pub(super) fn pages(&self, column: &ColumnChunkMetadata) -> PolarsResult<PageReader> {
        let range = column.byte_range();
        let whole = |at: u64| usize::try_from(at).ok().filter(|at| *at <= self.bytes.len());
        let (Some(start), Some(end)) = (whole(range.start), whole(range.end)) else {
            return Err(PolarsError::ComputeError("a column lies beyond the end of the file".into()));
        };
        if start > end {
            return Err(PolarsError::ComputeError("a column ends before it starts".into()));
        }
        let chunk = self.bytes.clone().sliced(start..end);
        Ok(PageReader::new(Cursor::new(chunk), column, Vec::new(), MAX_PAGE_BYTES))
    }

    /// The column `name` of row group `i`, whatever its type.
    ///
    /// # Errors
    /// The data is damaged.
    pub(super) fn array(&self, i: usize, name: &str) -> Result<ArrowArray, TableError> {
        let Some(field) = self.schema.get(name) else {
            return Err(self.damaged(format!("there is no column `{name}`")));
        };
        let n_rows = self.n_rows_in(i);
        let array = guarded(|| self.decode(i, field)).map_err(|fault| fault.about(&self.name, damaged))?;
        if array.len() == n_rows {
            return Ok(array);
        }
        Err(self.damaged(format!(
            "column `{name}` of row group {i} has {} in {}",
            counted(array.len(), "values"),
            counted(n_rows, "rows")
        )))
    }

    /// Checks the sizes that row group `i` states for the column `name`: the decoder allocates memory for them before it
    /// looks at the data, and a lack of memory ends the process. Only the headers of pages are read.
    ///
    /// # Errors
    /// There are more rows or values than a writer makes, or the pages have more values than their column.
    pub(super) fn check_sizes(&self, i: usize, name: &str) -> PolarsResult<()> {
        let refused = |detail: String| PolarsError::ComputeError(detail.into());
        let n_rows = self.n_rows_in(i);
        if n_rows > MAX_ROWS_PER_GROUP {
            return Err(refused(format!("a row group of {}", counted(n_rows, "rows"))));
        }
        for leaf in self.leaves(i, name) {
            let range = leaf.byte_range();
            let n_bytes = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
            let is_flat = leaf.descriptor().descriptor.max_rep_level == 0;
            let most =
                if is_flat { n_rows } else { MAX_ROWS_PER_GROUP.max(n_bytes.saturating_mul(MAX_VALUES_PER_BYTE)) };
            let stated = usize::try_from(leaf.num_values()).ok().filter(|stated| *stated <= most);
            let mut left = stated.ok_or_else(|| refused(format!("a column of {} values", leaf.num_values())))?;
            for page in self.pages(leaf)? {
                let page = page?;
                check_page(&page)?;
                if let CompressedPage::Data(page) = page {
                    let n_values = page.num_values();
                    left = left.checked_sub(n_values).ok_or_else(|| {
                        refused(format!("a page of {} in a column with room for {left}", counted(n_values, "values")))
                    })?;
                }
            }
        }
        Ok(())
    }

    fn decode(&self, i: usize, field: &ArrowField) -> PolarsResult<ArrowArray> {
        self.check_sizes(i, &field.name)?;
        let n_rows = self.n_rows_in(i);
        let leaves: Vec<&ColumnChunkMetadata> = self.leaves(i, &field.name).collect();
        if n_rows == 0 {
            return Ok(new_empty_array(field.dtype.clone()));
        }
        let types = leaves.iter().map(|leaf| &leaf.descriptor().descriptor.primitive_type).collect();
        let pages: PolarsResult<Vec<_>> =
            leaves.iter().map(|leaf| Ok(BasicDecompressor::new(self.pages(leaf)?, Vec::new()))).collect();
        let arrays = column_iter_to_arrays(pages?, types, field.clone(), None)?.0;
        match arrays.as_slice() {
            [] => Ok(new_empty_array(field.dtype.clone())),
            [_] => Ok(arrays.into_iter().next().expect("there is one")),
            several => concatenate(&several.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>()),
        }
    }

    /// The error for what the decoder found.
    pub(super) fn damaged(&self, detail: String) -> TableError {
        TableError::Damaged { table: self.name.clone(), detail }
    }
}

/// Checks the size that a page of values states, before memory is allocated for it.
///
/// # Errors
/// No program writes pages of this size.
pub(super) fn check_page(page: &CompressedPage) -> PolarsResult<()> {
    match page {
        CompressedPage::Data(page) if page.uncompressed_size() > MAX_PAGE_BYTES => {
            let (n_bytes, most) = (page.uncompressed_size(), MAX_PAGE_BYTES);
            let detail = format!("a page of {n_bytes} bytes, decompressed; at most {most} are read");
            Err(PolarsError::ComputeError(detail.into()))
        }
        _ => Ok(()),
    }
}

/// Resolves dictionaries, which are only a way of storing values. Only a key of the metadata marks a
/// field as one, so the decoder needs no special handling.
fn without_dictionaries(mut field: ArrowField) -> ArrowField {
    field.metadata = None;
    field.dtype = match field.dtype {
        ArrowDataType::Dictionary(_, values, _) => *values,
        ArrowDataType::List(item) => ArrowDataType::List(Box::new(without_dictionaries(*item))),
        ArrowDataType::LargeList(item) => ArrowDataType::LargeList(Box::new(without_dictionaries(*item))),
        ArrowDataType::FixedSizeList(item, n) => ArrowDataType::FixedSizeList(Box::new(without_dictionaries(*item)), n),
        ArrowDataType::Map(item, sorted) => ArrowDataType::Map(Box::new(without_dictionaries(*item)), sorted),
        ArrowDataType::Struct(fields) => ArrowDataType::Struct(fields.into_iter().map(without_dictionaries).collect()),
        // Extension types of other programs say what a value means, not how it is stored.
        ArrowDataType::Extension(extension) => extension.inner,
        other => other,
    };
    field
}
