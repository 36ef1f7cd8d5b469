//! The tables of a folder, in order.

use std::path::{Path, PathBuf};

use super::TableError;
use crate::run::CompletedRun;
use crate::walk::Walk;

/// The Parquet parts `{step}-*.parquet` of a run folder, in the order of the numbers in their names.
///
/// # Errors
/// The folder cannot be listed, its run has not ended or has lost something, or it has no such part.
pub fn parts(dir: &Path, step: &str) -> Result<Vec<PathBuf>, TableError> {
    let run = CompletedRun::open(dir)?;
    parts_ending((dir, run.as_ref()), step, &[".parquet"])
}

fn parts_ending(
    (dir, run): (&Path, Option<&CompletedRun>),
    step: &str,
    endings: &[&str],
) -> Result<Vec<PathBuf>, TableError> {
    let prefix = format!("{step}-");
    let wanted = |name: &str| name.starts_with(&prefix) && endings.iter().any(|ending| name.ends_with(ending));
    let patterns: Vec<String> = endings.iter().map(|ending| format!("`{prefix}*{ending}`")).collect();
    let names = match run {
        Some(run) => run.names_in(Path::new(""), wanted)?,
        None => list(dir, wanted)?,
    };
    some_of(dir, names, patterns.join(" or "))
}

/// The tables a user may name: a run folder (its `part-*.parquet`, or the `part-*.csv` of `--compat
/// reference`), any other folder of Parquet or CSV files, or one such file.
///
/// # Errors
/// As [`parts`]; or the path does not exist.
pub fn tables_under(path: &Path) -> Result<Vec<PathBuf>, TableError> {
    let metadata = std::fs::metadata(path).map_err(|source| TableError::Open { path: path.to_owned(), source })?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let wanted = |name: &str| name.ends_with(".parquet") || is_csv(Path::new(name));
    let names = match CompletedRun::around(path)? {
        Some((run, below)) if below.as_os_str().is_empty() => {
            return parts_ending((path, Some(&run)), "part", &[".parquet", ".csv"]);
        }
        Some((run, below)) => run.names_in(&below, wanted)?,
        None => Vec::new(),
    };
    let names = if names.is_empty() { list(path, wanted)? } else { names };
    some_of(path, names, "`*.parquet` or `*.csv`".to_owned())
}

/// The paths of these files in a folder, of which there must be some.
fn some_of(dir: &Path, names: Vec<String>, pattern: String) -> Result<Vec<PathBuf>, TableError> {
    if names.is_empty() {
        return Err(TableError::NoParts { dir: dir.to_owned(), pattern });
    }
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// Whether a table is CSV, by its name; all others are Parquet.
pub fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

/// The names of the files directly in a folder that are wanted, `part-99999` before `part-100000`.
fn list(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, TableError> {
    let files = Walk::flat().by_number().files(dir, wanted).map_err(crate::error::Error::from)?;
    Ok(files.into_iter().map(|file| file.name).collect())
}
