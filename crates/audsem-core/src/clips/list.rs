//! Lists: CSV files of sounds and captions.

use std::path::Path;

use csv::StringRecord;

use super::naming::{Naming, keys};
use super::source::{ClipContent, ClipRow, MediaFile};
use crate::csv_records::CsvRecords;
use crate::error::{Error, Result};
use crate::input;
use crate::terminal::counted;

/// Largest line of a list: captions may be long, and a list is held in memory anyway.
const MAX_LINE_BYTES: usize = 256 << 20;

/// Positions of the columns that a list may have.
struct Header {
    n_columns: usize,
    key: Option<usize>,
    path: Option<usize>,
    text: Option<usize>,
}

impl Header {
    fn of(record: &StringRecord) -> Self {
        let column = |name| record.iter().position(|column| column.trim() == name);
        Self { n_columns: record.len(), key: column("key"), path: column("path"), text: column("text") }
    }

    fn needs(&self, content: ClipContent, list: &Path) -> Result<()> {
        let (found, problem) = match content {
            ClipContent::Sound => (self.path, "no column `path`\nhint: a list of sounds has a column `path`"),
            ClipContent::Pictures => {
                (self.path, "no column `path`\nhint: a list of videos or pictures has a column `path`")
            }
            ClipContent::Caption => (self.text, "no column `text`\nhint: a list of captions has a column `text`"),
        };
        let problem = format!("{problem}, and `key` if wanted; the first line names the columns");
        found.map(drop).ok_or_else(|| Error::input(list, problem))
    }
}

/// A line as it stands there.
struct Line {
    number: u64,
    key: Option<String>,
    path: Option<String>,
    text: Option<String>,
    problem: Option<String>,
}

/// The rows of a list, with the same keys whichever content they are read for. A line that cannot be used is a row with
/// a problem: other rows are unaffected.
///
/// # Errors
/// The list cannot be read, is empty, or lacks the column that `content` needs.
pub(super) fn rows(list: &Path, content: ClipContent) -> Result<Vec<ClipRow>> {
    let lines = lines(list, content)?;
    let namings: Vec<Naming<'_>> =
        lines.iter().map(|line| Naming { key: line.key.as_deref(), path: line.path.as_deref() }).collect();
    let keys = keys(&namings);
    let (folder, name) = (list.parent().unwrap_or(Path::new("")), list.file_name().unwrap_or_default());
    let row = |(line, key): (Line, String)| ClipRow {
        key,
        place: format!("{}, line {}", name.to_string_lossy(), line.number),
        media: line.path.map(|name| MediaFile { path: folder.join(&name), name }),
        text: line.text,
        problem: line.problem,
    };
    Ok(lines.into_iter().zip(keys).map(row).collect())
}

fn lines(list: &Path, content: ClipContent) -> Result<Vec<Line>> {
    let failed = |error: csv::Error| Error::input(list, error.to_string());
    let tsv = list.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(if tsv { b'\t' } else { b',' }).flexible(true);
    let mut reader = CsvRecords::with_limit(&builder, input::open(list)?, MAX_LINE_BYTES);
    let header = Header::of(&reader.headers().map_err(failed)?);
    header.needs(content, list)?;
    let mut lines = Vec::new();
    for record in reader.byte_records() {
        let record = record.map_err(failed)?;
        let number = record.position().map_or(0, csv::Position::line);
        lines.push(match StringRecord::from_byte_record(record) {
            Ok(record) => line(number, &header, &record, content),
            Err(_) => Line::unusable(number, "not UTF-8".to_owned()),
        });
    }
    if lines.is_empty() {
        return Err(Error::input(list, "this list is empty"));
    }
    Ok(lines)
}

fn line(number: u64, header: &Header, record: &StringRecord, content: ClipContent) -> Line {
    if record.len() != header.n_columns {
        // Which value belongs to which column cannot be known.
        return Line::unusable(
            number,
            format!("{} where the first line has {}", counted(record.len(), "columns"), header.n_columns),
        );
    }
    let value = |column: Option<usize>| {
        column.and_then(|column| record.get(column)).filter(|value| !value.trim().is_empty()).map(str::to_owned)
    };
    let mut line =
        Line { number, key: value(header.key), path: value(header.path), text: value(header.text), problem: None };
    if content != ClipContent::Caption && line.path.is_none() {
        line.problem = Some("no `path`".to_owned());
    }
    line
}

impl Line {
    fn unusable(number: u64, problem: String) -> Self {
        Self { number, key: None, path: None, text: None, problem: Some(problem) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use super::*;

    fn read(name: &str, bytes: &[u8], content: ClipContent) -> Result<Vec<ClipRow>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        rows(&folder.path().join(name), content).map_err(|error| error.to_string())
    }

    #[test]
    fn a_quote_without_a_partner_is_told_with_its_line() {
        let error = read("a.csv", b"path,text\na.flac,x\nb.flac,\"y\nc.flac,z\n", ClipContent::Caption).unwrap_err();
        assert!(error.contains("line 3: a quote has no partner") && error.contains("a.csv"), "{error}");
    }

    #[test]
    fn both_kinds_give_the_same_keys() {
        let list = b"path,text,key\na/x.wav,dog,\nb/x.wav,cat,\nc/y.wav,,k\nV (1.0-2.5).wav,rain,\n";
        let keys =
            |content| -> Vec<String> { read("l.csv", list, content).unwrap().into_iter().map(|row| row.key).collect() };
        assert_eq!(keys(ClipContent::Sound), ["a/x", "b/x", "k", "V (1_0-2_5)"]);
        assert_eq!(keys(ClipContent::Sound), keys(ClipContent::Caption));
    }

    #[test]
    fn a_bad_line_is_a_row_with_a_problem() {
        let list = b"key,path,text\nk1,a.wav,dog\nk2,b.wav,cat,mat\nk3,,rain\n\xff,c.wav,x\nk5,d.wav\nk6,e.wav,\n";
        let problems = |content| -> Vec<(String, Option<String>)> {
            read("l.csv", list, content).unwrap().into_iter().map(|row| (row.place, row.problem)).collect()
        };
        let columns = |n| Some(format!("{n} columns where the first line has 3"));
        let no_path = Some("no `path`".to_owned());
        let utf8 = Some("not UTF-8".to_owned());
        let expected = [None, columns(4), no_path, utf8, columns(2), None];
        let places = (2..8).map(|n| format!("l.csv, line {n}"));
        let audio = problems(ClipContent::Sound);
        assert_eq!(audio, places.zip(expected).collect::<Vec<_>>());
        assert_eq!(problems(ClipContent::Caption)[2].1, None, "a caption needs no path");
    }

    #[test]
    fn tabs_part_the_columns_of_a_tsv() {
        let rows = read("l.tsv", b"path\ttext\na, b.wav\tdog, cat\n", ClipContent::Caption).unwrap();
        assert_eq!((rows[0].key.as_str(), rows[0].text.as_deref()), ("a, b", Some("dog, cat")));
    }

    #[test]
    fn a_list_without_its_column_or_lines_is_refused() {
        for (bytes, content, expected) in [
            ("name\nx\n", ClipContent::Sound, "no column `path`"),
            ("path\nx\n", ClipContent::Caption, "no column `text`"),
            ("path\n", ClipContent::Sound, "empty"),
        ] {
            let error = read("l.csv", bytes.as_bytes(), content).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
