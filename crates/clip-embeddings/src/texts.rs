//! Captions by key, out of tables that have both: the output of `embed-text`, say.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{FileFingerprint, Fingerprint, Reads};
use audsem_core::tables::{ParquetFile, TableError, tables_under, text_hash};
use audsem_core::terminal::counted;

use crate::error::Error;

audsem_core::row! {
    table "captions by key";
    /// A caption and the clip it belongs to.
    struct KeyText / KeyTextRef / KeyTextColumns / KeyTextBuffers {
        /// The clip's tar key.
        pub key: String,
        /// The caption.
        pub text: String,
    }
}

/// Captions of some keys; only hashes of the keys are kept.
#[derive(Debug, Default)]
pub(crate) struct Captions {
    by_key: HashMap<u64, String>,
}

impl Captions {
    /// The caption of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.by_key.get(&text_hash(key)).map(String::as_str)
    }
}

/// Tables of captions.
#[derive(Debug)]
pub(crate) struct TextTables {
    paths: Vec<PathBuf>,
    /// Hash of their content.
    pub(crate) fingerprint: Reads,
}

impl TextTables {
    /// The tables that `paths` name.
    ///
    /// # Errors
    /// A path holds none, or others than tables with `key` and `text`.
    pub(crate) fn list(paths: &[PathBuf]) -> Result<Self, Error> {
        let (mut tables, mut fingerprint) = (Vec::new(), Fingerprint::new());
        for path in paths {
            for path in tables_under(path)? {
                if path.extension().is_some_and(|extension| extension == "csv") {
                    let problem = "captions are read from Parquet only\nhint: name what `embed-text` has written";
                    return Err(CoreError::input(&path, problem).into());
                }
                ParquetFile::<KeyText>::open(&path)?;
                fingerprint = fingerprint.with_file(&FileFingerprint::of_output(&path)?);
                tables.push(path);
            }
        }
        Ok(Self { paths: tables, fingerprint: fingerprint.finish() })
    }

    /// Whether it is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The captions of the keys with these hashes; of several with one key the first.
    ///
    /// # Errors
    /// A table is damaged.
    pub(crate) fn captions(&self, wanted: &HashSet<u64>) -> Result<Captions, TableError> {
        let mut captions = Captions::default();
        for path in &self.paths {
            for rows in ParquetFile::<KeyText>::open(path)?.usable_groups() {
                let rows = rows?;
                if let Some(bad) = rows.bad.first() {
                    let n = counted(rows.bad.len(), "captions");
                    tracing::warn!("{}: {n} cannot be read, the first of them: {bad}", path.display());
                }
                for row in rows.iter().filter_map(|(_, row)| row.ok()) {
                    let hash = text_hash(row.key);
                    if wanted.contains(&hash) {
                        captions.by_key.entry(hash).or_insert_with(|| row.text.to_owned());
                    }
                }
            }
        }
        Ok(captions)
    }
}
