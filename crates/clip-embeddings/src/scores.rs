//! Reading tables of scores and of matches: one number for each row, whichever column is asked for.

use std::path::PathBuf;

use crate::tables::{CaptionMatch, Score};
use audsem_core::error::Error as CoreError;
use audsem_core::run::{FileFingerprint, Fingerprint, Reads, ShardError};
use audsem_core::tables::{Columns as _, ParquetFile, Row, TableError, tables_under, text_hash};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::criterion::{Column, Criterion, CriterionArgs};
use crate::error::Error;
use crate::repeats::{Repeats, Seen};

/// The modality of tables that score clip and caption together.
pub const MATCH: &str = "match";

/// Which command has written a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// `score`.
    Scores,
    /// `match`.
    Matches,
}

impl TableKind {
    /// The columns that clips can be judged by, the usual one first.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Scores => &[Column::Dissimilarity, Column::Nearest, Column::MeanTopK],
            Self::Matches => &[Column::Cosine],
        }
    }
}

/// A table of scores or matches.
#[derive(Debug, Clone)]
pub struct ScoreFile {
    /// Where it is.
    pub path: PathBuf,
    /// Hash of its content.
    pub fingerprint: Reads,
    /// What is in it.
    pub kind: TableKind,
    /// Rows it has.
    pub n_rows: u64,
}

/// A row, as far as reports need it.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// The clip's key.
    pub key: &'a str,
    /// Name of its set.
    pub source: &'a str,
    /// `audio`, `text` or [`MATCH`].
    pub modality: &'a str,
    /// The number in the column asked for, where the row has one.
    pub value: Option<f32>,
    /// The caption, where the table has it.
    pub text: Option<&'a str>,
}

/// A table, opened.
enum Table {
    Scores(ParquetFile<Score>),
    Matches(ParquetFile<CaptionMatch>),
}

impl Table {
    fn n_groups(&self) -> usize {
        match self {
            Self::Scores(table) => table.n_groups(),
            Self::Matches(table) => table.n_groups(),
        }
    }

    fn group(&self, i: usize) -> Result<Rows, TableError> {
        match self {
            Self::Scores(table) => table.group(i).map(Rows::Scores),
            Self::Matches(table) => table.group(i).map(Rows::Matches),
        }
    }
}

/// Rows that were read.
enum Rows {
    Scores(<Score as Row>::Columns),
    Matches(<CaptionMatch as Row>::Columns),
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Self::Scores(rows) => rows.len(),
            Self::Matches(rows) => rows.len(),
        }
    }

    fn get(&self, i: usize, column: Column) -> Scored<'_> {
        match self {
            Self::Scores(rows) => {
                let row = rows.get(i);
                let value = match column {
                    Column::Dissimilarity => Some(row.dissimilarity),
                    Column::Nearest => row.nearest,
                    Column::MeanTopK => row.mean_top_k,
                    Column::Cosine => None,
                };
                Scored { key: row.key, source: row.source, modality: row.modality, value, text: None }
            }
            Self::Matches(rows) => {
                let row = rows.get(i);
                let value = (column == Column::Cosine).then_some(row.cosine);
                Scored { key: row.key, source: row.source, modality: MATCH, value, text: Some(row.text) }
            }
        }
    }
}

impl ScoreFile {
    fn open(path: PathBuf) -> Result<Self, Error> {
        let (kind, n_rows) = match ParquetFile::<Score>::open(&path) {
            Ok(table) => (TableKind::Scores, table.n_rows()),
            Err(error) => match ParquetFile::<CaptionMatch>::open(&path) {
                Ok(table) => (TableKind::Matches, table.n_rows()),
                Err(_) => return Err(error.into()),
            },
        };
        let fingerprint = Fingerprint::new().with_file(&FileFingerprint::of_output(&path)?).finish();
        Ok(Self { path, fingerprint, kind, n_rows: n_rows as u64 })
    }

    fn table(&self) -> Result<Table, TableError> {
        Ok(match self.kind {
            TableKind::Scores => Table::Scores(ParquetFile::open(&self.path)?),
            TableKind::Matches => Table::Matches(ParquetFile::open(&self.path)?),
        })
    }

