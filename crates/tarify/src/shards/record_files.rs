//! Sequential reading of the records of a JSON-lines, CSV or Parquet file.
//!
//! Damage is a fault of the data: the rows of a damaged row group, and the place at which a compressed file breaks off,
//! are rejects, and all that can be read is used. What the system fails to read is an error.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audsem_core::blame::Blame;
use audsem_core::clip_id::ClipId;
use audsem_core::csv_records::CsvRecords;
use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::json;
use audsem_core::parallel::ordered_map;
use audsem_core::run::{LeftOut, Outcome};
use audsem_core::tables::{JsonGroup, JsonRows, is_csv};
use audsem_core::terminal::counted;
use serde_json::{Map, Value};

use super::lines::{Batch, Batches};
use super::reason::Fault;
use crate::clip_rows::{self, BadRow, FoundRow};
use crate::error::Error as TarifyError;

/// Endings of files of records.
pub(super) const ENDINGS: [&str; 7] = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".csv.gz", ".csv.zst", ".parquet"];

/// Rows of a table that are processed together.
const ROWS_PER_BATCH: usize = 1024;

/// Fields whose values are lists or objects: in a cell of text, they stand as JSON.
const NESTED_FIELDS: [&str; 2] = ["qa_pairs", "choices"];

/// A record, or why it cannot be read.
pub(super) struct Found {
    /// File name and number of the line or row, from 1.
    pub place: String,
    /// How many records are there: more than one only where all are lost.
    pub n_records: u64,
    /// Its fields.
    pub record: Outcome<Map<String, Value>>,
    /// Whether parts of it that are not standard JSON were replaced; see [`audsem_core::json`].
    pub is_repaired: bool,
}

