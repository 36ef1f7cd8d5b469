//! Clip and caption tables that a user wrote as CSV, with times in seconds.

use std::io::Read;

use ::csv::{ByteRecord, ReaderBuilder};

use super::{Cue, TableError};
use crate::csv_records::CsvRecords;

/// The columns a caption table may have, for messages.
const HINT: &str = "a caption table has `video_id,start,duration,text` with times in seconds; \
                    `end` may stand for `duration`, and `start_ms`, `dur_ms`, `end_ms` for times in milliseconds";

/// What is wrong with one line of a CSV file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsvFault {
    /// The line has too few fields or cannot be split.
    #[error("line {line}: {detail}")]
    Malformed {
        /// Line number, from 1.
        line: u64,
        /// The error of the CSV reader.
        detail: String,
    },
    /// The file cannot be read on from here.
    #[error("line {line}: the file cannot be read any further: {detail}")]
    Stopped {
        /// Line number, from 1.
        line: u64,
        /// Why.
        detail: String,
    },
    /// A field is not UTF-8.
    #[error("line {line}: column `{column}` is not UTF-8")]
    NotUtf8 {
        /// Line number, from 1.
        line: u64,
        /// The column.
        column: &'static str,
    },
    /// A time is not a number of the allowed range.
    #[error("line {line}: column `{column}` is not a time between 0 and 4294967.295 s: `{found}`")]
    BadTime {
        /// Line number, from 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// What stands there.
        found: String,
    },
    /// The clip ends before it starts.
    #[error("line {line}: the clip ends at {end_ms} ms, before its start at {start_ms} ms")]
    EndBeforeStart {
        /// Line number, from 1.
        line: u64,
        /// Start, milliseconds.
        start_ms: u32,
        /// End, milliseconds.
        end_ms: u32,
    },
}

impl CsvFault {
    /// Whether no further row can be read. It is then not known how many rows are lost, so this is not the failure of one row.
    pub fn ends_reading(&self) -> bool {
        matches!(self, Self::Stopped { .. })
    }

    /// Line number, from 1.
    pub fn line(&self) -> u64 {
        match self {
            Self::Malformed { line, .. }
            | Self::Stopped { line, .. }
            | Self::NotUtf8 { line, .. }
            | Self::BadTime { line, .. }
            | Self::EndBeforeStart { line, .. } => *line,
        }
    }
}

/// The rows of a CSV caption table; `row_id` counts its records from 0, bad ones included.
pub struct CsvCues<R> {
    reader: CsvRecords<R>,
    columns: CueFields,
    record: ByteRecord,
    row_id: u64,
}

/// Where the header has the wanted columns.
struct CueFields {
    video_id: usize,
    start: (usize, Unit),
    length: (usize, Unit, Length),
    /// `None` if only the spans are read.
    text: Option<usize>,
}

#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    Milliseconds,
}

#[derive(Clone, Copy)]
enum Length {
    Duration,
    End,
}

impl<R: Read> CsvCues<R> {
    /// Reads the header; `table` names the file in messages.
    ///
    /// # Errors
    /// The header cannot be read or lacks a column.
    pub fn new(table: &str, file: R) -> Result<Self, TableError> {
        Self::open(table, file, true)
    }

    /// Opens a table of which only the spans are read: no text column is needed, and the texts are empty.
    ///
    /// # Errors
    /// As [`CsvCues::new`].
    pub fn spans(table: &str, file: R) -> Result<Self, TableError> {
        Self::open(table, file, false)
    }

    fn open(table: &str, file: R, with_text: bool) -> Result<Self, TableError> {
        let mut reader = CsvRecords::new(&ReaderBuilder::new(), file);
        let header = reader
            .byte_headers()
            .map_err(|source| TableError::NotParquet { table: table.to_owned(), detail: source.to_string() })?;
        let found: Vec<String> = header.iter().map(header_name).collect();
        let columns = CueFields::find(table, &found, with_text)?;
        Ok(Self { reader, columns, record: ByteRecord::new(), row_id: 0 })
    }

