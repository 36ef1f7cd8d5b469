//! Sets of clips that lists and tables of scores name: what is left out, and what lies within bounds.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use crate::clip_id::tar_key_of;
use crate::csv_records::CsvRecords;
use crate::error::{Error, Result};
use crate::input;
use crate::json;
use crate::run::{FileFingerprint, Fingerprint, Reads};
use crate::tables::{JsonRows, is_csv, tables_under, text_hash};
use crate::terminal::counted;

/// Names of the column of keys; the first that a file has counts.
const KEY_COLUMNS: [&str; 2] = ["key", "file_name"];

/// Keys, and what they were read from.
#[derive(Debug, Default)]
pub struct KeySet {
    hashes: HashSet<u64, foldhash::fast::FixedState>,
    /// The names and contents of the files.
    pub fingerprint: Reads,
}

impl KeySet {
    /// The keys of lists: Parquet, CSV or JSON lines with a column `key` or `file_name`, text with one key per line, or
    /// folders of tables.
    ///
    /// # Errors
    /// A list cannot be read, or has no keys where they should be.
    pub fn of_lists(lists: &[PathBuf]) -> Result<Self> {
        let (mut hashes, mut all) = (HashSet::default(), Fingerprint::new());
        for path in files_of(lists)? {
            all = all.with(base(&path)).with_file(&FileFingerprint::of_output(&path)?);
            read_keys(&path, |key| {
                hashes.insert(text_hash(&tar_key_of(key)));
            })?;
        }
        Ok(Self { hashes, fingerprint: all.finish() })
    }

    /// The set of some keys.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = String>, fingerprint: Reads) -> Self {
        Self { hashes: keys.into_iter().map(|key| text_hash(&tar_key_of(&key))).collect(), fingerprint }
    }

    /// Whether a key is in the set, however it is spelt.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&text_hash(&tar_key_of(key)))
    }
}

/// A bound on a column of numbers: `COLUMN=NUMBER`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnBound {
    /// The column.
    pub column: String,
    /// The number.
    pub value: f64,
}

impl FromStr for ColumnBound {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let form = || format!("expected COLUMN=NUMBER, such as fit=0.2, not {text:?}");
        let (column, value) = text.split_once('=').ok_or_else(form)?;
        let value: f64 = value.trim().parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(form)?;
        match column.trim() {
            "" => Err(form()),
            column => Ok(Self { column: column.to_owned(), value }),
        }
    }
}

/// Lowest and highest values that clips may have in tables of scores.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ScoreBounds {
    /// Lowest values.
    pub min: Vec<ColumnBound>,
    /// Highest values.
    pub max: Vec<ColumnBound>,
}

/// What tables of scores say about a clip.
#[derive(Debug, Clone, PartialEq)]
pub enum ScoreVerdict {
    /// It lies within all bounds.
    Within,
    /// It lies outside one: `fit 0.1 is below 0.2`.
    Outside(String),
    /// No table has it, or none has a number in a column that is asked for.
    Unknown,
}

/// The scores of clips in the columns that bounds are on.
#[derive(Debug)]
pub struct ScoredClips {
    bounds: ScoreBounds,
    columns: Vec<String>,
    /// The values of each clip, in the order of the columns; NaN where there is none.
    values: HashMap<u64, Box<[f32]>, foldhash::fast::FixedState>,
    /// The names and contents of the files.
    pub fingerprint: Reads,
}

impl ScoredClips {
    /// Reads Parquet tables with a column `key`. Where several have a clip's value, the first counts.
    ///
    /// # Errors
    /// A table cannot be read or has no keys, or no table has a column that bounds are on.
    pub fn read(tables: &[PathBuf], bounds: ScoreBounds) -> Result<Self> {
        let mut columns: Vec<String> = bounds.min.iter().chain(&bounds.max).map(|bound| bound.column.clone()).collect();
        columns.sort();
        columns.dedup();
        let mut read = Self { bounds, columns, values: HashMap::default(), fingerprint: Fingerprint::new().finish() };
        let (mut all, mut found) = (Fingerprint::new(), HashSet::new());
        for path in files_of(tables)? {
            all = all.with(base(&path)).with_file(&FileFingerprint::of_output(&path)?);
            read.add(&path, &mut found)?;
        }
        if let Some(column) = read.columns.iter().find(|column| !found.contains(*column)) {
            let place = tables.first().cloned().unwrap_or_default();
            return Err(Error::input(&place, format!("no table of scores has a column `{column}` of numbers")));
        }
        read.fingerprint = all.finish();
        Ok(read)
    }