/// Goes through the records of all files: `judge` on several threads, `take` in the order of the files.
///
/// # Errors
/// A file cannot be read, and what `take` gives.
pub(super) fn for_each<T: Send, E: From<CoreError>>(
    (paths, are_tables): (&[PathBuf], bool),
    workers: usize,
    judge: impl Fn(Found) -> T + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    for path in paths {
        if are_tables {
            of_table(path, |found| take(judge(found)))?;
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let judged = |chunk: io::Result<Chunk>| {
            chunk.map(|chunk| chunk.records(&name).into_iter().map(&judge).collect::<Vec<T>>())
        };
        ordered_map(chunks(path)?, workers, 2 * workers, judged, |judged| {
            judged.map_err(CoreError::read(path))?.into_iter().try_for_each(&mut take)
        })?;
    }
    Ok(())
}

/// Goes through the rows of a clip table: each is a caption of its clip.
fn of_table<E: From<CoreError>>(path: &Path, mut take: impl FnMut(Found) -> Result<(), E>) -> Result<(), E> {
    let (mut number, mut outcome) = (0, Ok(()));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let read = clip_rows::each(path, |row| {
        number += 1;
        if outcome.is_err() {
            return;
        }
        let found = match row {
            Ok(row) => {
                let clip = ClipId::new(row.video_id.clone(), row.start_ms, row.end_ms);
                let record = clip.map_err(|error| LeftOut::fail(Fault::BadName, error.to_string()));
                Found {
                    place: format!("{name}:{number}"),
                    n_records: 1,
                    record: record.map(|clip| caption_of(&clip, &row)),
                    is_repaired: false,
                }
            }
            Err(BadRow { place, problem, .. }) => {
                Found { place, n_records: 1, record: Err(LeftOut::fail(Fault::BadRow, problem)), is_repaired: false }
            }
        };
        outcome = take(found);
    });
    read.map_err(|error| match error {
        TarifyError::Core(error) => error,
        error => CoreError::input(path, error.to_string()),
    })?;
    outcome
}

fn caption_of(clip: &ClipId, row: &FoundRow<'_>) -> Map<String, Value> {
    let mut record = Map::from_iter([("file_name".to_owned(), clip.tar_key().into())]);
    if let Some(caption) = row.caption() {
        record.insert("caption".to_owned(), caption.into());
    }
    record
}

/// The cells of a line of a CSV file, or what is wrong with it.
type Cells = Result<Vec<String>, String>;

/// Some records of a file, not yet taken apart.
enum Chunk {
    /// What cannot be read: where it begins, how many records are lost for certain, and why.
    Lost {
        first: u64,
        n_records: u64,
        why: LeftOut,
    },
    Lines(Batch),
    Cells {
        header: Arc<[String]>,
        rows: Vec<(u64, Cells)>,
    },
    Rows {
        first: usize,
        group: Arc<JsonGroup>,
        n_rows: usize,
        first_in_group: usize,
    },
}

fn chunks(path: &Path) -> Result<Box<dyn Iterator<Item = io::Result<Chunk>> + Send>, CoreError> {
    if path.extension().is_some_and(|extension| extension == "parquet") {
        return Ok(Box::new(parquet_chunks(path)?));
    }
    let reader = input::open(path)?;
    let is_csv = is_csv(path) || path.file_stem().is_some_and(|stem| is_csv(Path::new(stem)));
    if is_csv {
        return Ok(Box::new(CsvChunks::new(path, reader)?));
    }
    let mut batches = Batches::new(reader);
    Ok(Box::new(std::iter::from_fn(move || {
        let batch = batches.next()?.map(Chunk::Lines);
        Some(batch.or_else(|error| lost_behind(batches.next_line(), error)))
    })))
}

/// What becomes of an error in the middle of a file: where the bytes are at fault, it ends there.
fn lost_behind(line: u64, error: io::Error) -> io::Result<Chunk> {
    if Blame::of_io(&error) == Blame::Surroundings {
        return Err(error);
    }
    let why = LeftOut::fail(Fault::BrokenOff, format!("{error}; what stands behind is lost"));
    Ok(Chunk::Lost { first: line, n_records: 1, why })
}

impl Chunk {
    fn records(self, name: &str) -> Vec<Found> {
        let found =
            |number: u64, record| Found { place: format!("{name}:{number}"), n_records: 1, record, is_repaired: false };
        match self {
            Self::Lost { first, n_records, why } => vec![Found { n_records, ..found(first, Err(why)) }],
            Self::Lines(batch) => {
                let too_long =
                    batch.too_long.map(|number| found(number, Err(LeftOut::fail(Fault::LineTooLong, String::new()))));
                let lines = batch.lines().map(|(number, line)| match json::read_object(line) {
                    Ok(read) => {
                        let is_repaired = read.repairs != json::Repairs::default();
                        Found { is_repaired, ..found(number, Ok(read.value)) }
                    }
                    Err(error) => found(number, Err(LeftOut::fail(Fault::BadJson, error.to_string()))),
                });
                too_long.into_iter().chain(lines).collect()
            }
            Self::Cells { header, rows } => {
                let rows = rows.into_iter().map(|(line, cells)| {
                    let record = cells.map_err(|problem| LeftOut::fail(Fault::BadRow, problem));
                    found(line, record.map(|cells| of_cells(&header, cells)))
                });
                rows.collect()
            }
            Self::Rows { first, group, n_rows, first_in_group } => {
                let (numbers, rows) = ((first as u64 + 1).., group.reader());
                let rows = (first_in_group..first_in_group + n_rows).map(|i| rows.row(i));
                numbers.zip(rows).map(|(number, row)| found(number, Ok(of_row(row)))).collect()
            }
        }
    }
}

/// An empty cell holds nothing.
fn of_cells(header: &[String], cells: Vec<String>) -> Map<String, Value> {
    let cells = header.iter().cloned().zip(cells).filter(|(_, cell)| !cell.is_empty());
    nest(cells.map(|(name, cell)| (name, Value::String(cell))).collect())
}

/// Tables have every column in every row; a record has not.
fn of_row(row: Map<String, Value>) -> Map<String, Value> {
    nest(row.into_iter().filter(|(_, value)| !value.is_null()).collect())
}

/// Takes lists and objects out of cells that hold them as JSON. Other text stays: who reads the field says what is wrong.
fn nest(mut record: Map<String, Value>) -> Map<String, Value> {
    for name in NESTED_FIELDS {
        let Some(value) = record.get_mut(name) else { continue };
        let parsed = value.as_str().and_then(|text| json::read(text.as_bytes()).ok()).map(|read| read.value);
        if let Some(parsed @ (Value::Array(_) | Value::Object(_))) = parsed {
            *value = parsed;
        }
    }
    record
}

struct CsvChunks<R> {
    reader: CsvRecords<R>,
    header: Arc<[String]>,
    ended: bool,
    /// Why it ended, where the end has not been reached.
    broken: Option<io::Error>,
}

impl<R: Read> CsvChunks<R> {
    fn new(path: &Path, reader: R) -> Result<Self, CoreError> {
        let mut reader = CsvRecords::new(&csv::ReaderBuilder::new(), reader);
        let header = reader.headers().map_err(|error| match Blame::of(&error) {
            Blame::Surroundings => CoreError::read(path)(error.into()),
            Blame::Record => CoreError::input(path, format!("the CSV header cannot be read ({error})")),
        })?;
        let header: Vec<String> =
            header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
        if let Some(twice) = (1..header.len()).find(|&n| header[..n].contains(&header[n])) {
            return Err(CoreError::input(path, format!("the CSV header names `{}` twice", header[twice])));
        }
        Ok(Self { reader, header: header.into(), ended: false, broken: None })
    }

    /// The next rows, up to a place that cannot be read.
    fn rows(&mut self) -> Vec<(u64, Cells)> {
        let (mut rows, mut record) = (Vec::new(), csv::ByteRecord::new());
        while rows.len() < ROWS_PER_BATCH {
            match self.reader.read_byte_record(&mut record) {
                Ok(false) => {
                    self.ended = true;
                    break;
                }
                Ok(true) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    rows.push((line, texts(&record)));
                }
                Err(error) => match error.kind() {
                    csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
                        let line = pos.as_ref().map_or(0, csv::Position::line);
                        rows.push((
                            line,
                            Err(format!("{}, but the header has {expected_len}", counted(*len, "fields"))),
                        ));
                    }
                    _ => {
                        self.ended = true;
                        self.broken = Some(error.into());
                        break;
                    }
                },
            }
        }
        rows
    }
}

