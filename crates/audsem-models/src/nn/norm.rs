//! Normalisation.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::fused;

/// Layer normalisation over the last dimension, with scale and shift; statistics in f32.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor, // (D)
    bias: Tensor,   // (D)
    eps: f64,
}

impl LayerNorm {
    /// Loads `weight` and `bias`, or `gamma` and `beta`, as checkpoints converted from TensorFlow call them.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, dim: usize, eps: f64) -> Result<Self> {
        let legacy = !vb.contains_tensor("weight") && vb.contains_tensor("gamma");
        let (weight, bias) = if legacy { ("gamma", "beta") } else { ("weight", "bias") };
        let weight = vb.get_with_hints(dim, weight, Init::Const(1.0))?;
        let bias = vb.get_with_hints(dim, bias, Init::Const(0.0))?;
        Ok(Self { weight, bias, eps })
    }

    /// The scale (D).
    #[must_use]
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The shift (D).
    #[must_use]
    pub fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// Added to the variance.
    #[must_use]
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// (…, D) to (…, D).
    ///
    /// # Errors
    /// The last dimension is not D.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let is_tracked = x.track_op() || self.weight.track_op() || self.bias.track_op();
        match is_tracked {
            true if [x, &self.weight, &self.bias].into_iter().all(fused::is_cpu_f32) => {
                fused::layer_norm(x, &self.weight, &self.bias, self.eps)
            }
            true => self.composed(x),
            false => self.fused(x),
        }
    }

    /// Images (B, D, H, W) to (B, D, H, W), each pixel normalised over its channels.
    ///
    /// # Errors
    /// There are not D channels.
    pub fn forward_channels(&self, x: &Tensor) -> Result<Tensor> {
        if [x, &self.weight, &self.bias].into_iter().all(fused::is_supported) {
            return fused::LayerNorm::new(self)?.forward_channels(x);
        }
        self.forward(&x.permute((0, 2, 3, 1))?.contiguous()?)?.permute((0, 3, 1, 2))?.contiguous()
    }

    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let dtype = x.dtype();
        let x = x.to_dtype(DType::F32)?;
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        normed.to_dtype(dtype)?.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }

    #[allow(clippy::disallowed_methods, reason = "no gradient: forward uses it only where none is tracked")]
    fn fused(&self, x: &Tensor) -> Result<Tensor> {
        if fused::is_supported(x) {
            return fused::LayerNorm::new(self)?.forward_tensor(x);
        }
        candle_nn::ops::layer_norm(&x.contiguous()?, &self.weight, &self.bias, self.eps as f32)
    }
}

/// Normalisation by the root of the mean square over the last dimension, with scale; statistics in f32 (Zhang and
/// Sennrich, 2019).
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Tensor, // (D)
    eps: f64,
}

impl RmsNorm {
    /// Loads `weight`.
    ///
    /// # Errors
    /// The tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, dim: usize, eps: f64) -> Result<Self> {
        Ok(Self { weight: vb.get_with_hints(dim, "weight", Init::Const(1.0))?, eps })
    }

    /// Takes a scale (D).
    #[must_use]
    pub fn from_weight(weight: Tensor, eps: f64) -> Self {
        Self { weight, eps }
    }

    /// The scale (D).
    #[must_use]
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Added to the mean square.
    #[must_use]
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// (…, D) to (…, D).
    ///
    /// # Errors
    /// The last dimension is not D.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // On the CPU candle's own rounds the root to the type of x before it divides.
        let rounds = x.device().is_cpu() && x.dtype() != DType::F32;
        match rounds || x.track_op() || self.weight.track_op() {
            true if fused::is_cpu_f32(x) && fused::is_cpu_f32(&self.weight) => {
                fused::rms_norm(x, &self.weight, self.eps)
            }
            true => self.composed(x),
            false => self.fused(x),
        }
    }

    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let dtype = x.dtype();
        let x = x.to_dtype(DType::F32)?;
        let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = x.broadcast_div(&(mean_square + self.eps)?.sqrt()?)?;
        normed.to_dtype(dtype)?.broadcast_mul(&self.weight)
    }

    #[allow(clippy::disallowed_methods, reason = "no gradient: forward uses it only where none is tracked")]
    fn fused(&self, x: &Tensor) -> Result<Tensor> {
        if fused::is_supported(x) {
            return fused::RmsNorm::new(self)?.forward_tensor(x);
        }
        candle_nn::ops::rms_norm(&x.contiguous()?, &self.weight, self.eps as f32)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::nn::Params;
    use candle_core::Device;
    use std::collections::HashMap;

    #[test]
    fn both_ways_agree_and_the_tracked_one_has_a_gradient() {
        let params = Params::new(3);
        let vb = params.var_builder(DType::F32, &Device::Cpu);
        let x = vb.get_with_hints((5, 8), "x", Init::Randn { mean: 0.3, stdev: 2.0 }).unwrap();
        let norm = LayerNorm::load(&vb.pp("n"), 8, 1e-12).unwrap();
        let plain = LayerNorm { weight: norm.weight.detach(), bias: norm.bias.detach(), eps: 1e-12 };
        let (a, b) = (norm.forward(&x).unwrap(), plain.forward(&x.detach()).unwrap());
        assert!(!b.track_op());
        let difference = (&a - &b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 1e-5, "{difference}");
        let grads = a.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        for (name, var) in params.vars() {
            assert!(grads.get(&var).is_some(), "{name}");
        }
    }

    /// Fewer pixels than are normalised at a time, and more.
    #[test]
    fn channels_are_normalised_as_rows_are() {
        let params = Params::new(4);
        let vb = params.var_builder(DType::F32, &Device::Cpu);
        let norm = LayerNorm::load(&vb, 6, 1e-6).unwrap();
        let plain = LayerNorm { weight: norm.weight.detach(), bias: norm.bias.detach(), eps: 1e-6 };
        for (height, width) in [(1, 1), (3, 5), (11, 13)] {
            let x = Tensor::randn(1f32, 3.0, (2, 6, height, width), &Device::Cpu).unwrap();
            let (a, b) = (norm.forward_channels(&x).unwrap(), plain.forward_channels(&x).unwrap());
            assert!(a.track_op() && !b.track_op());
            let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(difference < 1e-5, "{height} × {width}: {difference:e}");
        }
        assert!(plain.forward_channels(&Tensor::zeros((1, 5, 2, 2), DType::F32, &Device::Cpu).unwrap()).is_err());
    }

    #[test]
    fn legacy_names_load() {
        let one = |n: f32| Tensor::new(&[n, n], &Device::Cpu).unwrap();
        let tensors = HashMap::from([("n.gamma".to_owned(), one(2.0)), ("n.beta".to_owned(), one(0.5))]);
        let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let norm = LayerNorm::load(&vb.pp("n"), 2, 0.0).unwrap();
        let y = norm.forward(&Tensor::new(&[[1.0f32, 3.0]], &Device::Cpu).unwrap()).unwrap();
        assert_eq!(y.to_vec2::<f32>().unwrap(), [[-1.5, 2.5]]);
    }
}
