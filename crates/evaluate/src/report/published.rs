//! Published results, to stand beside a score.

use std::path::Path;

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The results that are built in.
const BUILT_IN: &str = include_str!("published.toml");

/// A published result, in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedRow {
    /// The model.
    pub model: String,
    /// On sounds that are neither music nor speech.
    #[serde(default)]
    pub sound: Option<f64>,
    /// On music.
    #[serde(default)]
    pub music: Option<f64>,
    /// On speech.
    #[serde(default)]
    pub speech: Option<f64>,
    /// Over all.
    pub value: f64,
}

/// Results of one source on one data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedTable {
    /// The data set.
    pub benchmark: String,
    /// The version of the data.
    #[serde(default)]
    pub version: Option<String>,
    /// The metric.
    pub metric: String,
    /// Where the results were published.
    pub source: String,
    /// The results.
    pub rows: Vec<PublishedRow>,
}

/// Published results.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedResults {
    #[serde(rename = "table")]
    tables: Vec<PublishedTable>,
}

impl PublishedResults {
    /// Reads a file of results, or those that are built in.
    ///
    /// # Errors
    /// The file cannot be read, or has another form.
    pub fn open(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else {
            return Ok(toml::from_str(BUILT_IN).expect("a test reads the results that are built in"));
        };
        let bytes = input::read_whole(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| CoreError::input(path, error.to_string()))?;
        toml::from_str(text).map_err(|error| CoreError::input(path, error.to_string()).into())
    }

    /// The tables of a data set.
    pub fn of<'a>(&'a self, benchmark: &'a str) -> impl Iterator<Item = &'a PublishedTable> {
        self.tables.iter().filter(move |table| table.benchmark == benchmark)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_built_in_table_has_a_source_and_results() {
        let results = PublishedResults::open(None).unwrap();
        for table in &results.tables {
            assert!(!table.source.is_empty() && !table.rows.is_empty(), "{table:?}");
            assert!(table.rows.iter().all(|row| (0.0..=100.0).contains(&row.value)), "{table:?}");
        }
        let mmau = results.of("mmau").find(|table| table.source.contains("Qwen2.5-Omni")).unwrap();
        assert_eq!((mmau.rows[0].sound, mmau.rows[0].value), (Some(67.87), 65.6));
        assert!(results.of("no such data set").next().is_none());
    }
}
