//! AdamW and gradient clipping, with the semantics of the transformers trainer.

use candle_core::{DType, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::Gradients;
use crate::error::{Error, Result};

/// Settings of AdamW (Loshchilov and Hutter, 2019); the defaults are those of the transformers trainer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay; not applied to biases and norms.
    pub weight_decay: f64,
    /// Gradients are scaled down to this global norm; none leaves them as they are.
    pub max_grad_norm: Option<f64>,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, max_grad_norm: Some(1.0) }
    }
}

#[derive(Debug)]
struct Slot {
    name: String,
    var: Var,
    first: Tensor,
    second: Tensor,
    decay: f64,
}

/// AdamW over named tensors.
#[derive(Debug)]
pub struct AdamW {
    slots: Vec<Slot>,
    config: AdamWConfig,
    step: usize,
}

impl AdamW {
    /// Starts with zero moments.
    ///
    /// # Errors
    /// Memory or device.
    pub fn new(vars: Vec<(String, Var)>, config: AdamWConfig) -> Result<Self> {
        let slot = |(name, var): (String, Var)| -> Result<Slot> {
            let zeros = var.zeros_like()?.to_dtype(DType::F32)?;
            let decay = if is_decayed(&name) { config.weight_decay } else { 0.0 };
            Ok(Slot { name, first: zeros.clone(), second: zeros, decay, var })
        };
        Ok(Self { slots: vars.into_iter().map(slot).collect::<Result<_>>()?, config, step: 0 })
    }

    /// Updates done so far.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.step
    }

    /// The first and second moments of every tensor, by its name: with the weights and [`AdamW::steps`] all that
    /// there is to an optimiser.
    pub fn moments(&self) -> impl Iterator<Item = (&str, &Tensor, &Tensor)> {
        self.slots.iter().map(|slot| (slot.name.as_str(), &slot.first, &slot.second))
    }

    /// Continues after `steps` updates, with the moments that `stored` gives for a tensor's name.
    ///
    /// # Errors
    /// Moments of another shape, or an error of `stored`; the optimiser must not be used then.
    pub fn resume(&mut self, steps: usize, stored: impl Fn(&str) -> Result<(Tensor, Tensor)>) -> Result<()> {
        for slot in &mut self.slots {
            let (first, second) = stored(&slot.name)?;
            if first.shape() != slot.var.shape() || second.shape() != slot.var.shape() {
                let problem = format!("moments of `{}` have another shape than the tensor", slot.name);
                return Err(candle_core::Error::msg(problem).into());
            }
            (slot.first, slot.second) = (first.to_dtype(DType::F32)?, second.to_dtype(DType::F32)?);
        }
        self.step = steps;
        Ok(())
    }

    /// One update at learning rate `lr`. Returns the global gradient norm before clipping.
    ///
    /// # Errors
    /// A tensor without a gradient, or a gradient that is not finite: nothing is changed then.
    pub fn step(&mut self, grads: &impl Gradients, lr: f64) -> Result<f64> {
        let norm = self.checked_norm(grads)?;
        // The small number and the order of operations are those of `torch.nn.utils.clip_grad_norm_`.
        let scale = self.config.max_grad_norm.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
        self.step += 1;
        let AdamWConfig { beta1, beta2, eps, .. } = self.config;
        let correct1 = 1.0 - beta1.powi(self.step as i32);
        let correct2 = 1.0 - beta2.powi(self.step as i32);
        for slot in &mut self.slots {
            let Some(grad) = grads.gradient(&slot.name, &slot.var) else {
                continue;
            };
            let grad = (grad.to_dtype(DType::F32)? * scale)?;
            slot.first = ((&slot.first * beta1)? + (&grad * (1.0 - beta1))?)?.detach();
            slot.second = ((&slot.second * beta2)? + (grad.sqr()? * (1.0 - beta2))?)?.detach();
            let denominator = ((&slot.second / correct2)?.sqrt()? + eps)?;
            let update = ((&slot.first / correct1)?.div(&denominator)? * lr)?;
            let value = slot.var.as_detached_tensor().to_dtype(DType::F32)?;
            let value = ((value * (1.0 - lr * slot.decay))? - update)?;
            slot.var.set(&value.to_dtype(slot.var.dtype())?)?;
        }
        Ok(norm)
    }

    fn checked_norm(&self, grads: &impl Gradients) -> Result<f64> {
        let (mut squares, mut absent, mut broken) = (0.0, Vec::new(), Vec::new());
        for slot in &self.slots {
            let Some(grad) = grads.gradient(&slot.name, &slot.var) else {
                absent.push(slot.name.clone());
                continue;
            };
            let square = f64::from(grad.to_dtype(DType::F32)?.sqr()?.sum_all()?.to_scalar::<f32>()?);
            if !square.is_finite() {
                broken.push(slot.name.clone());
            }
            squares += square;
        }
        for (what, names) in [("no gradient", absent), ("gradient is not finite", broken)] {
            if !names.is_empty() {
                return Err(Error::Gradient { step: self.step, what, names });
            }
        }
        Ok(squares.sqrt())
    }
}

