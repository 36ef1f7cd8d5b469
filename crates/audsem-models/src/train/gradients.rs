//! Gradients by the names of tensors, and their sum over several forward passes.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, TensorId, Var};

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
            if let Some(grad) = grads.get(var) {
                self.add_tensor(name, grad)?;
            }
        }
        Ok(())
    }

    /// Adds gradients of some of `vars`.
    ///
    /// # Errors
    /// Memory or device.
    pub(crate) fn add_by_id(&mut self, grads: Vec<(TensorId, Tensor)>, vars: &[(String, Var)]) -> Result<()> {
        for (id, grad) in grads {
            if let Some((name, _)) = vars.iter().find(|(_, var)| var.id() == id) {
                self.add_tensor(name, &grad)?;
            }
        }
        Ok(())
    }

    /// Adds to the gradient of the tensor `name`, in f32 whatever the type of the tensor.
    ///
    /// # Errors
    /// Another shape than before, memory, device.
    pub fn add_tensor(&mut self, name: &str, grad: &Tensor) -> Result<()> {
        let grad = grad.to_dtype(DType::F32)?;
        let sum = match self.sums.get(name) {
            Some(sum) => (sum + grad)?,
            None => grad,
        };
        self.sums.insert(name.to_owned(), sum.detach());
        Ok(())
    }

    /// Gives those of `vars` that have no gradient one of zeros: where nothing of a batch went through them.
    ///
    /// # Errors
    /// Memory or device.
    pub fn fill(&mut self, vars: &[(String, Var)]) -> Result<()> {
        for (name, var) in vars {
            if !self.sums.contains_key(name) {
                self.sums.insert(name.clone(), Tensor::zeros(var.shape(), DType::F32, var.device())?);
            }
        }
        Ok(())
    }

    /// The gradients by name, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.sums.iter().map(|(name, sum)| (name.as_str(), sum))
    }
}

impl Gradients for Accumulated {
    fn gradient(&self, name: &str, _: &Var) -> Option<&Tensor> {
        self.sums.get(name)
    }
}
