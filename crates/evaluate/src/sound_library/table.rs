//! Sounds inside Parquet tables, which are called by their content: published tables have no names for them, or the same name
//! for several.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use audsem_core::error::Error as CoreError;
use audsem_core::files::hex;
use audsem_core::tables::{MediaGroup, MediaRows};
use sha2::{Digest as _, Sha256};

use super::SoundFile;
use crate::error::Error;

/// What stands before the hash in the name of a sound.
const PREFIX: &str = "sha256:";

/// Where a sound lies in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowPlace {
    table: PathBuf,
    column: String,
    group: usize,
    /// Number of the row within its group.
    row: usize,
}

/// The sounds of tables, by name.
#[derive(Clone, Default)]
pub struct TableSounds {
    places: HashMap<String, RowPlace>,
    /// The group of rows that was read last: its sounds follow each other.
    last: Arc<Mutex<Option<LoadedGroup>>>,
}

/// A group of rows in memory.
struct LoadedGroup {
    table: PathBuf,
    column: String,
    number: usize,
    files: Arc<MediaGroup>,
}

impl std::fmt::Debug for TableSounds {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TableSounds").field("sounds", &self.places.len()).finish_non_exhaustive()
    }
}

impl TableSounds {
    /// Takes note of the sounds in a column of a table. Returns their names, row by row; `None` for the whole where the
    /// column holds no files, and for a row where there is none.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn add(&mut self, table: &Path, column: &str) -> Result<Option<Vec<Option<String>>>, Error> {
        let Some(rows) = MediaRows::open(table, column)? else { return Ok(None) };
        let mut names = Vec::new();
        for group in 0..rows.n_groups() {
            let files = rows.group(group)?;
            for row in 0..files.len() {
                let name = files.file(row).map(|file| name_of(file.bytes));
                if let Some(name) = &name {
                    let place = RowPlace { table: table.to_owned(), column: column.to_owned(), group, row };
                    // The same content may stand in several rows; any of them will do.
                    self.places.entry(name.clone()).or_insert(place);
                }
                names.push(name);
            }
        }
        Ok(Some(names))
    }

    /// Whether there is no sound.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds the sounds of other tables.
    pub(super) fn extend(&mut self, other: &Self) {
        self.places.extend(other.places.iter().map(|(name, place)| (name.clone(), place.clone())));
    }

    /// Whether there is a sound of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// The sound of a name.
    pub(super) fn read(&self, name: &str) -> Result<Option<SoundFile>, Error> {
        let Some(place) = self.places.get(name) else { return Ok(None) };
        let group = self.group(place)?;
        let file = (place.row < group.len()).then(|| group.file(place.row)).flatten();
        let file = file.filter(|file| name_of(file.bytes) == name);
        let changed =
            || CoreError::input(&place.table, format!("the sound {name} is no longer there: has the table changed?"));
        let file = file.ok_or_else(changed)?;
        let suffix = file.path.and_then(|path| Path::new(path).extension()).and_then(|suffix| suffix.to_str());
        Ok(Some(SoundFile { suffix: suffix.unwrap_or_default().to_owned(), bytes: file.bytes.to_vec() }))
    }

    fn group(&self, place: &RowPlace) -> Result<Arc<MediaGroup>, Error> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = last.as_ref()
            && (loaded.number, &loaded.table, &loaded.column) == (place.group, &place.table, &place.column)
        {
            return Ok(loaded.files.clone());
        }
        *last = None; // two groups in memory are one too many
        let gone = || CoreError::input(&place.table, "its rows are no longer there: has the table changed?".to_owned());
        let rows = MediaRows::open(&place.table, &place.column)?.filter(|rows| place.group < rows.n_groups());
        let files = Arc::new(rows.ok_or_else(gone)?.group(place.group)?);
        let (table, column) = (place.table.clone(), place.column.clone());
        *last = Some(LoadedGroup { table, column, number: place.group, files: files.clone() });
        Ok(files)
    }

    /// Where the sound of a name lies, so that sounds can be read in the order of their table.
    pub(super) fn order(&self, name: &str) -> Option<(&Path, usize, usize)> {
        self.places.get(name).map(|place| (place.table.as_path(), place.group, place.row))
    }
}

/// The name of a sound: the first half of the SHA-256 of its file. Two of 10⁹ sounds share one with a probability of 10⁻²¹.
fn name_of(bytes: &[u8]) -> String {
    PREFIX.to_owned() + &hex(&Sha256::digest(bytes)[..16])
}
