//! Weights into which an adapter is merged while a network reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use audsem_core::weights::ModelError;
use candle_core::{DType, Device, Result as TensorResult, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use super::{Adapter, merge, tensor_names};
use crate::error::Result;

/// The weights of a checkpoint with an adapter merged into them, for inference: nothing but the merged weight of a layer is
/// kept. Networks load through [`MergedWeights::var_builder`]; then [`MergedWeights::finish`] tells whether every layer of the
/// adapter was there.
#[derive(Clone)]
pub struct MergedWeights {
    inner: Arc<Inner>,
}

struct Inner {
    base: VarBuilder<'static>,
    /// The projections down and up of a layer, and its scale.
    layers: BTreeMap<String, (Tensor, Tensor, f64)>,
    merged: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for MergedWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergedWeights").field("layers", &self.inner.layers.keys()).finish_non_exhaustive()
    }
}

impl MergedWeights {
    /// Takes the builder of a checkpoint and an adapter with the names of its network.
    ///
    /// # Errors
    /// A layer of the adapter has one projection only, or its settings contradict each other.
    pub fn new(base: VarBuilder<'static>, adapter: &Adapter) -> Result<Self> {
        let tensors: BTreeMap<&str, &Tensor> =
            adapter.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let (mut layers, mut missing) = (BTreeMap::new(), Vec::new());
        for layer in adapter.layers() {
            let [a, b] = tensor_names(layer);
            let (_, scale) = adapter.config.rank_and_scale(layer)?;
            match (tensors.get(a.as_str()), tensors.get(b.as_str())) {
                (Some(down), Some(up)) => {
                    drop(layers.insert(layer.to_owned(), ((*down).clone(), (*up).clone(), scale)))
                }
                (down, _) => missing.push(if down.is_none() { a } else { b }),
            }
        }
        if missing.is_empty() {
            return Ok(Self { inner: Arc::new(Inner { base, layers, merged: Mutex::default() }) });
        }
        Err(mismatch(missing, Vec::new()))
    }

    /// The builder that a network loads from.
    #[must_use]
    pub fn var_builder(&self) -> VarBuilder<'static> {
        let (dtype, device) = (self.inner.base.dtype(), self.inner.base.device().clone());
        let backend: Box<dyn SimpleBackend> = Box::new(self.clone());
        VarBuilder::from_backend(backend, dtype, device)
    }

    /// Checks that the network has read the weight of every layer of the adapter.
    ///
    /// # Errors
    /// [`ModelError::Mismatch`] with the layers that the network does not have.
    pub fn finish(&self) -> Result<()> {
        let merged = self.inner.merged.lock().unwrap_or_else(PoisonError::into_inner);
        let unused: Vec<String> = self.inner.layers.keys().filter(|layer| !merged.contains(*layer)).cloned().collect();
        if unused.is_empty() { Ok(()) } else { Err(mismatch(Vec::new(), unused)) }
    }

    fn merged(&self, name: &str, weight: Tensor) -> TensorResult<Tensor> {
        let Some(layer) = name.strip_suffix(".weight") else { return Ok(weight) };
        let Some((a, b, scale)) = self.inner.layers.get(layer) else { return Ok(weight) };
        self.inner.merged.lock().unwrap_or_else(PoisonError::into_inner).insert(layer.to_owned());
        let device = weight.device();
        merge(&weight, &a.to_device(device)?, &b.to_device(device)?, *scale)
    }
}

fn mismatch(missing: Vec<String>, unused: Vec<String>) -> crate::Error {
    ModelError::Mismatch { path: super::folder::TENSORS.into(), missing, misshapen: Vec::new(), unused }.into()
}

impl SimpleBackend for MergedWeights {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> TensorResult<Tensor> {
        let weight = self.inner.base.get_with_hints_dtype(shape, name, init, dtype)?.to_device(device)?;
        self.merged(name, weight)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> TensorResult<Tensor> {
        self.merged(name, self.inner.base.get_unchecked_dtype(name, dtype)?.to_device(device)?)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.inner.base.contains_tensor(name)
    }
}
