//! The names of AudioSet's classes.

use std::collections::HashMap;
use std::path::Path;

use audsem_core::csv_records::CsvRecords;
use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::run::FileFingerprint;

use crate::error::Error;

/// Names by AudioSet id, from `class_labels_indices.csv` (columns `index`, `mid`, `display_name`).
#[derive(Debug)]
pub(crate) struct ClassNames {
    by_mid: HashMap<String, String>,
    in_order: Vec<String>,
    /// Hash of the file.
    pub hash: String,
}

impl ClassNames {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let failed = |problem: String| Error::from(CoreError::input(path, problem));
        let hash = FileFingerprint::of(path)?.sha256;
        let mut reader = CsvRecords::new(&csv::ReaderBuilder::new(), input::open(path)?);
        let header = reader.headers().map_err(|error| failed(error.to_string()))?;
        let column = |name| header.iter().position(|column| column == name);
        let (Some(index), Some(mid), Some(name)) = (column("index"), column("mid"), column("display_name")) else {
            return Err(failed("expected the columns `index`, `mid` and `display_name`".to_owned()));
        };
        let (mut by_mid, mut in_order) = (HashMap::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(|error| failed(error.to_string()))?;
            if record[index].parse() != Ok(in_order.len()) {
                return Err(failed(format!("class {} stands where class {} belongs", &record[index], in_order.len())));
            }
            by_mid.insert(record[mid].to_owned(), record[name].to_owned());
            in_order.push(record[name].to_owned());
        }
        Ok(Self { by_mid, in_order, hash })
    }

    /// The name of a class by its id, such as `/m/09x0r`.
    pub(crate) fn of_mid(&self, mid: &str) -> Option<&str> {
        self.by_mid.get(mid).map(String::as_str)
    }

    /// All names, in the order of AudioSet's classes.
    pub(crate) fn in_order(&self) -> &[String] {
        &self.in_order
    }
}
