//! The pooler of BERT and RoBERTa.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{Linear, RowLinear};

/// The first token's hidden state through a dense layer and tanh.
#[derive(Debug, Clone)]
pub struct Pooler {
    dense: Linear,
}

impl Pooler {
    /// Loads `dense` below `vb`; a new one is normal with deviation `stdev`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, dim: usize, stdev: f64) -> Result<Self> {
        Ok(Self { dense: Linear::load(&vb.pp("dense"), dim, dim, stdev)? })
    }

    /// Hidden states (B, T, D) to vectors (B, D).
    ///
    /// # Errors
    /// Memory or device.
    pub fn forward(&self, hidden: &Tensor) -> Result<Tensor> {
        self.dense.forward(&hidden.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?)?.tanh()
    }

    /// Turns it into its form for inference.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub fn into_inference(self) -> Result<InferencePooler> {
        Ok(InferencePooler { dense: RowLinear::new(self.dense)? })
    }
}

/// [`Pooler`] for inference; no text depends on the others.
#[derive(Debug, Clone)]
pub struct InferencePooler {
    dense: RowLinear,
}

impl InferencePooler {
    /// Hidden states (B, D) of the first tokens alone to vectors (B, D), in the type of the weights.
    ///
    /// # Errors
    /// Memory or device.
    pub fn forward(&self, first: &Tensor) -> Result<Tensor> {
        self.dense.forward(first)?.tanh()
    }
}
