//! The tensors of weight files.

use std::path::{Path, PathBuf};

use candle_core::pickle::PthTensors;
use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Error, Result, Tensor};

/// Keys under which training frameworks wrap the state dictionary of a pickled checkpoint.
const STATE_KEYS: [&str; 3] = ["state_dict", "model", "module"];

/// A tensor as the header of its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The type of its numbers, if candle has it.
    pub dtype: Option<DType>,
}

impl StoredTensor {
    /// Numbers in it.
    #[must_use]
    pub fn n_numbers(&self) -> usize {
        n_numbers(&self.shape)
    }
}

/// Weight files, all of one kind.
pub(super) enum Source {
    Safetensors(MmapedSafetensors),
    /// Pickled files are read tensor by tensor, on demand.
    Pickled(Vec<PthTensors>),
}

impl Source {
    pub(super) fn safetensors(paths: &[PathBuf]) -> Result<Self> {
        Ok(Self::Safetensors(map_safetensors(paths)?))
    }

    /// All tensors, as the headers tell.
    pub(super) fn tensors(&self) -> Vec<StoredTensor> {
        match self {
            Self::Safetensors(files) => {
                let tensors = files.tensors().into_iter();
                let stored = tensors.map(|(name, tensor)| StoredTensor {
                    name,
                    shape: tensor.shape().to_vec(),
                    dtype: tensor.dtype().try_into().ok(),
                });
                stored.collect()
            }
            Self::Pickled(files) => {
                let infos = files.iter().flat_map(|file| file.tensor_infos());
                let stored = infos.map(|(name, info)| StoredTensor {
                    name: name.clone(),
                    shape: info.layout.dims().to_vec(),
                    dtype: Some(info.dtype),
                });
                stored.collect()
            }
        }
    }

    pub(super) fn load(&self, name: &str, device: &Device) -> Result<Tensor> {
        match self {
            Self::Safetensors(files) => files.load(name, device),
            Self::Pickled(files) => {
                for file in files {
                    if let Some(tensor) = file.get(name)? {
                        return tensor.to_device(device);
                    }
                }
                Err(Error::CannotFindTensor { path: name.to_owned() }.bt())
            }
        }
    }
}

/// Numbers in a tensor of this shape; the largest number there is where they cannot be counted.
pub(super) fn n_numbers(shape: &[usize]) -> usize {
    shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim)).unwrap_or(usize::MAX)
}

#[allow(unsafe_code)]
fn map_safetensors(paths: &[PathBuf]) -> Result<MmapedSafetensors> {
    // SAFETY: the mapping is valid as long as no other process shortens the file while it is open. Checkpoints are
    // written once and renamed into place; the same assumption is made by every loader of this format.
    unsafe { MmapedSafetensors::multi(paths) }
}

/// Opens a pickled checkpoint, unwrapping the state dictionary where it is nested.
pub(super) fn open_pickled(path: &Path) -> Result<PthTensors> {
    let plain = PthTensors::new(path, None);
    if plain.as_ref().is_ok_and(|file| !file.tensor_infos().is_empty()) {
        return fitting(plain?, path);
    }
    for key in STATE_KEYS {
        if let Ok(file) = PthTensors::new(path, Some(key))
            && !file.tensor_infos().is_empty()
        {
            return fitting(file, path);
        }
    }
    plain
}

/// Refuses a tensor that claims to be larger than its file, which is not compressed: memory for it would be asked for
/// before it is read.
fn fitting(file: PthTensors, path: &Path) -> Result<PthTensors> {
    let most = std::fs::metadata(path)?.len();
    for (name, info) in file.tensor_infos() {
        let bytes = n_numbers(info.layout.dims()).saturating_mul(info.dtype.size_in_bytes());
        if bytes as u64 > most {
            candle_core::bail!("`{name}` claims {bytes} bytes, in a file of {most}");
        }
    }
    Ok(file)
}