    fn add(&mut self, path: &Path, found: &mut HashSet<String>) -> Result<()> {
        let unreadable = |error: crate::tables::TableError| Error::input(path, error.to_string());
        let rows = JsonRows::open(path).map_err(unreadable)?;
        let key = key_column(path, rows.columns())?;
        let mut wanted = vec![key];
        wanted.extend(self.columns.iter().map(String::as_str));
        let rows = rows.with_columns(&wanted);
        found.extend(rows.columns().iter().cloned());
        for group in rows.groups() {
            let group = group.map_err(unreadable)?;
            let reader = group.reader();
            for row in 0..group.len() {
                let Value::String(name) = reader.value(key, row) else { continue };
                let own = self.values.entry(text_hash(&tar_key_of(&name)));
                let own = own.or_insert_with(|| vec![f32::NAN; self.columns.len()].into());
                for (column, value) in self.columns.iter().zip(own.iter_mut()) {
                    if let (true, Some(number)) = (value.is_nan(), reader.value(column, row).as_f64()) {
                        #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
                        let number = number as f32;
                        *value = number;
                    }
                }
            }
        }
        Ok(())
    }

    /// What the tables say about a clip.
    #[must_use]
    pub fn verdict(&self, key: &str) -> ScoreVerdict {
        let Some(values) = self.values.get(&text_hash(&tar_key_of(key))) else { return ScoreVerdict::Unknown };
        let value = |bound: &ColumnBound| {
            let at = self.columns.iter().position(|column| *column == bound.column)?;
            Some(values[at]).filter(|value| !value.is_nan())
        };
        for (bounds, is_outside, side) in [
            (&self.bounds.min, f64::lt as fn(&f64, &f64) -> bool, "below"),
            (&self.bounds.max, f64::gt as fn(&f64, &f64) -> bool, "above"),
        ] {
            for bound in bounds {
                let Some(value) = value(bound) else { return ScoreVerdict::Unknown };
                // Compared as it is shown: 0.2 in a table of f32 is not below 0.2.
                let shown: f64 = value.to_string().parse().unwrap_or_else(|_| f64::from(value));
                if is_outside(&shown, &bound.value) {
                    let ColumnBound { column, value: limit } = bound;
                    return ScoreVerdict::Outside(format!("{column} {value} is {side} {limit}"));
                }
            }
        }
        ScoreVerdict::Within
    }
}

/// The last component of a path.
fn base(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files that are named, and those of folders.
fn files_of(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        match input::is_folder(path)? {
            true => files.extend(tables_under(path).map_err(|error| Error::input(path, error.to_string()))?),
            false => files.push(path.clone()),
        }
    }
    Ok(files)
}

fn no_key(path: &Path) -> Error {
    Error::input(path, "no column `key` or `file_name`")
}

fn key_column(path: &Path, columns: &[String]) -> Result<&'static str> {
    let column = KEY_COLUMNS.into_iter().find(|name| columns.iter().any(|column| column == name));
    column.ok_or_else(|| no_key(path))
}

/// Visits the keys of a list.
fn read_keys(path: &Path, visit: impl FnMut(&str)) -> Result<()> {
    let name = base(path).to_ascii_lowercase();
    let ends = |ending: &str| name.ends_with(ending);
    match () {
        () if ends(".parquet") => of_parquet(path, visit),
        () if is_csv(path) => of_csv(path, visit),
        () if ends(".jsonl") || ends(".jsonl.gz") || ends(".jsonl.zst") => of_json_lines(path, visit),
        () => of_lines(path, visit),
    }
}

fn of_parquet(path: &Path, mut visit: impl FnMut(&str)) -> Result<()> {
    let unreadable = |error: crate::tables::TableError| Error::input(path, error.to_string());
    let rows = JsonRows::open(path).map_err(unreadable)?;
    let column = key_column(path, rows.columns())?;
    let mut n_absent = 0;
    for group in rows.with_columns(&[column]).groups() {
        let group = group.map_err(unreadable)?;
        let reader = group.reader();
        for row in 0..group.len() {
            match reader.value(column, row) {
                Value::String(key) => visit(&key),
                // It names no clip.
                Value::Null => n_absent += 1,
                other => return Err(Error::input(path, format!("`{column}` of row {row} is no text: {other}"))),
            }
        }
    }
    if n_absent > 0 {
        tracing::warn!("{}: `{column}` is absent in {}", path.display(), counted(n_absent, "rows"));
    }
    Ok(())
}

