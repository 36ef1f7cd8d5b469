//! Tensors in front of those of a checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use audsem_core::weights::ModelError;
use candle_core::{DType, Device, Result as TensorResult, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::error::Result;

/// The tensors of a checkpoint, of which some are replaced by trained ones.
#[derive(Clone)]
pub(super) struct Overlay {
    base: VarBuilder<'static>,
    trained: Arc<BTreeMap<String, Tensor>>,
    used: Arc<Mutex<BTreeSet<String>>>,
}

impl std::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay").field("trained", &self.trained.keys()).finish_non_exhaustive()
    }
}

impl Overlay {
    pub(super) fn new(base: VarBuilder<'static>, trained: BTreeMap<String, Tensor>) -> Self {
        Self { base, trained: Arc::new(trained), used: Arc::default() }
    }

    pub(super) fn var_builder(&self) -> VarBuilder<'static> {
        let (dtype, device) = (self.base.dtype(), self.base.device().clone());
        let backend: Box<dyn SimpleBackend> = Box::new(self.clone());
        VarBuilder::from_backend(backend, dtype, device)
    }

    /// Checks that every trained tensor has been asked for.
    pub(super) fn finish(&self, path: &Path) -> Result<()> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let unused: Vec<String> = self.trained.keys().filter(|name| !used.contains(*name)).cloned().collect();
        if unused.is_empty() {
            return Ok(());
        }
        let path = path.to_owned();
        Err(ModelError::Mismatch { path, missing: Vec::new(), misshapen: Vec::new(), unused }.into())
    }

    fn trained(&self, name: &str, dtype: DType, device: &Device) -> TensorResult<Option<Tensor>> {
        let Some(tensor) = self.trained.get(name) else { return Ok(None) };
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        tensor.to_device(device)?.to_dtype(dtype).map(Some)
    }
}

impl SimpleBackend for Overlay {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> TensorResult<Tensor> {
        match self.trained(name, dtype, device)? {
            Some(tensor) => Ok(tensor),
            None => self.base.get_with_hints_dtype(shape, name, init, dtype)?.to_device(device),
        }
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> TensorResult<Tensor> {
        match self.trained(name, dtype, device)? {
            Some(tensor) => Ok(tensor),
            None => self.base.get_unchecked_dtype(name, dtype)?.to_device(device),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.trained.contains_key(name) || self.base.contains_tensor(name)
    }
}
