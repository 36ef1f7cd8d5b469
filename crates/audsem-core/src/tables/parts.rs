//! The tables of a folder, in order.

use std::path::{Path, PathBuf};

use super::TableError;
use crate::run::unfinished;
use crate::walk::{Walk, WalkError};

/// The committed Parquet parts `{step}-*.parquet` of a run folder, in the order of their names.
///
/// # Errors
/// The folder cannot be listed, its run has not ended, or it has no such part.
pub fn parts(dir: &Path, step: &str) -> Result<Vec<PathBuf>, TableError> {
    parts_ending(dir, step, &[".parquet"])
}

fn parts_ending(dir: &Path, step: &str, endings: &[&str]) -> Result<Vec<PathBuf>, TableError> {
    let prefix = format!("{step}-");
    let wanted = |name: &str| name.starts_with(&prefix) && endings.iter().any(|ending| name.ends_with(ending));
    let names = list(dir, wanted)?;
    let stats = |source| TableError::Open { path: dir.join("stats.json"), source };
    if let Some(unfinished) = unfinished(dir).map_err(stats)? {
        return Err(unfinished.into());
    }
    if names.is_empty() {
        let patterns: Vec<String> = endings.iter().map(|ending| format!("`{prefix}*{ending}`")).collect();
        return Err(TableError::NoParts { dir: dir.to_owned(), pattern: patterns.join(" or ") });
    }
    Ok(names)
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
    if path.join("run.json").exists() {
        return parts_ending(path, "part", &[".parquet", ".csv"]);
    }
    let names = list(path, |name| name.ends_with(".parquet") || is_csv(Path::new(name)))?;
    if names.is_empty() {
        return Err(TableError::NoParts { dir: path.to_owned(), pattern: "`*.parquet` or `*.csv`".to_owned() });
    }
    Ok(names)
}

/// Whether a table is CSV, by its name; all others are Parquet.
pub fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

/// The files directly in a folder whose names are wanted, `part-99999` before `part-100000`.
fn list(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, TableError> {
    let unreadable = |WalkError { path, source }| TableError::Open { path, source };
    let files = Walk::flat().by_number().files(dir, wanted).map_err(unreadable)?;
    Ok(files.into_iter().map(|file| file.path).collect())
}