fn of_csv(path: &Path, mut visit: impl FnMut(&str)) -> Result<()> {
    let failed = |error: csv::Error| Error::input(path, error.to_string());
    let mut reader = CsvRecords::new(&csv::ReaderBuilder::new(), input::open(path)?);
    let header = reader.headers().map_err(failed)?;
    let names: Vec<String> = header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
    let column = key_column(path, &names)?;
    let at = names.iter().position(|name| name == column).ok_or_else(|| no_key(path))?;
    for record in reader.records() {
        visit(record.map_err(failed)?.get(at).unwrap_or_default());
    }
    Ok(())
}

fn of_json_lines(path: &Path, mut visit: impl FnMut(&str)) -> Result<()> {
    for (number, line) in (1..).zip(BufReader::new(input::open(path)?).lines()) {
        let line = line.map_err(Error::read(path))?;
        if line.trim().is_empty() {
            continue;
        }
        let bad = |problem: String| Error::input(path, format!("line {number}: {problem}"));
        let fields = json::read_fields(line.as_bytes(), KEY_COLUMNS).map_err(|error| bad(error.to_string()))?;
        match fields.value.into_iter().flatten().next() {
            Some(Value::String(key)) => visit(&key),
            _ => return Err(bad("no text `key` or `file_name`".to_owned())),
        }
    }
    Ok(())
}

fn of_lines(path: &Path, mut visit: impl FnMut(&str)) -> Result<()> {
    for line in BufReader::new(input::open(path)?).lines() {
        let line = line.map_err(Error::read(path))?;
        if !line.trim().is_empty() {
            visit(line.trim());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::run_python;

    #[test]
    fn bounds_have_a_column_and_a_number() {
        let bound: ColumnBound = "fit=0.2".parse().unwrap();
        assert_eq!(bound, ColumnBound { column: "fit".to_owned(), value: 0.2 });
        for text in ["fit", "=1", "fit=x", "fit=nan", ""] {
            assert!(text.parse::<ColumnBound>().unwrap_err().contains("COLUMN=NUMBER"), "{text}");
        }
    }

    #[test]
    fn clips_within_bounds_are_told_from_others_and_from_unknown_ones() {
        let folder = tempfile::tempdir().unwrap();
        let script = "
import pyarrow as pa, pyarrow.parquet as pq
pq.write_table(pa.table({'key': ['V (1_0-2_0)', 'W (0_0-1_0)', 'X (0_0-1_0)'],
    'fit': pa.array([0.2, 0.1, None], pa.float32()), 'drift': [1, 9, 1]}), 'a.parquet')";
        let _ = run_python(script, folder.path());
        let tables = [folder.path().join("a.parquet")];
        let bounds = |min: &[&str], max: &[&str]| ScoreBounds {
            min: min.iter().map(|text| text.parse().unwrap()).collect(),
            max: max.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let scored = ScoredClips::read(&tables, bounds(&["fit=0.2"], &["drift=5"])).unwrap();
        assert_eq!(scored.verdict("V (1.0-2.0)"), ScoreVerdict::Within);
        assert_eq!(scored.verdict("W (0_0-1_0)"), ScoreVerdict::Outside("fit 0.1 is below 0.2".to_owned()));
        assert_eq!(scored.verdict("X (0_0-1_0)"), ScoreVerdict::Unknown, "it has no fit");
        assert_eq!(scored.verdict("Y (0_0-1_0)"), ScoreVerdict::Unknown);
        let high = ScoredClips::read(&tables, bounds(&[], &["drift=5"])).unwrap();
        assert_eq!(high.verdict("W (0_0-1_0)"), ScoreVerdict::Outside("drift 9 is above 5".to_owned()));
        let problem = ScoredClips::read(&tables, bounds(&["loud=1"], &[])).unwrap_err().to_string();
        assert!(problem.contains("no table of scores has a column `loud`"), "{problem}");
    }
}
