//! Writing checkpoints in the layout of the Hugging Face hub, and keeping a training that goes on later.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::error::Result;
use crate::optim::AdamW;

/// Serialises tensors as safetensors in f32, in the order of their names; with the `format` mark that transformers
/// wants to see.
///
/// # Errors
/// A tensor cannot be read back from its device.
pub fn safetensors_bytes(vars: &[(String, Var)]) -> Result<Vec<u8>> {
    let named: Vec<(String, &Tensor)> = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor())).collect();
    serialize(&named, HashMap::from([("format".to_owned(), "pt".to_owned())]))
}

/// Prefixes of names in a training state.
const WEIGHT: &str = "weight";
const FIRST: &str = "first moment";
const SECOND: &str = "second moment";

/// The note that holds the number of steps.
const STEPS: &str = "steps";

/// All that a training needs to go on as if it had not stopped: weights, moments, steps done, and notes of its
/// own, as one safetensors file.
///
/// # Errors
/// A tensor cannot be read back from its device.
pub fn training_state(vars: &[(String, Var)], optimizer: &AdamW, notes: HashMap<String, String>) -> Result<Vec<u8>> {
    let mut named: Vec<(String, &Tensor)> =
        vars.iter().map(|(name, var)| (format!("{WEIGHT} {name}"), var.as_tensor())).collect();
    for (name, first, second) in optimizer.moments() {
        named.extend([(format!("{FIRST} {name}"), first), (format!("{SECOND} {name}"), second)]);
    }
    let mut notes = notes;
    notes.insert(STEPS.to_owned(), optimizer.steps().to_string());
    serialize(&named, notes)
}

/// The notes of a [`training_state`].
///
/// # Errors
/// The bytes are none.
pub fn training_notes(state: &[u8]) -> Result<HashMap<String, String>> {
    let (_, metadata) = SafeTensors::read_metadata(state)?;
    Ok(metadata.metadata().clone().unwrap_or_default())
}

/// Puts weights and optimiser where a [`training_state`] left them.
///
/// # Errors
/// The bytes are no such state, or one of another network; weights may be partly changed then.
pub fn resume_training(state: &[u8], vars: &[(String, Var)], optimizer: &mut AdamW, device: &Device) -> Result<()> {
    let steps = training_notes(state)?.get(STEPS).and_then(|steps| steps.parse().ok());
    let Some(steps) = steps else {
        return Err(candle_core::Error::msg("the state does not say how many steps were done").into());
    };
    let tensors = candle_core::safetensors::load_buffer(state, device)?;
    let stored = |kind: &str, name: &str| -> Result<Tensor> {
        let found = tensors.get(&format!("{kind} {name}")).cloned();
        Ok(found.ok_or_else(|| candle_core::Error::CannotFindTensor { path: format!("{kind} {name}") }.bt())?)
    };
    for (name, var) in vars {
        var.set(&stored(WEIGHT, name)?.to_dtype(var.dtype())?)?;
    }
    optimizer.resume(steps, |name| Ok((stored(FIRST, name)?, stored(SECOND, name)?)))
}

fn serialize(named: &[(String, &Tensor)], metadata: HashMap<String, String>) -> Result<Vec<u8>> {
    let data = named.iter().map(|(_, tensor)| little_endian(tensor)).collect::<Result<Vec<_>>>()?;
    let mut views = Vec::with_capacity(named.len());
    for ((name, tensor), bytes) in named.iter().zip(&data) {
        views.push((name.as_str(), TensorView::new(Dtype::F32, tensor.dims().to_vec(), bytes)?));
    }
    Ok(safetensors::serialize(views, Some(metadata))?)
}

fn little_endian(tensor: &Tensor) -> Result<Vec<u8>> {
    let values = tensor.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().flat_map(f32::to_le_bytes).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::nn::Params;
    use candle_core::Device;

    #[test]
    fn written_tensors_read_back_and_bytes_repeat() {
        let params = Params::new(5);
        let vb = params.var_builder(DType::F32, &Device::Cpu);
        for name in ["b", "a.weight", "c"] {
            vb.get_with_hints((3, 2), name, candle_nn::Init::Randn { mean: 0.0, stdev: 1.0 }).unwrap();
        }
        let bytes = safetensors_bytes(&params.vars()).unwrap();
        assert_eq!(bytes, safetensors_bytes(&params.vars()).unwrap());
        let back = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
        for (name, var) in params.vars() {
            assert_eq!(back[&name].to_vec2::<f32>().unwrap(), var.to_vec2::<f32>().unwrap());
        }
    }

    /// Three steps, a state, two more; and the same two from the state alone.
    #[test]
    fn training_goes_on_from_its_state_as_if_nothing_had_been() {
        use crate::optim::AdamWConfig;

        let begin = || {
            let params = Params::new(5);
            let vb = params.var_builder(DType::F32, &Device::Cpu);
            for name in ["b.bias", "a.weight"] {
                vb.get_with_hints((3, 2), name, candle_nn::Init::Randn { mean: 0.0, stdev: 1.0 }).unwrap();
            }
            let config = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
            let optimizer = AdamW::new(params.vars(), config).unwrap();
            (params, optimizer)
        };
        let step = |params: &Params, optimizer: &mut AdamW, n: usize| {
            for _ in 0..n {
                let vars = params.vars();
                let product = (vars[0].1.as_tensor() * vars[1].1.as_tensor()).unwrap();
                let loss = (product - 1.0).unwrap().sqr().unwrap().sum_all().unwrap();
                optimizer.step(&loss.backward().unwrap(), 0.05).unwrap();
            }
        };
        let (params, mut optimizer) = begin();
        step(&params, &mut optimizer, 3);
        let notes = HashMap::from([("epoch".to_owned(), "1".to_owned())]);
        let state = training_state(&params.vars(), &optimizer, notes).unwrap();
        step(&params, &mut optimizer, 2);

        let (later, mut its_optimizer) = begin();
        assert_eq!(training_notes(&state).unwrap()["epoch"], "1");
        resume_training(&state, &later.vars(), &mut its_optimizer, &Device::Cpu).unwrap();
        assert_eq!(its_optimizer.steps(), 3);
        step(&later, &mut its_optimizer, 2);
        assert_eq!(safetensors_bytes(&params.vars()).unwrap(), safetensors_bytes(&later.vars()).unwrap());

        let other = Params::new(5);
        other.var_builder(DType::F32, &Device::Cpu).get((4, 2), "a.weight").unwrap();
        let mut its_optimizer = AdamW::new(other.vars(), AdamWConfig::default()).unwrap();
        assert!(resume_training(&state, &other.vars(), &mut its_optimizer, &Device::Cpu).is_err());
        assert!(resume_training(&state[..40], &params.vars(), &mut optimizer, &Device::Cpu).is_err());
    }
}
