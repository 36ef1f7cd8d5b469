//! Writing checkpoints in the layout of the Hugging Face hub.

use std::collections::HashMap;

use candle_core::{DType, Tensor, Var};
use safetensors::tensor::{Dtype, TensorView};

use crate::error::Result;

/// Serialises tensors as safetensors in f32, in the order of their names; with the `format` mark that transformers
/// wants to see.
///
/// # Errors
/// A tensor cannot be read back from its device.
pub fn safetensors_bytes(vars: &[(String, Var)]) -> Result<Vec<u8>> {
    let named: Vec<(String, &Tensor)> = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor())).collect();
    serialize(&named, HashMap::from([("format".to_owned(), "pt".to_owned())]))
}

/// Serialises tensors as safetensors in f32, with notes.
pub(crate) fn serialize(named: &[(String, &Tensor)], metadata: HashMap<String, String>) -> Result<Vec<u8>> {
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
}
