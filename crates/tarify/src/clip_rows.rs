//! The rows of a clip table, one after the other: Parquet, as `combine` and other programs write it, or CSV.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use audsem_core::clip_id::parse_seconds;
use audsem_core::csv_records::CsvRecords;
use audsem_core::input;
use audsem_core::tables::{JsonReader, JsonRows};
use serde_json::{Map, Value};

use crate::error::Error;

/// A row of which video, start and end could be read.
pub(crate) struct FoundRow<'a> {
    pub video_id: Cow<'a, str>,
    pub start_ms: u32,
    /// After the start.
    pub end_ms: u32,
    names: &'a [String],
    values: Values<'a>,
}

/// A row that cannot be used.
pub(crate) struct BadRow<'a> {
    /// Where it stands, `table.csv:12`.
    pub place: String,
    /// Its video, where that can be read.
    pub video_id: Option<Cow<'a, str>>,
    /// What is wrong with it.
    pub problem: String,
}

enum Values<'a> {
    Parquet(&'a JsonReader<'a>, usize),
    Csv(&'a csv::StringRecord),
}

impl FoundRow<'_> {
    /// The caption, cleaned where the table has both forms; none where it has no text.
    pub(crate) fn caption(&self) -> Option<String> {
        let at = self.names.iter().position(|name| name == "text")?;
        let text = match &self.values {
            Values::Parquet(rows, i) => match rows.row(*i).into_iter().nth(at)?.1 {
                Value::String(text) => text,
                _ => return None,
            },
            Values::Csv(record) => record.get(at)?.to_owned(),
        };
        (!text.trim().is_empty()).then_some(text)
    }

    /// All its columns by name. The caption is `text` once it is clean, as in audio shards, and
    /// `original_text` as it was.
    pub(crate) fn columns(&self) -> Map<String, Value> {
        let names = self.names.iter().cloned();
        match &self.values {
            Values::Parquet(rows, i) => names.zip(rows.row(*i).into_iter().map(|(_, value)| value)).collect(),
            Values::Csv(record) => numbers(names.zip(record.iter().map(Value::from)).collect()),
        }
    }
}

/// Goes through the rows of a table.
///
/// # Errors
/// The table cannot be read, or lacks the columns for the times.
pub(crate) fn each(file: &Path, take: impl FnMut(Result<FoundRow<'_>, BadRow<'_>>)) -> Result<(), Error> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let bad_table = |problem| Error::ClipTable { path: file.to_owned(), problem };
    if file.extension().is_some_and(|extension| extension == "parquet") {
        return each_in_parquet(&JsonRows::open(file)?, &name, take, bad_table);
    }
    each_in_csv(input::open(file)?, &name, take).map_err(bad_table)
}

/// Refuses a table without the columns for the times; what else is wrong with it shows when it is read.
///
/// # Errors
/// The columns that it has.
pub(crate) fn check_columns(file: &Path) -> Result<(), Error> {
    let columns = if file.extension().is_some_and(|extension| extension == "parquet") {
        JsonRows::open(file).map(|table| table.columns().to_vec()).ok()
    } else {
        let header = input::open(file).ok().map(|text| CsvRecords::new(csv::ReaderBuilder::new().flexible(true), text));
        header.and_then(|mut reader| reader.headers().ok()).map(|header| header_names(&header))
    };
    let problem = columns.and_then(|columns| SpanColumns::find(&columns).err());
    problem.map_or(Ok(()), |problem| Err(Error::ClipTable { path: file.to_owned(), problem }))
}

fn header_names(header: &csv::StringRecord) -> Vec<String> {
    header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect()
}

/// Columns of a Parquet table that JSON cannot represent; empty for CSV.
///
/// # Errors
/// The table cannot be read.
pub(crate) fn columns_without_json(file: &Path) -> Result<Vec<String>, Error> {
    if file.extension().is_some_and(|extension| extension == "parquet") {
        return Ok(JsonRows::open(file)?.columns_without_json().to_vec());
    }
    Ok(Vec::new())
}

fn each_in_parquet(
    table: &JsonRows,
    name: &str,
    mut take: impl FnMut(Result<FoundRow<'_>, BadRow<'_>>),
    bad_table: impl Fn(String) -> Error,
) -> Result<(), Error> {
    let columns = table.columns();
    let spans = SpanColumns::find(columns).map_err(bad_table)?;
    let mut names = columns.to_vec();
    name_texts(&mut names);
    let mut number = 0_u64;
    for group in table.groups() {
        let group = group?;
        let rows = group.reader();
        for i in 0..group.len() {
            number += 1;
            let field = |column: usize| match rows.value(&columns[column], i) {
                Value::Null => Cow::Borrowed(""),
                Value::String(text) => text.into(),
                other => other.to_string().into(),
            };
            take(match spans.read(field) {
                Ok((video_id, start_ms, end_ms)) => {
                    Ok(FoundRow { video_id, start_ms, end_ms, names: &names, values: Values::Parquet(&rows, i) })
                }
                Err(problem) => Err(spans.bad(format!("{name}:{number}"), field, problem)),
            });
        }
    }
    Ok(())
}

