//! The reference policy: the weights that training started from.

use audsem_models::train::TrainableModel;
use candle_core::Tensor;

use crate::error::Result;

/// The trained tensors as they were at the start. Everything else of the model does not change.
#[derive(Debug)]
pub(super) struct ReferencePolicy {
    start: Vec<Tensor>,
}

impl ReferencePolicy {
    /// Copies the trained tensors.
    ///
    /// # Errors
    /// Memory or device.
    pub(super) fn of(model: &dyn TrainableModel) -> Result<Self> {
        Ok(Self { start: copies(model)? })
    }

    /// Runs `ask` while the model is the reference policy; it is the policy in training again afterwards.
    pub(super) fn with<T>(
        &self,
        model: &dyn TrainableModel,
        ask: impl FnOnce(&dyn TrainableModel) -> Result<T>,
    ) -> Result<T> {
        let now = copies(model)?;
        set(model, &self.start)?;
        let answer = ask(model);
        // Whatever the answer is, training continues with its own weights.
        set(model, &now)?;
        answer
    }
}

fn copies(model: &dyn TrainableModel) -> Result<Vec<Tensor>> {
    let copies = model.vars().iter().map(|(_, var)| var.as_tensor().copy());
    Ok(copies.collect::<candle_core::Result<Vec<_>>>().map_err(audsem_models::Error::from)?)
}

fn set(model: &dyn TrainableModel, values: &[Tensor]) -> Result<()> {
    for ((_, var), value) in model.vars().iter().zip(values) {
        var.set(value).map_err(audsem_models::Error::from)?;
    }
    Ok(())
}