/// Weight decay spares biases and norms, by the names the transformers trainer goes by.
#[must_use]
pub fn is_decayed(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let spared = ["bias", "layernorm", "rmsnorm"].iter().any(|part| name.contains(part));
    !spared && !name.split('.').any(|part| part == "norm" || part.ends_with("_norm"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::Device;

    #[test]
    fn which_tensors_decay() {
        for (name, expected) in [
            ("bert.encoder.layer.0.attention.self.query.weight", true),
            ("bert.encoder.layer.0.attention.self.query.bias", false),
            ("bert.embeddings.LayerNorm.weight", false),
            ("bert.embeddings.word_embeddings.weight", true),
            ("model.layers.0.input_layernorm.weight", false),
            ("model.norm.weight", false),
            ("blocks.0.q_norm.weight", false),
            ("normaliser.weight", true),
        ] {
            assert_eq!(is_decayed(name), expected, "{name}");
        }
    }

    #[test]
    fn a_tensor_without_a_gradient_is_named() {
        let var = |value: f32| Var::from_tensor(&Tensor::new(&[value], &Device::Cpu).unwrap()).unwrap();
        let (used, lost) = (var(1.0), var(2.0));
        let loss = used.sqr().unwrap().sum_all().unwrap();
        let grads = loss.backward().unwrap();
        let vars = vec![("used".to_owned(), used), ("lost".to_owned(), lost)];
        let error = AdamW::new(vars, AdamWConfig::default()).unwrap().step(&grads, 0.1).unwrap_err().to_string();
        assert!(error.contains("no gradient: lost\n") && !error.contains("used"), "{error}");
    }

    #[test]
    fn gradients_are_scaled_down_to_the_norm_or_left() {
        let moved = |max_grad_norm| {
            let var = Var::from_tensor(&Tensor::new(&[3.0f32, 4.0], &Device::Cpu).unwrap()).unwrap();
            let grads = (var.as_tensor() * 2.0).unwrap().sum_all().unwrap().backward().unwrap();
            let config = AdamWConfig { max_grad_norm, ..AdamWConfig::default() };
            let mut optimizer = AdamW::new(vec![("x".to_owned(), var)], config).unwrap();
            let norm = optimizer.step(&grads, 0.1).unwrap();
            let first = optimizer.moments().next().unwrap().1.to_vec1::<f32>().unwrap();
            (norm, first[0])
        };
        let (norm, clipped) = moved(Some(1.0));
        assert!((norm - 8f64.sqrt()).abs() < 1e-6 && (clipped - 0.1 / 2f32.sqrt()).abs() < 1e-6, "{norm} {clipped}");
        for (limit, expected) in [(None, 0.2), (Some(100.0), 0.2)] {
            assert!((moved(limit).1 - expected).abs() < 1e-6, "{limit:?}");
        }
    }
}
