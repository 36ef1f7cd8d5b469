//! Embedding tables.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// A table of vectors, looked up by id.
#[derive(Debug, Clone)]
pub struct Embedding {
    table: Tensor, // (N, D)
}

impl Embedding {
    /// Loads `weight` of shape (n, dim); a new one is normal with deviation `stdev`.
    ///
    /// # Errors
    /// The tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, n: usize, dim: usize, stdev: f64) -> Result<Self> {
        Ok(Self { table: vb.get_with_hints((n, dim), "weight", Init::Randn { mean: 0.0, stdev })? })
    }

    /// The table (N, D).
    #[must_use]
    pub fn table(&self) -> &Tensor {
        &self.table
    }

    /// Rows of the table: ids of any shape (…) to vectors (…, D).
    ///
    /// # Errors
    /// An id lies outside the table.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let mut shape = ids.dims().to_vec();
        shape.push(self.table.dim(1)?);
        self.table.index_select(&ids.flatten_all()?, 0)?.reshape(shape)
    }
}
