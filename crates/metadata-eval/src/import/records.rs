//! The records of a file of the reference, whatever its format.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use audsem_core::csv_records::CsvRecords;
use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::json;
use audsem_core::run::ShardError;
use serde_json::{Map, Value};

use super::drift;

/// The fields of a record; those of CSV files are all text, and absent where the cell is empty.
pub(super) type Record = Map<String, Value>;

/// Visits the records of a file with their places, until `visit` says false. A record that cannot be read is what is
/// wrong with it.
///
/// # Errors
/// The file cannot be read, or `visit` fails.
pub(super) fn for_each(
    path: &Path,
    visit: impl FnMut(String, Result<Record, String>) -> Result<bool, ShardError>,
) -> Result<(), ShardError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => of_csv(path, visit),
        Some("pkl") => drift::for_each(path, visit),
        _ => of_json_lines(path, visit),
    }
}

fn of_csv(
    path: &Path,
    mut visit: impl FnMut(String, Result<Record, String>) -> Result<bool, ShardError>,
) -> Result<(), ShardError> {
    let bytes = input::open(path).map_err(ShardError::from_core)?;
    let mut reader = CsvRecords::new(&csv::ReaderBuilder::new(), bytes);
    let header = reader.headers().map_err(ShardError::input)?;
    for record in reader.records() {
        let (place, record) = match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                let cells = header.iter().zip(record.iter()).filter(|(_, cell)| !cell.is_empty());
                let cells = cells.map(|(name, cell)| (name.to_owned(), Value::String(cell.to_owned())));
                (format!("line {line}"), Ok(cells.collect()))
            }
            Err(error) if error.is_io_error() => return Err(ShardError::input(error)),
            Err(error) => (format!("line {}", error.position().map_or(0, csv::Position::line)), Err(error.to_string())),
        };
        if !visit(place, record)? {
            break;
        }
    }
    Ok(())
}

fn of_json_lines(
    path: &Path,
    mut visit: impl FnMut(String, Result<Record, String>) -> Result<bool, ShardError>,
) -> Result<(), ShardError> {
    let bytes = input::open(path).map_err(ShardError::from_core)?;
    for (number, line) in (1..).zip(BufReader::new(bytes).split(b'\n')) {
        let line = line.map_err(|error| ShardError::from_core(CoreError::read(path)(error)))?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record = json::read_object(&line).map(|read| read.value).map_err(|error| error.to_string());
        if !visit(format!("line {number}"), record)? {
            break;
        }
    }
    Ok(())
}
