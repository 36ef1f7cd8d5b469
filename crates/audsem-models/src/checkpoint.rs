//! Writing checkpoints in the layout of the Hugging Face hub.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use audsem_core::files::write_atomically;
use candle_core::{DType, Tensor, Var};
use safetensors::tensor::{Dtype, TensorView};

use crate::error::Result;

/// Most bytes of one file of weights.
const MOST_BYTES: usize = 4 << 30;

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

/// Writes the weights of a model folder, each tensor in its own type: `model.safetensors`, or several files with an index
/// where all together are larger than 4 GiB. Returns the files.
///
/// # Errors
/// A tensor cannot be read back from its device, or a file cannot be written.
pub fn write_weights(folder: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<PathBuf>> {
    write_shards(folder, tensors, MOST_BYTES)
}

fn write_shards(folder: &Path, tensors: &BTreeMap<String, Tensor>, most: usize) -> Result<Vec<PathBuf>> {
    let bytes = |tensor: &Tensor| tensor.elem_count() * tensor.dtype().size_in_bytes();
    let (mut shards, mut shard, mut size): (Vec<Vec<(&String, &Tensor)>>, Vec<_>, usize) = Default::default();
    for named in tensors {
        if !shard.is_empty() && size + bytes(named.1) > most {
            shards.push(std::mem::take(&mut shard));
            size = 0;
        }
        size += bytes(named.1);
        shard.push(named);
    }
    shards.push(shard);
    let number = shards.len();
    let (mut files, mut index) = (Vec::new(), serde_json::Map::new());
    for (n, shard) in shards.into_iter().enumerate() {
        let name = match number {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{number:05}.safetensors", n + 1),
        };
        index.extend(shard.iter().map(|(tensor, _)| ((*tensor).clone(), name.as_str().into())));
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(shard, Some(metadata))?;
        write_atomically(&folder.join(&name), &bytes)?;
        files.push(folder.join(name));
    }
    if number > 1 {
        let total: usize = tensors.values().map(bytes).sum();
        let index = serde_json::json!({"metadata": {"total_size": total}, "weight_map": index});
        write_atomically(&folder.join("model.safetensors.index.json"), format!("{index:#}\n").as_bytes())?;
    }
    Ok(files)
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
    use audsem_core::hub::ModelDir;
    use audsem_core::weights::Weights;
    use candle_core::Device;

    #[test]
    fn large_weights_lie_in_several_files_with_an_index() {
        let tensor = |n: usize, dtype| Tensor::arange(0f32, n as f32, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let tensors = BTreeMap::from([
            ("a".to_owned(), tensor(10, DType::F32)),
            ("b".to_owned(), tensor(4, DType::BF16)),
            ("c".to_owned(), tensor(3, DType::F32)),
        ]);
        for (most, expected) in [(1000, 1), (48, 2), (8, 3)] {
            let folder = tempfile::tempdir().unwrap();
            let files = write_shards(folder.path(), &tensors, most).unwrap();
            assert_eq!(files.len(), expected, "{most}");
            let dir = ModelDir::local(folder.path());
            assert_eq!(dir.weight_files().unwrap(), files);
            let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
            assert_eq!(weights.names(), ["a", "b", "c"]);
            assert_eq!(weights.var_builder().get(4, "b").unwrap().to_vec1::<f32>().unwrap(), [0.0, 1.0, 2.0, 3.0]);
        }
    }

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