/// Hands each row of the text of a CSV to `visit`; an error says what is wrong with it.
pub(crate) fn each_in_csv(
    text: impl Read,
    name: &str,
    mut take: impl FnMut(Result<FoundRow<'_>, BadRow<'_>>),
) -> Result<(), String> {
    let mut reader = CsvRecords::new(csv::ReaderBuilder::new().flexible(true), text);
    let header = reader.headers().map_err(|error| error.to_string())?;
    let mut names = header_names(&header);
    let spans = SpanColumns::find(&names)?;
    name_texts(&mut names);
    let mut record = csv::StringRecord::new();
    loop {
        let place = |position: Option<&csv::Position>| {
            format!("{name}:{}", position.map_or_else(|| "?".to_owned(), |position| position.line().to_string()))
        };
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => match error.kind() {
                csv::ErrorKind::Utf8 { pos, err } => {
                    take(Err(BadRow { place: place(pos.as_ref()), video_id: None, problem: err.to_string() }));
                    continue;
                }
                _ => return Err(error.to_string()),
            },
        }
        let field = |column: usize| Cow::Borrowed(record.get(column).unwrap_or_default());
        take(match spans.read(field) {
            Ok((video_id, start_ms, end_ms)) => {
                Ok(FoundRow { video_id, start_ms, end_ms, names: &names, values: Values::Csv(&record) })
            }
            Err(problem) => Err(spans.bad(place(record.position()), field, problem)),
        });
    }
}

/// Renames the columns of a table that has both the clean and the original caption to the names that clips use.
fn name_texts(names: &mut [String]) {
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    if !has("clean_text") || has("original_text") {
        return;
    }
    for name in names {
        match name.as_str() {
            "text" => "original_text".clone_into(name),
            "clean_text" => "text".clone_into(name),
            _ => {}
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

/// Where the times of a table stand, and in which unit.
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

    /// Video id, start and end in milliseconds, or what is wrong.
    fn read<'r>(&self, field: impl Fn(usize) -> Cow<'r, str>) -> Result<(Cow<'r, str>, u32, u32), String> {
        let time = |column: usize, ms: bool| {
            let text = field(column);
            let text = text.trim();
            let time = if ms { text.parse().ok() } else { parse_seconds(text) };
            time.ok_or_else(|| format!("{text:?} is not a time"))
        };
        let video_id = field(self.video_id);
        if video_id.is_empty() {
            return Err("it names no video".to_owned());
        }
        let start = time(self.start.0, self.start.1)?;
        let (column, ms, duration) = self.end;
        let end = time(column, ms)?;
        let end = if duration { start.saturating_add(end) } else { end };
        if start >= end {
            return Err(format!("it starts at {start} ms and ends at {end} ms"));
        }
        Ok((video_id, start, end))
    }

    fn bad<'r>(&self, place: String, field: impl Fn(usize) -> Cow<'r, str>, problem: String) -> BadRow<'r> {
        BadRow { place, video_id: Some(field(self.video_id)).filter(|id| !id.is_empty()), problem }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bad(csv: &[u8]) -> Vec<(String, String)> {
        let mut bad = Vec::new();
        each_in_csv(csv, "t.csv", |row| bad.extend(row.err().map(|row| (row.place, row.problem)))).unwrap();
        bad
    }

    #[test]
    fn unusable_rows_are_told_with_their_line() {
        let csv = b"video_id,start,duration\na,x,1.0\na,1.0,0.0\na,1.0\n,1.0,1.0\na,1.0,1.0\n\xff,1.0,1.0\n";
        let expected = [
            ("t.csv:2", "\"x\" is not a time"),
            ("t.csv:3", "it starts at 1000 ms and ends at 1000 ms"),
            ("t.csv:4", "\"\" is not a time"),
            ("t.csv:5", "it names no video"),
            ("t.csv:7", "invalid UTF-8"),
        ];
        let bad = bad(csv);
        assert_eq!(bad.len(), expected.len(), "{bad:?}");
        for ((place, problem), (expected_place, expected_problem)) in bad.iter().zip(expected) {
            assert_eq!(place, expected_place);
            assert!(problem.contains(expected_problem), "{problem}");
        }
    }

    #[test]
    fn the_text_of_a_csv_is_the_clean_one_where_there_are_two() {
        let columns = |csv: &str| {
            let mut found = Map::new();
            each_in_csv(csv.as_bytes(), "t", |row| found = row.ok().unwrap().columns()).unwrap();
            Value::Object(found)
        };
        let both = columns("video_id,start_ms,end_ms,text,clean_text\na,0,1,[Dog BARKS],dog barks\n");
        assert_eq!((&both["text"], &both["original_text"]), (&"dog barks".into(), &"[Dog BARKS]".into()));
        assert_eq!(both.get("clean_text"), None);
        let one = columns("video_id,start_ms,end_ms,text\na,0,1,dog barks\n");
        assert_eq!((&one["text"], one.get("original_text")), (&"dog barks".into(), None));
        let three = columns("video_id,start_ms,end_ms,text,original_text,clean_text\na,0,1,x,y,z\n");
        assert_eq!(
            (&three["text"], &three["original_text"], &three["clean_text"]),
            (&"x".into(), &"y".into(), &"z".into())
        );
    }

    proptest! {
        // Foreign bytes: every row is found or bad, and nothing panics.
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_bytes_are_read(
            header in prop_oneof![
                Just(b"video_id,start,duration,text\n".to_vec()),
                Just(b"video_id,start_ms,end_ms,text,clean_text\n".to_vec()),
                Just(Vec::new()),
            ],
            cells in proptest::collection::vec(prop_oneof![
                "[0-9.:,\"\n-]{0,12}".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..12),
            ], 0..12),
        ) {
            let text = [header, cells.join(&b','), b"\na,4294967295,4294967295\n".to_vec()].concat();
            let mut rows = 0;
            let _ = each_in_csv(&text[..], "t", |row| {
                rows += 1;
                if let Ok(row) = row {
                    assert!(row.start_ms < row.end_ms && !row.video_id.is_empty());
                    row.columns();
                }
            });
            prop_assert!(rows <= text.len());
        }
    }
}
