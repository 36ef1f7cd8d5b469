//! Weights and optimiser as files of a checkpoint, from which a training continues with bit-identical results.

use std::collections::HashMap;

use candle_core::{Device, Tensor, Var};
use safetensors::SafeTensors;

use super::AdamW;
use crate::checkpoint::serialize;
use crate::error::Result;

/// Prefixes of the names of moments.
const FIRST: &str = "m.";
const SECOND: &str = "v.";

/// Key of the number of updates beside the moments.
const STEPS: &str = "steps";

fn find(tensors: &HashMap<String, Tensor>, name: &str) -> Result<Tensor> {
    let absent = || candle_core::Error::CannotFindTensor { path: name.to_owned() }.bt();
    Ok(tensors.get(name).cloned().ok_or_else(absent)?)
}

impl AdamW {
    /// The optimiser as a safetensors file: `m.NAME` and `v.NAME` for each trained tensor, and the number of updates.
    ///
    /// # Errors
    /// A tensor cannot be read back from its device.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut moments: Vec<(String, &Tensor)> = Vec::new();
        for (name, first, second) in self.moments() {
            moments.extend([(format!("{FIRST}{name}"), first), (format!("{SECOND}{name}"), second)]);
        }
        serialize(&moments, HashMap::from([(STEPS.to_owned(), self.steps().to_string())]))
    }

    /// Puts the optimiser and the trained tensors where they were: from the bytes of [`AdamW::to_bytes`], and those of
    /// [`safetensors_bytes`](crate::checkpoint::safetensors_bytes). Everything is checked before a tensor is changed.
    ///
    /// # Errors
    /// The bytes are of other tensors, or damaged; the optimiser must not be used then.
    pub fn restore(&mut self, vars: &[(String, Var)], optimizer: &[u8], weights: &[u8], device: &Device) -> Result<()> {
        let (_, header) = SafeTensors::read_metadata(optimizer)?;
        let steps = header.metadata().as_ref().and_then(|notes| notes.get(STEPS)?.parse().ok());
        let steps =
            steps.ok_or_else(|| candle_core::Error::msg("the optimiser does not tell its number of updates"))?;
        let stored = candle_core::safetensors::load_buffer(weights, device)?;
        let mut values = Vec::with_capacity(vars.len());
        for (name, var) in vars {
            let value = find(&stored, name)?.to_dtype(var.dtype())?;
            if var.shape() != value.shape() {
                let (wanted, has) = (var.dims(), value.dims());
                return Err(candle_core::Error::Msg(format!("`{name}` {wanted:?} is stored as {has:?}")).into());
            }
            values.push((var, value));
        }
        let moments = candle_core::safetensors::load_buffer(optimizer, device)?;
        let moment = |prefix: &str, name: &str| find(&moments, &format!("{prefix}{name}"));
        self.resume(steps, |name| Ok((moment(FIRST, name)?, moment(SECOND, name)?)))?;
        values.into_iter().try_for_each(|(var, value)| Ok(var.set(&value)?))
    }
}
