//! Sets of clips to leave out: lists of keys, and scores beyond a threshold.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use audsem_core::csv_records::CsvRecords;
use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::json;
use audsem_core::row;
use audsem_core::run::{FileFingerprint, Fingerprint, Reads};
use audsem_core::tables::{Columns as _, JsonRows, ParquetFile, is_csv, tables_under, text_hash};
use serde_json::Value;

use crate::error::Error;
use crate::parquet::{base, parquet_under, tar_key};

/// Names of the column of keys, the first that a file has counts.
const KEY_COLUMNS: [&str; 2] = ["key", "file_name"];

row! {
    table "scores of clips";
    /// The columns of `audsem-clip-embeddings score` that are read.
    pub struct DissimilarClip / DissimilarClipRef / DissimilarClipColumns / DissimilarClipBuffers {
        /// The clip's tar key.
        pub key: String,
        /// 1 less the mean cosine to the reference.
        pub dissimilarity: f32,
    }
}

/// Keys, and what they were read from.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    hashes: HashSet<u64, foldhash::fast::FixedState>,
    pub fingerprint: Reads,
}

impl KeySet {
    /// The keys of lists.
    pub(super) fn of_lists(lists: &[PathBuf]) -> Result<Self, Error> {
        let (mut hashes, mut all) = (HashSet::default(), Fingerprint::new());
        for given in lists {
            let files = if given.is_dir() { tables_under(given)? } else { vec![given.clone()] };
            for path in files {
                all = all.with(base(&path)).with_file(&FileFingerprint::of_output(&path)?);
                read(&path, |key| {
                    hashes.insert(text_hash(&tar_key(key)));
                })?;
            }
        }
        Ok(Self { hashes, fingerprint: all.finish() })
    }

    /// The keys of clips whose audio or text lies beyond a dissimilarity.
    pub(super) fn of_scores(tables: &[PathBuf], max_dissimilarity: f64) -> Result<Self, Error> {
        let (mut hashes, mut all) = (HashSet::default(), Fingerprint::new());
        for given in tables {
            for path in parquet_under(given, "run `audsem-clip-embeddings score`")? {
                all = all.with(base(&path)).with_file(&FileFingerprint::of_output(&path)?);
                for columns in ParquetFile::<DissimilarClip>::open(&path)?.groups() {
                    let columns = columns?;
                    let scores = (0..columns.len()).map(|row| columns.get(row));
                    let beyond = scores.filter(|score| f64::from(score.dissimilarity) > max_dissimilarity);
                    hashes.extend(beyond.map(|score| text_hash(&tar_key(score.key))));
                }
            }
        }
        Ok(Self { hashes, fingerprint: all.finish() })
    }

    /// Whether a key is in the set.
    pub(super) fn has(&self, key: &str) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&text_hash(&tar_key(key)))
    }
}

/// Visits the keys of a list.
fn read(path: &Path, visit: impl FnMut(&str)) -> Result<(), Error> {
    let name = base(path).to_ascii_lowercase();
    let ends = |ending: &str| name.ends_with(ending);
    match () {
        () if ends(".parquet") => of_parquet(path, visit),
        () if is_csv(path) => of_csv(path, visit),
        () if ends(".jsonl") || ends(".jsonl.gz") || ends(".jsonl.zst") => of_json_lines(path, visit),
        () => of_lines(path, visit),
    }
}

fn no_key(path: &Path) -> Error {
    CoreError::input(path, "no column `key` or `file_name`").into()
}

fn of_parquet(path: &Path, mut visit: impl FnMut(&str)) -> Result<(), Error> {
    let rows = JsonRows::open(path)?;
    let column = KEY_COLUMNS.into_iter().find(|name| rows.columns().iter().any(|column| column == name));
    let column = column.ok_or_else(|| no_key(path))?;
    let mut n_absent = 0;
    for group in rows.with_columns(&[column]).groups() {
        let group = group?;
        let reader = group.reader();
        for row in 0..group.len() {
            match reader.value(column, row) {
                Value::String(key) => visit(&key),
                // It names no clip.
                Value::Null => n_absent += 1,
                other => {
                    return Err(CoreError::input(path, format!("`{column}` of row {row} is no text: {other}")).into());
                }
            }
        }
    }
    if n_absent > 0 {
        tracing::warn!("{}: `{column}` is absent in {n_absent} rows", path.display());
    }
    Ok(())
}

fn of_csv(path: &Path, mut visit: impl FnMut(&str)) -> Result<(), Error> {
    let failed = |error: csv::Error| CoreError::input(path, error.to_string());
    let mut reader = CsvRecords::new(&csv::ReaderBuilder::new(), input::open(path)?);
    let header = reader.headers().map_err(failed)?;
    let column = KEY_COLUMNS.iter().find_map(|name| header.iter().position(|column| column.trim() == *name));
    let column = column.ok_or_else(|| no_key(path))?;
    for record in reader.records() {
        visit(record.map_err(failed)?.get(column).unwrap_or_default());
    }
    Ok(())
}

fn of_json_lines(path: &Path, mut visit: impl FnMut(&str)) -> Result<(), Error> {
    for (number, line) in (1..).zip(BufReader::new(input::open(path)?).lines()) {
        let line = line.map_err(CoreError::read(path))?;
        if line.trim().is_empty() {
            continue;
        }
        let bad = |problem: String| CoreError::input(path, format!("line {number}: {problem}"));
        let fields = json::read_fields(line.as_bytes(), KEY_COLUMNS).map_err(|error| bad(error.to_string()))?;
        match fields.value.into_iter().flatten().next() {
            Some(Value::String(key)) => visit(&key),
            _ => return Err(bad("no text `key` or `file_name`".to_owned()).into()),
        }
    }
    Ok(())
}

fn of_lines(path: &Path, mut visit: impl FnMut(&str)) -> Result<(), Error> {
    for line in BufReader::new(input::open(path)?).lines() {
        let line = line.map_err(CoreError::read(path))?;
        if !line.trim().is_empty() {
            visit(line.trim());
        }
    }
    Ok(())
}
