//! What can go wrong with a table.

use std::path::PathBuf;

use super::ColumnKind;
use crate::error::Error;

/// A table that could not be read or written.
///
/// `table` names where the table lies: a path, or what the caller called its bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file could not be opened, listed or read.
    #[error("cannot read table `{}`: {source}\nhint: check that the path exists and may be read", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file has no Parquet footer.
    #[error(
        "not a Parquet file: `{table}`: {detail}\nhint: a truncated table must be written again; CSV files must end in `.csv`"
    )]
    NotParquet {
        /// Where the table lies.
        table: String,
        /// The error of the Parquet reader.
        detail: String,
    },
    /// A column that the row type needs is absent.
    #[error(
        "no column `{column}` ({kind}) in table `{table}`: it has {}\nhint: this step reads a {wanted} table",
        names(found)
    )]
    MissingColumn {
        /// Where the table lies.
        table: String,
        /// The absent column.
        column: &'static str,
        /// The type it should have.
        kind: ColumnKind,
        /// The columns the table has.
        found: Vec<String>,
        /// The row type that was asked for.
        wanted: &'static str,
    },
    /// A column has a type that cannot be turned into the wanted one.
    #[error("column `{column}` of table `{table}` holds {found}, not {kind}\nhint: this step reads a {wanted} table")]
    WrongType {
        /// Where the table lies.
        table: String,
        /// The column.
        column: &'static str,
        /// The type it should have.
        kind: ColumnKind,
        /// The type it has.
        found: String,
        /// The row type that was asked for.
        wanted: &'static str,
    },
    /// A column that the user has named is absent, or holds something else.
    #[error("column `{column}` of table `{table}` {problem}\nhint: {hint}")]
    NamedColumn {
        /// Where the table lies.
        table: String,
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: String,
        /// The columns that hold what is wanted, else all of the table.
        hint: String,
    },
    /// A required value is absent, or a value does not fit the type.
    #[error("column `{column}` of table `{table}`: {detail}")]
    BadValue {
        /// Where the table lies.
        table: String,
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The footer is fine but the data behind it is not.
    #[error("damaged Parquet file: `{table}`: {detail}\nhint: write the table again")]
    Damaged {
        /// Where the table lies.
        table: String,
        /// The error of the Parquet reader.
        detail: String,
    },
    /// The table could not be written.
    #[error("cannot write table: {detail}")]
    Write {
        /// The error of the Parquet writer or the operating system.
        detail: String,
    },
    /// A folder that cannot be listed, or a run folder that must not be read: see [`Error::Unfinished`] and
    /// [`Error::Lacking`].
    #[error(transparent)]
    Folder(#[from] Box<Error>),
    /// A folder without tables.
    #[error("no {pattern} in folder `{}`\nhint: name the output folder of the step before, or a table file", dir.display())]
    NoParts {
        /// The folder.
        dir: PathBuf,
        /// The file names looked for.
        pattern: String,
    },
    /// A CSV file whose header lacks a column.
    #[error("no column `{column}` in CSV file `{table}`: its header names {}\nhint: {hint}", names(found))]
    CsvHeader {
        /// Where the table lies.
        table: String,
        /// The absent column.
        column: &'static str,
        /// The columns the header names.
        found: Vec<String>,
        /// What the file may hold instead.
        hint: &'static str,
    },
}

impl From<Error> for TableError {
    fn from(error: Error) -> Self {
        Self::Folder(Box::new(error))
    }
}

/// `a`, `b` and `c` for messages.
pub(super) fn names(found: &[String]) -> String {
    if found.is_empty() {
        return "none".to_owned();
    }
    let quoted: Vec<String> = found.iter().take(20).map(|name| format!("`{name}`")).collect();
    let more = if found.len() > 20 { ", …" } else { "" };
    quoted.join(", ") + more
}
