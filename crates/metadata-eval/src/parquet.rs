//! The Parquet tables that a command line names, and the keys in them.

use std::path::{Path, PathBuf};

use audsem_core::run::{FileFingerprint, Fingerprint, Reads};
use audsem_core::tables::{is_csv, tables_under};

use crate::error::Error;

/// The Parquet tables under a path; `hint` says what to do about a CSV file.
pub(crate) fn parquet_under(given: &Path, hint: &'static str) -> Result<Vec<PathBuf>, Error> {
    let tables = tables_under(given)?;
    match tables.iter().find(|path| is_csv(path)) {
        Some(path) => Err(Error::NotATable { path: path.clone(), hint }),
        None => Ok(tables),
    }
}

/// The tables under each of several paths, in their order.
pub(crate) fn parquet_under_all(given: &[PathBuf], hint: &'static str) -> Result<Vec<PathBuf>, Error> {
    let mut tables = Vec::new();
    for path in given {
        tables.extend(parquet_under(path, hint)?);
    }
    Ok(tables)
}

/// Hash of a table's name and content.
pub(crate) fn fingerprint(name: &str, path: &Path) -> Result<Reads, Error> {
    Ok(Fingerprint::new().with(name).with_file(&FileFingerprint::of_output(path)?).finish())
}

/// The last component of a path.
pub(crate) fn base(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