fn texts(record: &csv::ByteRecord) -> Cells {
    let text = |cell: &[u8]| std::str::from_utf8(cell).map(str::to_owned).map_err(|error| error.to_string());
    record.iter().map(text).collect()
}

impl<R: Read> Iterator for CsvChunks<R> {
    type Item = io::Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.ended {
            let rows = self.rows();
            if !rows.is_empty() {
                return Some(Ok(Chunk::Cells { header: Arc::clone(&self.header), rows }));
            }
        }
        let line = self.reader.position().line();
        self.broken.take().map(|error| lost_behind(line, error))
    }
}

/// The rows of a Parquet file. Columns that JSON has no form for, such as the bytes of sounds, are left where they are.
fn parquet_chunks(path: &Path) -> Result<impl Iterator<Item = io::Result<Chunk>> + Send + use<>, CoreError> {
    let table = JsonRows::open(path).map_err(|error| CoreError::input(path, error.to_string()))?;
    let without = table.columns_without_json();
    if !without.is_empty() {
        tracing::warn!("columns of {} that hold bytes are not read: {}", path.display(), without.join(", "));
    }
    let mut first = 0;
    Ok((0..table.n_groups()).flat_map(move |i| {
        let (group, n_rows) = (table.group(i), table.n_rows_in(i));
        let from = first;
        first += n_rows;
        let group = match group {
            Ok(group) => Arc::new(group),
            Err(error) => {
                let detail = format!("rows {} to {first}: {error}", from + 1);
                let why = LeftOut::fail(Fault::DamagedRows, detail);
                return vec![Ok(Chunk::Lost { first: from as u64 + 1, n_records: n_rows as u64, why })];
            }
        };
        let chunk = |at: usize| {
            let n_rows = ROWS_PER_BATCH.min(n_rows - at);
            Ok(Chunk::Rows { first: from + at, group: Arc::clone(&group), n_rows, first_in_group: at })
        };
        (0..n_rows).step_by(ROWS_PER_BATCH).map(chunk).collect()
    }))
}
