//! Feed-forward blocks.

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;

use super::{Activation, Linear, Mode, fused};

/// Gates and values side by side (…, 2·D) to `act(gates) · values` (…, D).
///
/// # Errors
/// The last dimension is odd, memory, device.
pub fn gated(x: &Tensor, activation: Activation) -> Result<Tensor> {
    if fused::is_supported(x) {
        return fused::gated(x, activation);
    }
    let half = x.dim(D::Minus1)? / 2;
    activation.forward(&x.narrow(D::Minus1, 0, half)?.contiguous()?)? * x.narrow(D::Minus1, half, half)?
}

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

    /// The weights of gate, up and down, if nothing of the block is trained and these are all that there is to SwiGLU.
    pub(super) fn frozen(&self) -> Option<[&Tensor; 3]> {
        let maps = [&self.gate, &self.up, &self.down];
        let is_frozen = |map: &Linear| map.is_plain() && map.bias().is_none() && fused::is_supported(map.weight());
        let is_frozen = self.activation == Activation::Silu && maps.into_iter().all(is_frozen);
        is_frozen.then(|| maps.map(Linear::weight))
    }

    /// (…, D) to (…, D).
    ///
    /// # Errors
    /// The last dimension is not D.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let (gates, values) = (self.gate.forward_in(x, mode)?, self.up.forward_in(x, mode)?);
        let wide = match self.activation {
            Activation::Silu if fused::is_cpu_f32(&gates) => fused::gate_silu(&gates, &values)?,
            activation => (activation.forward(&gates)? * values)?,
        };
        self.down.forward_in(&wide, mode)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::{DType, Device, Var};

    #[test]
    fn gates_are_the_same_with_and_without_gradients() {
        let x = Tensor::randn(0f32, 2.0, (3, 5, 2 * 3001), &Device::Cpu).unwrap();
        let (a, b) =
            (gated(&x, Activation::Silu).unwrap(), gated(&Var::from_tensor(&x).unwrap(), Activation::Silu).unwrap());
        assert!(a.dims() == [3, 5, 3001] && b.track_op());
        let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 1e-5, "{difference:e}");
        assert!(gated(&Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap(), Activation::Silu).is_err());
    }
}
