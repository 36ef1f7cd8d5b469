//! Scratch memory of the fused layers.

/// Values between the end of a row and the begin of the next. Rows a power of two apart would all fall into the same
/// places of the first-level cache.
const GAP: usize = 16;

/// Rows of values, reused from call to call.
#[derive(Debug, Default, Clone)]
pub struct Matrix {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
    stride: usize,
}

impl Matrix {
    /// Takes another shape; what the rows hold afterwards is unspecified.
    pub fn reshape(&mut self, rows: usize, columns: usize) {
        (self.rows, self.columns) = (rows, columns);
        self.stride = columns.next_multiple_of(GAP) + GAP;
        let wanted = rows * self.stride;
        if self.values.len() < wanted {
            self.values.resize(wanted, 0.0);
        }
    }

    /// Takes rows of `columns` values that lie side by side.
    pub fn fill(&mut self, values: &[f32], columns: usize) {
        self.reshape(values.len() / columns, columns);
        for (n, row) in values.chunks_exact(columns).enumerate() {
            self.row_mut(n).copy_from_slice(row);
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values in a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Distance between the begins of two rows.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// A row.
    #[must_use]
    pub fn row(&self, n: usize) -> &[f32] {
        &self.values[n * self.stride..][..self.columns]
    }

    /// A row, to be changed.
    pub fn row_mut(&mut self, n: usize) -> &mut [f32] {
        &mut self.values[n * self.stride..][..self.columns]
    }

    /// All values from the begin of row `n` on.
    pub(super) fn rows_from(&self, n: usize) -> &[f32] {
        &self.values[n * self.stride..]
    }

    /// All rows, to be changed.
    pub(super) fn rows_mut(&mut self) -> RowsMut<'_> {
        RowsMut { columns: self.columns, stride: self.stride, values: &mut self.values }
    }
}

/// Rows of a matrix, or of a tensor.
pub(super) struct RowsMut<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) columns: usize,
    pub(super) stride: usize,
}

impl RowsMut<'_> {
    /// A row.
    #[inline(always)]
    pub(super) fn row(&mut self, n: usize) -> &mut [f32] {
        &mut self.values[n * self.stride..][..self.columns]
    }
}
