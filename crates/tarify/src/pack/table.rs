//! The clip table: which text belongs to a clip.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use audsem_core::clip_id::{ClipId, parse_seconds};
use audsem_core::input;
use audsem_core::tables::{ClipRow, ClipRowRef, Columns, ParquetFile, tables_under};
use serde_json::{Map, Value};

use crate::error::Error;

/// What a clip table must have.
pub const TABLE_HINT: &str = "a clip table is the folder of a `combine` run, Parquet, or CSV with the columns \
    video_id, start (or start_ms) and duration, end, dur_ms or end_ms; seconds unless the name ends in _ms";

/// Starts and ends that differ by no more than this are the same: names carry rounded seconds.
const TOLERANCE_MS: u32 = 1;

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TableRow {
    start_ms: u32,
    end_ms: u32,
    /// Its columns as JSON text: far smaller in memory than parsed ones.
    columns: Box<str>,
}

impl TableRow {
    fn new(start_ms: u32, end_ms: u32, mut columns: Map<String, Value>) -> Self {
        // Readers of older tars expect these three, in seconds.
        for (name, ms) in [("start", start_ms), ("duration", end_ms - start_ms), ("end", end_ms)] {
            columns.insert(name.to_owned(), (f64::from(ms) / 1000.0).into());
        }
        Self { start_ms, end_ms, columns: Value::Object(columns).to_string().into() }
    }

    /// The JSON member of a clip: the columns, the file it was made from, its key.
    pub(super) fn json(&self, original_filename: &str, key: &str) -> Vec<u8> {
        let columns = self.columns.strip_suffix('}').expect("a JSON object ends in a brace");
        let [original_filename, key] = [original_filename, key].map(Value::from);
        format!("{columns},\"original_filename\":{original_filename},\"key\":{key}}}").into_bytes()
    }
}

/// The rows of the videos of which there are clips.
#[derive(Debug, Default)]
pub(super) struct ClipTable {
    by_video: HashMap<String, Vec<TableRow>>,
    /// Files it was read from.
    pub files: Vec<PathBuf>,
    /// Rows that could not be used.
    pub bad_rows: u64,
}

impl ClipTable {
    /// Reads the rows of the `wanted` videos.
    pub(super) fn read(path: &Path, wanted: &HashSet<&str>) -> Result<Self, Error> {
        let mut table = Self { files: tables_under(path)?, ..Self::default() };
        for file in table.files.clone() {
            if file.extension().is_some_and(|extension| extension == "parquet") {
                table.read_parquet(&file, wanted)?;
            } else {
                table.read_csv(&file, wanted)?;
            }
        }
        Ok(table)
    }

    /// The row of a clip: equal start and end, else equal start, else equal end; the first of several.
    pub(super) fn find(&self, clip: &ClipId) -> Option<&TableRow> {
        let rows = self.by_video.get(clip.video_id())?;
        let starts = |row: &&TableRow| row.start_ms.abs_diff(clip.start_ms()) <= TOLERANCE_MS;
        let ends = |row: &&TableRow| row.end_ms.abs_diff(clip.end_ms()) <= TOLERANCE_MS;
        rows.iter()
            .find(|row| starts(row) && ends(row))
            .or_else(|| rows.iter().find(starts))
            .or_else(|| rows.iter().find(ends))
    }

    fn push(&mut self, video_id: &str, row: TableRow) {
        self.by_video.entry(video_id.to_owned()).or_default().push(row);
    }

    fn read_parquet(&mut self, file: &Path, wanted: &HashSet<&str>) -> Result<(), Error> {
        for group in ParquetFile::<ClipRow>::open(file)?.groups() {
            let group = group?;
            for row in (0..group.len()).map(|i| group.get(i)) {
                if wanted.contains(row.video_id) && row.start_ms < row.end_ms {
                    self.push(row.video_id, TableRow::new(row.start_ms, row.end_ms, columns_of(row)));
                }
            }
        }
        Ok(())
    }

    fn read_csv(&mut self, file: &Path, wanted: &HashSet<&str>) -> Result<(), Error> {
        let failed = |problem: String| Error::ClipTable { path: file.to_owned(), problem };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input::open(file)?);
        let header = reader.headers().map_err(|error| failed(error.to_string()))?.clone();
        let names: Vec<String> =
            header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
        let spans = SpanColumns::find(&names).map_err(failed)?;
        let mut record = csv::StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(false) => return Ok(()),
                Ok(true) => {}
                Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                    self.bad_rows += 1;
                    continue;
                }
                Err(error) => return Err(failed(error.to_string())),
            }
            match spans.read(&record) {
                None => self.bad_rows += 1,
                Some((video_id, _, _)) if !wanted.contains(video_id) => {}
                Some((video_id, start_ms, end_ms)) => {
                    let columns = names.iter().cloned().zip(record.iter().map(Value::from)).collect();
                    self.push(video_id, TableRow::new(start_ms, end_ms, numbers(columns)));
                }
            }
        }
    }
}

/// Columns in milliseconds are numbers; all others of a CSV stay text, whatever they look like.
fn numbers(mut columns: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in &mut columns {
        if let (true, Some(number)) = (name.ends_with("_ms"), value.as_str().and_then(|text| text.parse::<u64>().ok()))
        {
            *value = number.into();
        }
    }
    columns
}

