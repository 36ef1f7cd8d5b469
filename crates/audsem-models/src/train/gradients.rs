//! Gradients by the names of tensors, and their sum over several forward passes.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use crate::error::Result;

/// Where an optimiser finds the gradient of a tensor.
pub trait Gradients {
    /// The gradient of the trained tensor `name`, if there is one.
    fn gradient(&self, name: &str, var: &Var) -> Option<&Tensor>;
}

impl Gradients for GradStore {
    fn gradient(&self, _: &str, var: &Var) -> Option<&Tensor> {
        self.get(var)
    }
}

/// Gradients summed over the forward passes of one update. Only those of trained tensors are kept.
#[derive(Debug, Default)]
pub struct Accumulated {
    sums: BTreeMap<String, Tensor>,
}

impl Accumulated {
    /// Adds the gradients of one pass.
    ///
    /// # Errors
    /// Memory or device.
    pub fn add(&mut self, grads: &GradStore, vars: &[(String, Var)]) -> Result<()> {
        for (name, var) in vars {
            let Some(grad) = grads.get(var) else { continue };
            let sum = match self.sums.get(name) {
                Some(sum) => (sum + grad)?,
                None => grad.clone(),
            };
            self.sums.insert(name.clone(), sum.detach());
        }
        Ok(())
    }
}

impl Gradients for Accumulated {
    fn gradient(&self, name: &str, _: &Var) -> Option<&Tensor> {
        self.sums.get(name)
    }
}