    fn parse(&self, row_id: u64) -> Result<Cue, CsvFault> {
        let line = self.record.position().map_or(0, ::csv::Position::line);
        let start_ms = self.time(line, "start", self.columns.start.0, self.columns.start.1)?;
        let (field, unit, length) = self.columns.length;
        let dur_ms = match length {
            Length::Duration => self.time(line, "duration", field, unit)?,
            Length::End => {
                let end_ms = self.time(line, "end", field, unit)?;
                end_ms.checked_sub(start_ms).ok_or(CsvFault::EndBeforeStart { line, start_ms, end_ms })?
            }
        };
        if start_ms.checked_add(dur_ms).is_none() {
            let found = format!("{start_ms} ms + {dur_ms} ms");
            return Err(CsvFault::BadTime { line, column: "duration", found });
        }
        Ok(Cue {
            row_id,
            video_id: self.str(line, "video_id", self.columns.video_id)?.to_owned(),
            start_ms,
            dur_ms,
            text: self.columns.text.map_or(Ok(""), |i| self.str(line, "text", i))?.to_owned(),
        })
    }

    fn str(&self, line: u64, column: &'static str, i: usize) -> Result<&str, CsvFault> {
        std::str::from_utf8(self.record.get(i).unwrap_or_default()).map_err(|_| CsvFault::NotUtf8 { line, column })
    }

    fn time(&self, line: u64, column: &'static str, i: usize, unit: Unit) -> Result<u32, CsvFault> {
        let found = self.str(line, column, i)?;
        let scale = match unit {
            Unit::Seconds => 1000.0,
            Unit::Milliseconds => 1.0,
        };
        let ms = found.trim().parse::<f64>().map_or(f64::NAN, |value| (value * scale).round());
        if (0.0..=f64::from(u32::MAX)).contains(&ms) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
            return Ok(ms as u32);
        }
        Err(CsvFault::BadTime { line, column, found: found.chars().take(40).collect() })
    }
}

impl<R: Read> Iterator for CsvCues<R> {
    type Item = Result<Cue, CsvFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let row_id = self.row_id;
        self.row_id += 1;
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => None,
            Ok(true) => Some(self.parse(row_id)),
            Err(error) if error.is_io_error() => {
                let line = self.record.position().unwrap_or(self.reader.position()).line();
                Some(Err(CsvFault::Stopped { line, detail: error.to_string() }))
            }
            Err(error) => {
                let line = error.position().map_or(0, ::csv::Position::line);
                Some(Err(CsvFault::Malformed { line, detail: error.to_string() }))
            }
        }
    }
}

impl CueFields {
    fn find(table: &str, found: &[String], with_text: bool) -> Result<Self, TableError> {
        let position = |name: &str| found.iter().position(|other| other == name);
        let text = if with_text { Some("text") } else { None };
        let missing =
            |column| TableError::CsvHeader { table: table.to_owned(), column, found: found.to_vec(), hint: HINT };
        let seconds = |name| position(name).map(|i| (i, Unit::Seconds));
        let ms = |name| position(name).map(|i| (i, Unit::Milliseconds));
        let duration = seconds("duration").or(ms("dur_ms")).map(|(i, unit)| (i, unit, Length::Duration));
        let end = seconds("end").or(ms("end_ms")).map(|(i, unit)| (i, unit, Length::End));
        Ok(Self {
            video_id: position("video_id").ok_or_else(|| missing("video_id"))?,
            start: seconds("start").or(ms("start_ms")).ok_or_else(|| missing("start"))?,
            length: duration.or(end).ok_or_else(|| missing("duration"))?,
            text: text.map(|name| position(name).ok_or_else(|| missing(name))).transpose()?,
        })
    }
}

/// A name of the header without a byte order mark, blanks and quotes.
fn header_name(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim_start_matches('\u{feff}').trim().to_owned()
}