fn columns_of(row: ClipRowRef<'_>) -> Map<String, Value> {
    let mut columns = Map::new();
    let mut put = |name: &str, value: Value| columns.insert(name.to_owned(), value);
    put("video_id", row.video_id.into());
    put("start", Value::Null);
    put("duration", Value::Null);
    put("text", row.text.into());
    put("end", Value::Null);
    put("clean_text", row.clean_text.into());
    put("row_id", row.row_id.into());
    put("start_ms", row.start_ms.into());
    put("end_ms", row.end_ms.into());
    for (name, value) in [("bert_prob", row.bert_prob), ("llm_yes_prob", row.llm_yes_prob)] {
        if let Some(value) = value {
            put(name, value.into());
        }
    }
    columns
}

/// Where the times of a CSV stand, and in which unit.
struct SpanColumns {
    video_id: usize,
    start: (usize, bool),
    /// Column, whether in milliseconds, whether a duration.
    end: (usize, bool, bool),
}

impl SpanColumns {
    fn find(names: &[String]) -> Result<Self, String> {
        let at = |wanted: &str| names.iter().position(|name| name == wanted);
        let video_id = at("video_id");
        let start = at("start_ms").map(|i| (i, true)).or_else(|| at("start").map(|i| (i, false)));
        let ends = [("end_ms", true, false), ("dur_ms", true, true), ("duration", false, true), ("end", false, false)];
        let end = ends.iter().find_map(|&(name, ms, duration)| Some((at(name)?, ms, duration)));
        match (video_id, start, end) {
            (Some(video_id), Some(start), Some(end)) => Ok(Self { video_id, start, end }),
            _ => Err(format!("its columns are {}", names.join(", "))),
        }
    }

    /// Video id, start and end in milliseconds.
    fn read<'r>(&self, record: &'r csv::StringRecord) -> Option<(&'r str, u32, u32)> {
        let time = |(column, ms): (usize, bool)| {
            let text = record.get(column)?.trim();
            if ms { text.parse().ok() } else { parse_seconds(text) }
        };
        let video_id = record.get(self.video_id)?;
        let start = time(self.start)?;
        let (column, ms, duration) = self.end;
        let end = time((column, ms))?;
        let end = if duration { start.checked_add(end)? } else { end };
        (start < end && !video_id.is_empty()).then_some((video_id, start, end))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn table(csv: &str) -> Result<ClipTable, Error> {
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        file.write_all(csv.as_bytes()).unwrap();
        ClipTable::read(file.path(), &HashSet::from(["a", "b"]))
    }

    fn text_of(table: &ClipTable, clip: &str) -> Option<String> {
        let row = table.find(&clip.parse().unwrap())?;
        let json: Value = serde_json::from_slice(&row.json("f", "k")).unwrap();
        Some(json["text"].as_str().unwrap().to_owned())
    }

    #[test]
    fn t19_clips_match_by_milliseconds() {
        let csv =
            "video_id,start,duration,text\na,1.1,2.2,both\na,1.1,5.0,start\na,0.2,9.8,end\nb,1.1,2.2,other video\n";
        let table = table(csv).unwrap();
        let check =
            |clip: &str, expected: Option<&str>| assert_eq!(text_of(&table, clip).as_deref(), expected, "{clip}");
        check("a (1.1-3.3)", Some("both"));
        check("a (1.1-3.3000000000000003)", Some("both"));
        check("a (1.101-3.299)", Some("both"));
        check("a (1.1-6.1)", Some("start"));
        check("a (1.1-4.0)", Some("both"));
        check("a (7.0-10.0)", Some("end"));
        check("a (1.102-3.5)", None);
        check("c (1.1-3.3)", None);
    }

    #[test]
    fn t18_a_clip_without_a_row_has_no_metadata() {
        let table = table("video_id,start,duration,text\na,1.0,2.0,x\n").unwrap();
        assert_eq!(table.find(&"a (8.0-9.0)".parse().unwrap()), None);
    }

    #[test]
    fn columns_are_kept_and_seconds_are_numbers() {
        let table = table("video_id,start,duration,text,note\na,1.10,2.2,\"door, slams\",007\n").unwrap();
        let row = table.find(&"a (1.1-3.3)".parse().unwrap()).unwrap();
        let json = String::from_utf8(row.json("a (1.1-3.3).mp4", "a (1_1-3_3)")).unwrap();
        let expected = r#"{"video_id":"a","start":1.1,"duration":2.2,"text":"door, slams","note":"007","end":3.3,"original_filename":"a (1.1-3.3).mp4","key":"a (1_1-3_3)"}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn columns_may_be_in_milliseconds() {
        let table = table("video_id,start_ms,end_ms,text\na,1100,3300,x\n").unwrap();
        assert_eq!(text_of(&table, "a (1.1-3.3)").as_deref(), Some("x"));
    }

    #[test]
    fn unusable_rows_are_counted() {
        let table =
            table("video_id,start,duration,text\na,x,1.0,t\na,1.0,0.0,t\na,1.0\n,1.0,1.0,t\na,1.0,1.0,good\n").unwrap();
        assert_eq!(table.bad_rows, 4);
        assert_eq!(text_of(&table, "a (1.0-2.0)").as_deref(), Some("good"));
    }

    #[test]
    fn a_table_without_times_says_what_is_expected() {
        let error = table("id,text\na,x\n").unwrap_err().to_string();
        assert!(error.contains("its columns are id, text") && error.contains("hint: a clip table"), "{error}");
    }
}
