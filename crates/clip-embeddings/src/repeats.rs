//! Rows whose key an earlier row has; they are dropped so that no clip counts twice.
//!
//! Found by keys alone, before the vectors are read and in the same way in every process of a run: a
//! row is left out or not whatever the number of workers and whichever shards are this process's. Keys
//! are remembered as hashes of 64 bits while they are gone through; what stays is the numbers of the
//! repeated rows. Two of 10⁷ different keys share a hash with a probability of 3·10⁻⁶.

use std::collections::HashSet;

use audsem_core::parallel::ordered_map;
use audsem_core::run::Fingerprint;
use audsem_core::tables::{ParquetFile, TableError, text_hash};

use crate::sets::{EmbeddingFile, RowKey, RowNumbers};

/// Hashes that were seen.
pub(crate) type Seen = HashSet<u64, foldhash::fast::FixedState>;

/// Numbers of rows, ascending.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    rows: Vec<u64>,
}

impl Repeats {
    /// The rows of some tables whose key an earlier row of the same set has. Tables of one set follow
    /// each other.
    ///
    /// # Errors
    /// A table is damaged.
    pub(crate) fn of(files: &[EmbeddingFile], threads: usize) -> Result<Self, TableError> {
        let mut repeats = Self::default();
        let mut row = 0;
        for set in files.chunk_by(|a, b| a.set == b.set) {
            let tables = set.iter().map(EmbeddingFile::keys).collect::<Result<Vec<_>, _>>()?;
            let groups = tables.iter().flat_map(|table| (0..table.n_groups()).map(move |group| (table, group)));
            let hashes = |(table, group): (&ParquetFile<RowKey>, usize)| -> Result<Vec<Option<u64>>, TableError> {
                let keys = table.group(group)?.key;
                Ok((0..keys.len()).map(|row| keys.get_opt(row).map(text_hash)).collect())
            };
            row = repeats.add_set(row, groups, threads, hashes)?;
        }
        Ok(repeats)
    }

    /// Goes through the row groups of a set, whose first row is `row`: `hashes` gives those of the keys of a group, in its
    /// order. Returns the number of the row behind the last.
    ///
    /// # Errors
    /// The first error of `hashes`.
    pub(crate) fn add_set<G: Send>(
        &mut self,
        mut row: u64,
        groups: impl Iterator<Item = G> + Send,
        threads: usize,
        hashes: impl Fn(G) -> Result<Vec<Option<u64>>, TableError> + Sync,
    ) -> Result<u64, TableError> {
        let mut seen = Seen::default();
        ordered_map(groups, threads, 2 * threads, hashes, |hashes| {
            for hash in hashes? {
                if hash.is_some_and(|hash| !seen.insert(hash)) {
                    self.push(row);
                }
                row += 1;
            }
            Ok::<(), TableError>(())
        })?;
        Ok(row)
    }

    /// Adds a row that follows those before it.
    pub(crate) fn push(&mut self, row: u64) {
        self.rows.push(row);
    }

    /// Repeated rows among the `n` rows from row `first` on.
    pub(crate) fn within(&self, first: u64, n: u64) -> &[u64] {
        let place = |row: u64| self.rows.partition_point(|other| *other < row);
        &self.rows[place(first)..place(first + n)]
    }

    /// Whether a row is one of them.
    pub(crate) fn contains(&self, row: u64) -> bool {
        self.rows.binary_search(&row).is_ok()
    }

    /// Adds to the fingerprint of a shard what it learns from here: another table before it may make
    /// rows of its own repeated ones.
    pub(crate) fn mark(&self, fingerprint: Fingerprint, first: u64, n: u64) -> Fingerprint {
        self.within(first, n).iter().fold(fingerprint, |all, row| all.with((row - first).to_le_bytes()))
    }

    /// Adds the repeated rows of table `i` of those that were numbered.
    pub(crate) fn mark_file(&self, fingerprint: Fingerprint, numbers: &RowNumbers, i: usize) -> Fingerprint {
        self.mark(fingerprint, numbers.start(i), numbers.start(i + 1) - numbers.start(i))
    }
}
