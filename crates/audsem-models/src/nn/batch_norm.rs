//! Batch normalisation with stored statistics.

use candle_core::{DType, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::error::{Error, Result};

/// Normalisation by stored statistics, as a scale and a shift per channel; in f32.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    weight: Tensor, // (C)
    bias: Tensor,   // (C)
    mean: Tensor,   // (C)
    scale: Tensor,  // (C), 1 / deviation
}

impl BatchNorm {
    /// Loads `weight`, `bias`, `running_mean` and `running_var`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or a variance is negative.
    pub fn load(vb: &VarBuilder<'_>, channels: usize, eps: f64) -> Result<Self> {
        let vb = vb.to_dtype(DType::F32);
        let get = |name, value| vb.get_with_hints(channels, name, Init::Const(value));
        // Statistics are measured, not learned, so they get no gradient.
        let (mean, variance) = (get("running_mean", 0.0)?.detach(), get("running_var", 1.0)?.detach());
        let scale = (variance + eps)?.sqrt()?.recip()?;
        if !scale.sum_all()?.to_scalar::<f32>()?.is_finite() {
            return Err(Error::Variance { name: format!("{}.running_var", vb.prefix()) });
        }
        Ok(Self { weight: get("weight", 1.0)?, bias: get("bias", 0.0)?, mean, scale })
    }

    /// (…, C) to (…, C).
    ///
    /// # Errors
    /// The last dimension is not C.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normed = x.to_dtype(DType::F32)?.broadcast_sub(&self.mean)?.broadcast_mul(&self.scale)?;
        Ok(normed.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?.to_dtype(x.dtype())?)
    }
}
