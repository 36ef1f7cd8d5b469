//! The clip table: the text that belongs to a clip.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::tables::tables_under;
use serde_json::{Map, Value};

use crate::clip_rows;
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
        // The clip's own fields, added below, would otherwise be in the JSON twice.
        for name in ["original_filename", "key"] {
            columns.shift_remove(name);
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
    /// Columns that hold bytes, which JSON cannot represent.
    pub columns_without_json: BTreeSet<String>,
}

impl ClipTable {
    /// Reads the rows of the `wanted` videos. Rows that cannot be used are accounted for elsewhere.
    pub(super) fn read(path: &Path, wanted: &BTreeSet<String>) -> Result<Self, Error> {
        let mut table = Self { files: tables_under(path)?, ..Self::default() };
        for file in table.files.clone() {
            table.columns_without_json.extend(clip_rows::columns_without_json(&file)?);
            clip_rows::each(&file, |row| {
                let Ok(row) = row else { return };
                if wanted.contains(&*row.video_id) {
                    let found = TableRow::new(row.start_ms, row.end_ms, row.columns());
                    table.by_video.entry(row.video_id.clone().into_owned()).or_default().push(found);
                }
            })?;
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
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn table(csv: &str) -> Result<ClipTable, Error> {
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        file.write_all(csv.as_bytes()).unwrap();
        ClipTable::read(file.path(), &["a", "b"].map(str::to_owned).into())
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
    fn a_clips_own_names_stand_in_its_json_once() {
        let table = table("video_id,start,duration,key,original_filename\na,1.0,1.0,x,y\n").unwrap();
        let json = String::from_utf8(table.find(&"a (1.0-2.0)".parse().unwrap()).unwrap().json("f", "k")).unwrap();
        assert_eq!(json, r#"{"video_id":"a","start":1.0,"duration":1.0,"end":2.0,"original_filename":"f","key":"k"}"#);
    }

    #[test]
    fn a_table_without_times_says_what_is_expected() {
        let error = table("id,text\na,x\n").unwrap_err().to_string();
        assert!(error.contains("its columns are id, text") && error.contains("hint: a clip table"), "{error}");
    }
}
