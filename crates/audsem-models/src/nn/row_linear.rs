//! Affine maps for inference in which no row depends on the others.

use candle_core::{DType, Result, Tensor};

use super::{Linear, fused};

/// `x Wᵀ + b` for inference. On the CPU, what becomes of a row is the same for any number of rows and threads, bit for
/// bit.
///
/// A general matrix product chooses its kernel, and with it the order of its sums, by the number of rows: a row alone
/// differs from the same row among others in the last bits, and what a run writes would depend on its batches.
#[derive(Debug, Clone)]
pub struct RowLinear {
    form: Form,
    dtype: DType,
}

#[derive(Debug, Clone)]
enum Form {
    Fused(fused::Linear),
    Composed(Linear),
}

impl RowLinear {
    /// Takes a map over.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub fn new(linear: Linear) -> Result<Self> {
        let dtype = linear.weight().dtype();
        let is_fused = linear.is_plain() && fused::is_supported(linear.weight());
        let form = if is_fused { Form::Fused(fused::Linear::new(&linear)?) } else { Form::Composed(linear) };
        Ok(Self { form, dtype })
    }

    /// Rows (B, I) to (B, O), in the type of the weights.
    ///
    /// # Errors
    /// The rows have another width, memory, device.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(self.dtype)?;
        match &self.form {
            Form::Fused(linear) => linear.forward_tensor(&x),
            Form::Composed(linear) if x.device().is_cpu() && x.dim(0)? > 1 => {
                let rows = (0..x.dim(0)?).map(|n| linear.forward(&x.narrow(0, n, 1)?));
                Tensor::cat(&rows.collect::<Result<Vec<_>>>()?, 0)
            }
            Form::Composed(linear) => linear.forward(&x),
        }
    }
}