    /// Hands its row groups to `visit` until that says no.
    fn groups(&self, mut visit: impl FnMut(Rows) -> Result<bool, ShardError>) -> Result<(), ShardError> {
        let table = self.table().map_err(ShardError::fatal)?;
        for i in 0..table.n_groups() {
            if !visit(table.group(i).map_err(ShardError::fatal)?)? {
                break;
            }
        }
        Ok(())
    }
}

/// The tables that `paths` name: run folders of `score` or of `match`, folders of tables, or single ones.
///
/// # Errors
/// A path holds none, or they are of both kinds.
pub fn list_scores(paths: &[PathBuf]) -> Result<Vec<ScoreFile>, Error> {
    let mut files: Vec<ScoreFile> = Vec::new();
    for path in paths {
        for path in tables_under(path)? {
            let file = ScoreFile::open(path)?;
            if files.first().is_some_and(|first| first.kind != file.kind) {
                let problem = "some tables hold scores and some matches, which have no column in common\n\
                               hint: report on the output of `score` and of `match` one by one";
                return Err(CoreError::input(&file.path, problem).into());
            }
            files.push(file);
        }
    }
    Ok(files)
}

/// How a row counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Counts {
    /// It counts, with this value; not for all sets together if an earlier set has its key.
    Value {
        /// The value.
        value: f32,
        /// Whether no other set before has the key.
        first: bool,
    },
    /// An earlier row of its set has its key, and a value.
    Repeated,
    /// It has no value in the column.
    NoValue,
    /// Its value is not finite.
    NotFinite,
}

/// Some tables under one criterion.
#[derive(Debug)]
pub struct Scores {
    /// The tables.
    pub files: Vec<ScoreFile>,
    /// What is asked of them.
    pub criterion: Criterion,
    /// Rows with the modality, set and key of an earlier one.
    repeats: Repeats,
    /// Other rows with the modality and key of an earlier one.
    elsewhere: Repeats,
}

impl Scores {
    /// Opens tables and goes through their keys.
    ///
    /// # Errors
    /// There are none, or they cannot answer what is asked.
    pub fn open(paths: &[PathBuf], asked: &CriterionArgs, default: impl Fn(Column) -> Vec<f32>) -> Result<Self, Error> {
        let files = list_scores(paths)?;
        let columns = files.first().map_or(TableKind::Scores.columns(), |file| file.kind.columns());
        let criterion = Criterion::of(columns, asked, default)?;
        let (repeats, elsewhere) = Default::default();
        let mut scores = Self { files, criterion, repeats, elsewhere };
        scores.check_values()?;
        scores.find_repeats()?;
        Ok(scores)
    }

    /// Whether the first row has a value: `score` writes neighbours for all rows of a run or for none.
    fn check_values(&self) -> Result<(), Error> {
        let column = self.criterion.column;
        let Some(file) = self.files.iter().find(|file| file.n_rows > 0) else { return Ok(()) };
        let mut absent = false;
        file.groups(|rows| {
            absent = rows.len() > 0 && rows.get(0, column).value.is_none();
            Ok(rows.len() == 0)
        })
        .map_err(outside_of_steps)?;
        if absent {
            let problem =
                format!("the scores have no `{}`\nhint: compute them with `score --score knn`", column.name());
            return Err(CoreError::Config { what: format!("--column {}", column.name()), problem }.into());
        }
        Ok(())
    }

    fn find_repeats(&mut self) -> Result<(), Error> {
        let (mut in_set, mut in_any) = (Seen::default(), Seen::default());
        let mut row = 0u64;
        for file in &self.files {
            file.groups(|rows| {
                for (number, scored) in (row..).zip((0..rows.len()).map(|i| rows.get(i, self.criterion.column))) {
                    // A row without a usable value does not keep a later one from counting.
                    if !scored.value.is_some_and(f32::is_finite) {
                        continue;
                    }
                    let of_key = xxh3_64_with_seed(scored.key.as_bytes(), xxh3_64(scored.modality.as_bytes()));
                    let of_set = xxh3_64_with_seed(scored.source.as_bytes(), of_key);
                    let first_of_key = in_any.insert(of_key);
                    match in_set.insert(of_set) {
                        false => self.repeats.push(number),
                        true if !first_of_key => self.elsewhere.push(number),
                        true => {}
                    }
                }
                row += rows.len() as u64;
                Ok(true)
            })
            .map_err(outside_of_steps)?;
        }
        Ok(())
    }

