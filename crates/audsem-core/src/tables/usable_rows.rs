//! The rows of a table that can be read, where some cannot: a value that is absent, or that its type has no room for, costs
//! its row and not those around it.

use super::cell::{ArrowArray, Misfit};
use super::lists::gather;
use super::{BadColumn, Columns, Frame, Row};

/// The rows of a row group that can be read.
#[derive(Debug)]
pub struct UsableRows<R: Row> {
    /// Their columns.
    pub columns: R::Columns,
    /// The number in the row group of each; none where all of them are usable.
    numbers: Option<Vec<usize>>,
    /// The others, in order.
    pub bad: Vec<BadRow>,
}

/// A row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}`: {detail}")]
pub struct BadRow {
    /// Its number in the row group.
    pub row: usize,
    /// The column that makes it so.
    pub column: &'static str,
    /// What is wrong there.
    pub detail: String,
}

impl<R: Row> UsableRows<R> {
    /// The number in the row group of usable row `i`.
    pub fn number(&self, i: usize) -> usize {
        self.numbers.as_ref().map_or(i, |numbers| numbers[i])
    }

    /// How many rows the row group has, bad ones included.
    pub fn n_rows(&self) -> usize {
        self.columns.len() + self.bad.len()
    }

    /// The usable rows and the others in the order of the table, each with its number.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Result<R::Ref<'_>, &BadRow>)> {
        let (mut good, mut bad) = (0, self.bad.iter().peekable());
        (0..self.n_rows()).map(move |row| match bad.next_if(|bad| bad.row == row) {
            Some(bad) => (row, Err(bad)),
            None => {
                good += 1;
                (row, Ok(self.columns.get(good - 1)))
            }
        })
    }

    /// Reads the rows of some columns.
    pub(super) fn of(n_rows: usize, columns: Vec<(String, ArrowArray)>) -> Result<Self, BadColumn> {
        let frame = Frame::new(n_rows, columns);
        match R::Columns::open(&frame) {
            Ok(columns) => Ok(Self { columns, numbers: None, bad: Vec::new() }),
            // The type of a column is the same in every row.
            Err(BadColumn { column, misfit: Misfit::Type(detail) }) => {
                Err(BadColumn { column, misfit: Misfit::Type(detail) })
            }
            Err(_) => Self::without_bad(&frame),
        }
    }

    fn without_bad(frame: &Frame) -> Result<Self, BadColumn> {
        let mut bad = absent::<R>(frame);
        let mut runs = Vec::new();
        let mut from = 0;
        for end in bad.iter().map(|bad| bad.row).chain([frame.len()]).collect::<Vec<_>>() {
            search::<R>(frame, from, end, &mut runs, &mut bad)?;
            from = end + 1;
        }
        bad.sort_unstable_by_key(|bad| bad.row);
        let spans: Vec<_> = runs.iter().cloned().map(Some).collect();
        let whole = |column: &'static str| move |misfit| BadColumn { column, misfit };
        let mut columns = Vec::new();
        for spec in R::COLUMNS {
            if let Some(array) = frame.array(spec.name) {
                let (usable, _) = gather(array, &spans).map_err(whole(spec.name))?;
                columns.push((spec.name.to_owned(), usable));
            }
        }
        let numbers: Vec<usize> = runs.into_iter().flatten().collect();
        let columns = R::Columns::open(&Frame::new(numbers.len(), columns))?;
        Ok(Self { columns, numbers: Some(numbers), bad })
    }
}

/// The rows that lack a value which must be there.
fn absent<R: Row>(frame: &Frame) -> Vec<BadRow> {
    let mut bad: Vec<BadRow> = Vec::new();
    for spec in R::COLUMNS.iter().filter(|spec| !spec.nullable) {
        let Some(array) = frame.array(spec.name).filter(|array| array.null_count() > 0) else { continue };
        let absent = (0..array.len()).filter(|row| array.is_null(*row));
        bad.extend(absent.map(|row| BadRow { row, column: spec.name, detail: "the value is absent".to_owned() }));
    }
    bad.sort_by_key(|bad| bad.row);
    bad.dedup_by_key(|bad| bad.row);
    bad
}

/// Finds the bad rows from `from` on up to `end` by halves, and the runs of usable ones between them.
fn search<R: Row>(
    frame: &Frame,
    from: usize,
    end: usize,
    runs: &mut Vec<std::ops::Range<usize>>,
    bad: &mut Vec<BadRow>,
) -> Result<(), BadColumn> {
    if from >= end {
        return Ok(());
    }
    match R::Columns::open(&frame.sliced(from, end - from)) {
        Ok(_) => runs.push(from..end),
        Err(BadColumn { column, misfit: Misfit::Type(detail) }) => {
            return Err(BadColumn { column, misfit: Misfit::Type(detail) });
        }
        Err(BadColumn { column, misfit }) if end - from == 1 => {
            bad.push(BadRow { row: from, column, detail: misfit.to_string() });
        }
        Err(_) => {
            let middle = from + (end - from) / 2;
            search::<R>(frame, from, middle, runs, bad)?;
            search::<R>(frame, middle, end, runs, bad)?;
        }
    }
    Ok(())
}
