//! Rows as the Parquet library returns them, and their conversion to typed columns.

use polars::prelude::ArrowDataType;
use polars_arrow::array::{Array, NullArray};

use super::cell::{ArrowArray, Cell, Misfit};
use crate::terminal::counted;

/// Some rows of a table, or the fields of some structs, not yet typed.
pub struct Frame {
    n_rows: usize,
    columns: Vec<(String, ArrowArray)>,
}

/// A column that cannot be read as the type that is wanted.
#[derive(Debug)]
pub struct BadColumn {
    /// The column.
    pub column: &'static str,
    /// What is wrong with it.
    pub misfit: Misfit,
}

impl Frame {
    /// Rows with these columns.
    pub(super) fn new(n_rows: usize, columns: Vec<(String, ArrowArray)>) -> Self {
        Self { n_rows, columns }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.n_rows
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The array of a column.
    pub(super) fn array(&self, name: &str) -> Option<&dyn Array> {
        self.columns.iter().find(|(found, _)| found == name).map(|(_, array)| array.as_ref())
    }

    /// Some of the rows that follow each other.
    pub(super) fn sliced(&self, from: usize, n_rows: usize) -> Self {
        let slice = |(name, array): &(String, ArrowArray)| (name.clone(), array.sliced(from, n_rows));
        Self { n_rows, columns: self.columns.iter().map(slice).collect() }
    }

    /// One column as values of type `C`. Integers of another width and numbers of another precision are converted
    /// when every value fits.
    ///
    /// # Errors
    /// The column is missing or has another type, a value does not fit, or one is absent and `C` is not optional.
    pub fn column<C: Cell>(&self, name: &'static str) -> Result<C::Column, BadColumn> {
        let bad = |misfit| BadColumn { column: name, misfit };
        let Some(array) = self.array(name) else {
            if C::NULLABLE {
                return C::open(&NullArray::new(ArrowDataType::Null, self.n_rows)).map_err(bad);
            }
            return Err(bad(Misfit::Type("there is no such column".to_owned())));
        };
        if array.len() != self.n_rows {
            return Err(bad(Misfit::Type(format!(
                "{} in {}",
                counted(array.len(), "values"),
                counted(self.n_rows, "rows")
            ))));
        }
        C::open(array).map_err(bad)
    }
}
