//! Rows whose vectors cannot be used.

use audsem_core::clips::ClipDrop;
use audsem_core::run::{LeftOut, ShardError, ShardOutput};

use crate::reason::Fault;
use crate::sets::EmbeddingFile;

/// The rows of one row group that are not used. Their keys are looked up only once there is one: most
/// tables have none, and reading keys would cost as much as the vectors.
#[derive(Debug)]
pub(crate) struct BadRows {
    group: usize,
    rows: Vec<(usize, LeftOut<()>)>,
}

impl BadRows {
    /// None so far in row group `group`.
    pub(crate) fn new(group: usize) -> Self {
        Self { group, rows: Vec::new() }
    }

    /// Notes row `row` of the group.
    pub(crate) fn add(&mut self, row: usize, fault: Fault) {
        self.rows.push((row, LeftOut::fail(fault, ())));
    }

    /// Notes that an earlier row has the key of row `row` of the group.
    pub(crate) fn add_repeated(&mut self, row: usize) {
        self.rows.push((row, LeftOut::drop(ClipDrop::RepeatedKey, ())));
    }

    /// The row group.
    pub(crate) fn group(&self) -> usize {
        self.group
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Files them.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub(crate) fn file(&self, file: &EmbeddingFile, out: &mut ShardOutput) -> Result<(), ShardError> {
        if self.is_empty() {
            return Ok(());
        }
        let keys = file.keys().and_then(|keys| keys.group(self.group)).map_err(ShardError::input)?;
        for (row, left_out) in &self.rows {
            let (key, name) = (keys.key.get(*row), file.name());
            let place = format_args!("{name}, row {row} of group {}", self.group);
            out.file_left_out(key, left_out.map_detail(|()| place));
        }
        Ok(())
    }
}
