//! Reading the column of keys of a table that any program may have written.

use std::path::Path;

use polars::prelude::ArrowDataType;

use super::cell::{Cell, Misfit};
use super::column_chunks::ColumnChunks;
use super::{ColumnKind, TableError};

/// The column of keys of a Parquet file: texts, or whole numbers, which become their decimal digits.
pub struct KeyFile {
    chunks: ColumnChunks,
    column: String,
    kind: Kind,
}

/// What the keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Signed,
    Unsigned,
}

impl Kind {
    fn of(found: &ArrowDataType) -> Option<Self> {
        use ArrowDataType::{UInt8, UInt16, UInt32, UInt64};
        match found {
            ArrowDataType::Null => None,
            UInt8 | UInt16 | UInt32 | UInt64 => Some(Self::Unsigned),
            _ if ColumnKind::I64.accepts(found, true) => Some(Self::Signed),
            _ if ColumnKind::Str.accepts(found, true) => Some(Self::Text),
            _ => None,
        }
    }
}

impl KeyFile {
    /// Opens a file and looks for the column.
    ///
    /// # Errors
    /// The file cannot be opened, is not a Parquet file, or lacks the column or has it in another type.
    pub fn open(path: &Path, column: &str) -> Result<Self, TableError> {
        let chunks = ColumnChunks::open(path)?;
        match chunks.field(column).and_then(|field| Kind::of(field.dtype())) {
            Some(kind) => Ok(Self { column: column.to_owned(), kind, chunks }),
            None => Err(chunks.no_column(column, "texts or whole numbers", |field| Kind::of(field.dtype()).is_some())),
        }
    }

    /// Number of row groups.
    pub fn n_groups(&self) -> usize {
        self.chunks.n_groups()
    }

    /// The keys of row group `i`; panics beyond the last. May be called from several threads at once.
    ///
    /// # Errors
    /// The data is damaged.
    pub fn group(&self, i: usize) -> Result<Vec<Option<String>>, TableError> {
        let array = self.chunks.array(i, &self.column)?;
        let keys = match self.kind {
            Kind::Text => Option::<String>::open(array.as_ref()).map(|column| {
                let text = |row| <Option<String> as Cell>::get(&column, row).map(str::to_owned);
                (0..array.len()).map(text).collect()
            }),
            Kind::Signed => digits(Option::<i64>::open(array.as_ref())),
            Kind::Unsigned => digits(Option::<u64>::open(array.as_ref())),
        };
        keys.map_err(|misfit| self.chunks.damaged(format!("column `{}`: {misfit}", self.column)))
    }
}

fn digits<T: ToString>(numbers: Result<Vec<Option<T>>, Misfit>) -> Result<Vec<Option<String>>, Misfit> {
    Ok(numbers?.into_iter().map(|number| number.map(|number| number.to_string())).collect())
}
