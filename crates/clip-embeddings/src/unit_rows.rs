//! The unit vectors of one row group, with the rows they came from.

use audsem_core::tables::{TableError, VectorFile, VectorScratch};

use crate::rejects::BadRows;
use crate::vector_math::push_unit;

/// The usable rows of a row group.
pub(crate) struct UnitRows {
    /// Unit vectors, one after the other.
    pub(crate) vectors: Vec<f32>,
    /// The row in the group of each.
    pub(crate) rows: Vec<usize>,
    /// The other rows.
    pub(crate) bad: BadRows,
}

impl UnitRows {
    /// Reads row group `group`.
    pub(crate) fn read(file: &VectorFile, group: usize) -> Result<Self, TableError> {
        let room = file.room(group);
        let mut unit = Self {
            vectors: Vec::with_capacity(room),
            rows: Vec::with_capacity(room / file.dim().max(1)),
            bad: BadRows::new(group),
        };
        file.for_each_block(group, &mut VectorScratch::default(), |first, rows| {
            for (i, x) in rows.chunks_exact(file.dim()).enumerate() {
                match push_unit(x, &mut unit.vectors) {
                    Ok(()) => unit.rows.push(first + i),
                    Err(fault) => unit.bad.add(first + i, fault),
                }
            }
        })?;
        Ok(unit)
    }
}
