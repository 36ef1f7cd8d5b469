//! Feed-forward blocks.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{Activation, Linear, Mode};

/// Shape of a feed-forward block.
#[derive(Debug, Clone, Copy)]
pub struct MlpConfig {
    /// Width of input and output.
    pub dim: usize,
    /// Width in between.
    pub intermediate: usize,
    /// The non-linearity.
    pub activation: Activation,
    /// Whether the projections have biases.
    pub bias: bool,
    /// Standard deviation of new weights.
    pub initializer_range: f64,
}

/// `down(act(gate x) · up x)`: SwiGLU with [`Activation::Silu`] (Shazeer, 2020), as in Llama and Qwen2.
#[derive(Debug, Clone)]
pub struct GatedMlp {
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl GatedMlp {
    /// Loads `gate_proj`, `up_proj` and `down_proj` below `vb`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &MlpConfig) -> Result<Self> {
        let MlpConfig { dim, intermediate, activation, bias, initializer_range } = *config;
        let linear =
            |name: &str, inputs, outputs| Linear::load_with(&vb.pp(name), inputs, outputs, bias, initializer_range);
        Ok(Self {
            gate: linear("gate_proj", dim, intermediate)?,
            up: linear("up_proj", dim, intermediate)?,
            down: linear("down_proj", intermediate, dim)?,
            activation,
        })
    }

    /// (…, D) to (…, D).
    ///
    /// # Errors
    /// The last dimension is not D.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let gate = self.activation.forward(&self.gate.forward_in(x, mode)?)?;
        self.down.forward_in(&(gate * self.up.forward_in(x, mode)?)?, mode)
    }
}
