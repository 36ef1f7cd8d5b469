//! Rows as the Parquet library hands them over, and the way from there to typed columns.

use polars::prelude::{DataFrame, DataType, Series};

use super::{Cell, Row, TableError};

/// Some rows of a table, not yet typed.
pub struct Frame {
    table: String,
    frame: DataFrame,
}

impl Frame {
    /// Rows of the table called `table` in messages.
    pub(super) fn new(table: &str, frame: DataFrame) -> Self {
        Self { table: table.to_owned(), frame }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One column of row type `R`, as values of type `C`. Integers of another width and numbers of
    /// another precision are converted when every value fits.
    ///
    /// # Errors
    /// The column is missing, has another type, a value does not fit, or one is absent and `C` has
    /// no room for that.
    pub fn column<R: Row, C: Cell>(&self, name: &'static str) -> Result<C::Column, TableError> {
        let Ok(column) = self.frame.column(name) else {
            return Err(TableError::MissingColumn {
                table: self.table.clone(),
                column: name,
                kind: C::KIND,
                found: self.frame.get_column_names().iter().map(ToString::to_string).collect(),
                wanted: R::TABLE,
            });
        };
        if column.len() != self.len() {
            let detail = format!("{} values in {} rows", column.len(), self.len());
            return Err(TableError::BadValue { table: self.table.clone(), column: name, detail });
        }
        let series = self.cast::<R, C>(name, column.as_materialized_series())?;
        if !C::NULLABLE && series.null_count() > 0 {
            let detail = format!("{} of {} values are absent", series.null_count(), series.len());
            return Err(TableError::BadValue { table: self.table.clone(), column: name, detail });
        }
        Ok(C::open(&series))
    }

    fn cast<R: Row, C: Cell>(&self, name: &'static str, series: &Series) -> Result<Series, TableError> {
        let wanted = C::KIND.data_type();
        if *series.dtype() == wanted {
            return Ok(series.clone());
        }
        if !may_become(series.dtype(), &wanted, C::NULLABLE) {
            return Err(TableError::WrongType {
                table: self.table.clone(),
                column: name,
                kind: C::KIND,
                found: series.dtype().to_string(),
                wanted: R::TABLE,
            });
        }
        series.strict_cast(&wanted).map_err(|source| TableError::BadValue {
            table: self.table.clone(),
            column: name,
            detail: format!("not every value fits {}: {source}", C::KIND),
        })
    }
}

/// Whether a column of another program may stand for one of ours.
pub(super) fn may_become(found: &DataType, wanted: &DataType, nullable: bool) -> bool {
    match wanted {
        DataType::String | DataType::Boolean | DataType::List(_) => *found == DataType::Null && nullable,
        DataType::Float32 => found.is_primitive_numeric() || (*found == DataType::Null && nullable),
        _ => found.is_integer() || (*found == DataType::Null && nullable),
    }
}
