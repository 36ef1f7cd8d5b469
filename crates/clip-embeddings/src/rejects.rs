//! Rows whose vectors cannot be used.

use audsem_core::run::{ShardError, ShardOutput};
use audsem_core::tables::Columns as _;

use crate::reason::Fault;
use crate::sets::EmbeddingFile;

/// The bad rows of one row group. Their keys are looked up only once there is one: most tables have
/// none, and reading keys would cost as much as the vectors.
#[derive(Debug)]
pub(crate) struct BadRows {
    group: usize,
    rows: Vec<(usize, Fault)>,
}

impl BadRows {
    /// None so far in row group `group`.
    pub(crate) fn new(group: usize) -> Self {
        Self { group, rows: Vec::new() }
    }

    /// Notes row `row` of the group.
    pub(crate) fn add(&mut self, row: usize, fault: Fault) {
        self.rows.push((row, fault));
    }

    /// The row group.
    pub(crate) fn group(&self) -> usize {
        self.group
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Counts and files them.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub(crate) fn report(&self, file: &EmbeddingFile, out: &mut ShardOutput) -> Result<(), ShardError> {
        if self.is_empty() {
            return Ok(());
        }
        let keys = file.keys().and_then(|keys| keys.group(self.group)).map_err(ShardError::input)?;
        for (row, fault) in &self.rows {
            out.fail(keys.get(*row).key, *fault, format_args!("{}, row {row} of group {}", file.name(), self.group));
        }
        Ok(())
    }
}
