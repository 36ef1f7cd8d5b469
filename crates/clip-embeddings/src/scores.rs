//! Reading tables of scores.

use std::path::{Path, PathBuf};

use audsem_core::run::{FileFingerprint, Fingerprint};
use audsem_core::tables::{ParquetFile, Score, tables_under};

use crate::error::Error;

/// A table of scores.
#[derive(Debug, Clone)]
pub struct ScoreFile {
    /// Where it is.
    pub path: PathBuf,
    /// Hash of its content.
    pub fingerprint: String,
}

/// The tables of scores that `paths` name: `score` run folders, folders of tables, or single ones.
///
/// # Errors
/// A path holds none.
pub fn list_scores(paths: &[PathBuf]) -> Result<Vec<ScoreFile>, Error> {
    let mut files = Vec::new();
    for path in paths {
        for path in tables_under(path)? {
            ParquetFile::<Score>::open(&path)?;
            let fingerprint = Fingerprint::new().with_file(&FileFingerprint::of_output(&path)?).finish();
            files.push(ScoreFile { path, fingerprint });
        }
    }
    Ok(files)
}

/// A key as a file name: a folder's slash and what no file name may hold become `_`.
pub fn file_name(key: &str) -> String {
    let name: String = key.chars().map(|c| if c == '/' || c == '\\' || c.is_control() { '_' } else { c }).collect();
    if Path::new(&name).file_name().is_some() { name } else { "_".to_owned() }
}
