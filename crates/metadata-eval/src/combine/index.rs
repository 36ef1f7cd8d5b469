//! Where each clip is: an index of the keys of all tables.

use audsem_core::row;
use audsem_core::tables::{Columns as _, ParquetFile, TableError, text_hash};

use super::features::FeatureFile;
use audsem_core::clip_id::tar_key_of;

row! {
    table "clip keys";
    /// The column that all tables of clips share.
    pub struct ClipKey / ClipKeyRef / ClipKeyColumns / ClipKeyBuffers {
        /// The clip's tar key.
        pub key: String,
    }
}

/// A row of a table: the table's number, its row group and the row in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowPlace {
    pub file: u32,
    pub group: u32,
    pub row: u32,
}

/// The rows of all tables by the hash of their keys.
#[derive(Debug)]
pub(super) struct PlaceIndex {
    /// Sorted; the places of one key are next to each other, in order of the tables.
    places: Vec<(u64, RowPlace)>,
    /// Row groups of each table.
    n_groups: Vec<u32>,
}

/// A clip, named by the first row that has its key.
#[derive(Debug)]
pub(super) struct FoundClip<'a> {
    /// The key as tars spell it.
    pub key: String,
    /// All rows with this key.
    pub places: &'a [(u64, RowPlace)],
}

impl PlaceIndex {
    /// Reads all keys.
    pub(super) fn of(files: &[FeatureFile]) -> Result<Self, TableError> {
        let (mut places, mut n_groups) = (Vec::new(), Vec::with_capacity(files.len()));
        for (file, features) in (0..).zip(files) {
            let keys = ParquetFile::<ClipKey>::open(&features.path)?;
            n_groups.push(number(keys.n_groups()));
            for (group, columns) in (0..).zip(keys.groups()) {
                let columns = columns?;
                let rows = (0..columns.len()).map(|row| {
                    let place = RowPlace { file, group, row: number(row) };
                    (text_hash(&tar_key_of(columns.get(row).key)), place)
                });
                places.extend(rows);
            }
        }
        places.sort_unstable();
        Ok(Self { places, n_groups })
    }

    /// Whether some table has this key.
    pub(super) fn has(&self, hash: u64) -> bool {
        self.places.binary_search_by_key(&hash, |(hash, _)| *hash).is_ok()
    }

    /// How many clips each table is the first to name.
    pub(super) fn first_places(&self, n_files: usize) -> Vec<u64> {
        let mut owned = vec![0; n_files];
        for of_key in self.places.chunk_by(|a, b| a.0 == b.0) {
            owned[of_key[0].1.file as usize] += 1;
        }
        owned
    }

    /// The numbers of a table's row groups.
    pub(super) fn groups(&self, file: usize) -> std::ops::Range<u32> {
        0..self.n_groups[file]
    }

    /// The clips of a row group that no earlier row names, in order.
    pub(super) fn clips_of(
        &self,
        features: &FeatureFile,
        (file, group): (usize, u32),
    ) -> Result<Vec<FoundClip<'_>>, TableError> {
        let columns = ParquetFile::<ClipKey>::open(&features.path)?.group(group as usize)?;
        let found = (0..columns.len()).filter_map(|row| {
            let key = tar_key_of(columns.get(row).key);
            let places = self.places_of(text_hash(&key));
            let here = RowPlace { file: number(file), group, row: number(row) };
            (places.first().is_some_and(|(_, first)| *first == here))
                .then(|| FoundClip { key: key.into_owned(), places })
        });
        Ok(found.collect())
    }

    fn places_of(&self, hash: u64) -> &[(u64, RowPlace)] {
        let from = self.places.partition_point(|(other, _)| *other < hash);
        let n = self.places[from..].partition_point(|(other, _)| *other == hash);
        &self.places[from..from + n]
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).expect("tables, row groups and their rows are fewer than 2^32")
}