    /// Hands the rows of table `i` to `visit`, at most `limit` of them, with their number in the table.
    ///
    /// # Errors
    /// The table is damaged, or `visit` fails.
    pub(crate) fn for_each(
        &self,
        i: usize,
        limit: u64,
        mut visit: impl FnMut(u64, Scored<'_>, Counts) -> Result<(), ShardError>,
    ) -> Result<(), ShardError> {
        let first = self.first_row(i);
        let mut row = 0;
        self.files[i].groups(|rows| {
            for scored in (0..rows.len()).map(|i| rows.get(i, self.criterion.column)) {
                if row == limit {
                    return Ok(false);
                }
                let counts = match scored.value {
                    _ if self.repeats.contains(first + row) => Counts::Repeated,
                    None => Counts::NoValue,
                    Some(value) if !value.is_finite() => Counts::NotFinite,
                    Some(value) => Counts::Value { value, first: !self.elsewhere.contains(first + row) },
                };
                visit(row, scored, counts)?;
                row += 1;
            }
            Ok(true)
        })
    }

    /// Hash of table `i` and of what the tables before it make of its rows.
    pub(crate) fn fingerprint(&self, i: usize) -> Reads {
        let (first, n_rows) = (self.first_row(i), self.files[i].n_rows);
        let mut fingerprint = Fingerprint::new().with(&self.files[i].fingerprint);
        for rows in [&self.repeats, &self.elsewhere] {
            fingerprint = rows.mark(fingerprint, first, n_rows).with("");
        }
        fingerprint.finish()
    }

    /// Hash of all tables.
    pub(crate) fn fingerprint_of_all(&self) -> Reads {
        self.files.iter().fold(Fingerprint::new(), |all, file| all.with(&file.fingerprint)).finish()
    }

    /// How many rows of each table lie among the first `limit` of all; tables behind those are left out.
    pub(crate) fn limits(&self, limit: Option<u64>) -> Vec<u64> {
        let mut left = limit.unwrap_or(u64::MAX);
        let mut limits = Vec::new();
        for file in &self.files {
            limits.push(left);
            left = left.saturating_sub(file.n_rows);
            if left == 0 {
                break;
            }
        }
        limits
    }

    fn first_row(&self, i: usize) -> u64 {
        self.files[..i].iter().map(|file| file.n_rows).sum()
    }
}

/// The error of a table that is read outside of a step.
pub(crate) fn outside_of_steps(error: ShardError) -> Error {
    match error {
        ShardError::Fatal(error) => error.into(),
        other => CoreError::Stage(other.into()).into(),
    }
}

/// Bytes of a file name before its ending at most: what file systems allow, less an ending.
const MAX_NAME: usize = 200;

/// A key as a file name, another one for every key: what no file name may hold becomes `%` and its
/// bytes in hex, as in addresses. Very long keys end in a hash.
pub fn file_name(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    let dots = matches!(key, "." | "..");
    for c in key.chars() {
        if matches!(c, '/' | '\\' | '%') || c.is_control() || dots {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| name.push_str(&format!("%{byte:02X}")));
        } else {
            name.push(c);
        }
    }
    if name.len() > MAX_NAME {
        name.truncate(name.floor_char_boundary(MAX_NAME - 18));
        name.push_str(&format!("%-{:016x}", text_hash(key)));
    }
    if name.is_empty() { "%".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_file_name_of_its_own() {
        let long = "ä".repeat(300);
        let longer = "ä".repeat(301);
        let keys = ["a/x", "a_x", "a%2Fx", "a\\x", "a\nx", ".", "..", "", "%", "V (1_0-3_5)", &long, &longer];
        let names: std::collections::BTreeSet<String> = keys.iter().map(|key| file_name(key)).collect();
        assert_eq!(names.len(), keys.len(), "{names:?}");
        for name in &names {
            assert!(
                name.len() <= MAX_NAME
                    && std::path::Path::new(name).file_name().is_some_and(|file| file == name.as_str())
            );
        }
        assert_eq!((file_name("V (1_0-3_5)"), file_name("a/x")), ("V (1_0-3_5)".to_owned(), "a%2Fx".to_owned()));
    }
}
