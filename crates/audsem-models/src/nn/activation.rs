//! Activations by the names configuration files give them.

use candle_core::{D, DType, Result, Tensor};

use super::fused;
use crate::error::Error;

/// An element-wise non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// GELU by the error function; `gelu`.
    Gelu,
    /// GELU by the tanh approximation; `gelu_new`, `gelu_pytorch_tanh`, `gelu_fast`.
    GeluTanh,
    /// `x σ(1.702 x)`; `quick_gelu`.
    QuickGelu,
    /// `relu`.
    Relu,
    /// `relu`, and nothing above 6; `relu6`.
    Relu6,
    /// `silu`, `swish`.
    Silu,
    /// `tanh`.
    Tanh,
}

impl Activation {
    /// Reads the name a `config.json` uses under `key`.
    ///
    /// # Errors
    /// The name is unknown.
    pub fn from_name(key: &'static str, name: &str) -> std::result::Result<Self, Error> {
        match name {
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Self::GeluTanh),
            "quick_gelu" => Ok(Self::QuickGelu),
            "relu" => Ok(Self::Relu),
            "relu6" => Ok(Self::Relu6),
            "silu" | "swish" => Ok(Self::Silu),
            "tanh" => Ok(Self::Tanh),
            _ => Err(Error::Unsupported {
                key,
                value: name.to_owned(),
                supported: "gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, quick_gelu, relu, relu6, silu, swish, tanh"
                    .to_owned(),
            }),
        }
    }

    /// Applies it.
    ///
    /// # Errors
    /// Memory or device.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        if fused::is_supported(x) {
            return fused::activated(x, self);
        }
        match self {
            Self::Gelu if fused::is_cpu_f32(x) => fused::gelu(x),
            Self::Gelu => x.gelu_erf(),
            Self::GeluTanh => x.gelu(),
            Self::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
            // The gradient at 0 of candle's own is 1; here it is 0, as in torch.
            Self::Relu if x.track_op() => x.gt(0.0)?.where_cond(x, &x.zeros_like()?),
            Self::Relu => x.relu(),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Silu => x.silu(),
            Self::Tanh => x.tanh(),
        }
    }
}

/// Softmax over the last dimension, computed in f32.
///
/// # Errors
/// Memory or device.
#[allow(clippy::disallowed_methods, reason = "no gradient: it is used only where none is tracked")]
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    let dtype = x.dtype();
    let x = x.to_dtype(DType::F32)?;
    if fused::is_supported(&x) {
        return fused::softmax_rows(&x)?.to_dtype(dtype);
    }
    let y = if x.track_op() {
        candle_nn::ops::softmax(&x, D::Minus1)?
    } else {
        candle_nn::ops::softmax_last_dim(&x.contiguous()?)?
    };
    y.to_dtype(dtype)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn activations_are_the_same_with_and_without_gradients() {
        let x = Tensor::arange(-9f32, 9.0, &Device::Cpu).unwrap().affine(0.99, 0.01).unwrap();
        let tracked = Var::from_tensor(&x).unwrap();
        for name in ["gelu", "gelu_new", "quick_gelu", "relu", "relu6", "silu", "tanh"] {
            let activation = Activation::from_name("hidden_act", name).unwrap();
            let (a, b) = (activation.forward(&x).unwrap(), activation.forward(&tracked).unwrap());
            for (a, b) in a.to_vec1::<f32>().unwrap().into_iter().zip(b.to_vec1::<f32>().unwrap()) {
                assert!((a - b).abs() < 2e-6, "{name}: {a} {b}");
            }
        }
    }

    #[test]
    fn softmax_is_the_same_with_and_without_gradients() {
        let x = Tensor::new(&[[0.5f32, -1.0, 3.0, f32::MIN], [2.0, 2.0, -80.0, 0.1]], &Device::Cpu).unwrap();
        let tracked = Var::from_tensor(&x).unwrap();
        let a = softmax(&x).unwrap().to_vec2::<f32>().unwrap();
        let b = softmax(tracked.as_tensor()).unwrap().to_vec2::<f32>().unwrap();
        for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
        assert_eq!(a[0][3], 0.0, "a masked place gets exactly nothing");
    }
}
