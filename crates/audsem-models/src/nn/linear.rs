//! Affine maps.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// `x Wᵀ + b` with a weight of shape (out, in), as checkpoints store it.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,       // (O, I)
    bias: Option<Tensor>, // (O)
}

impl Linear {
    /// Loads `weight` and `bias`; new ones are normal with deviation `stdev`, and zero.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, inputs: usize, outputs: usize, stdev: f64) -> Result<Self> {
        Self::load_with(vb, inputs, outputs, true, stdev)
    }

    /// Loads `weight` alone.
    ///
    /// # Errors
    /// The tensor is missing or of another shape.
    pub fn load_no_bias(vb: &VarBuilder<'_>, inputs: usize, outputs: usize, stdev: f64) -> Result<Self> {
        Self::load_with(vb, inputs, outputs, false, stdev)
    }

    /// Loads `weight`, and `bias` if there is to be one.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load_with(vb: &VarBuilder<'_>, inputs: usize, outputs: usize, bias: bool, stdev: f64) -> Result<Self> {
        let weight = vb.get_with_hints((outputs, inputs), "weight", Init::Randn { mean: 0.0, stdev })?;
        let bias = bias.then(|| vb.get_with_hints(outputs, "bias", Init::Const(0.0))).transpose()?;
        Ok(Self { weight, bias })
    }

    /// Takes a weight (O, I) and a bias (O).
    #[must_use]
    pub fn from_tensors(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// The weight (O, I).
    #[must_use]
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias (O).
    #[must_use]
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// (…, I) to (…, O).
    ///
    /// # Errors
    /// The last dimension is not I.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (outputs, inputs) = self.weight.dims2()?;
        // One large product instead of a batch of small ones.
        let rows = x.elem_count() / inputs.max(1);
        let y = x.reshape((rows, inputs))?.matmul(&self.weight.t()?)?;
        let y = match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        };
        let mut shape = x.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = outputs;
        }
        y.reshape(shape)
    }
}
