//! Tensors that a network wants against those that there are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use super::SourceTensor;
use crate::error::Result;

/// Most names shown in a message.
const SHOWN: usize = 12;

/// Names and shapes of the tensors that a network loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedTensors(BTreeMap<String, Vec<usize>>);

/// Weights that are zeros of whatever shape is asked for, and a note of it.
#[derive(Clone, Default)]
struct AskedTensors(Arc<Mutex<BTreeMap<String, Vec<usize>>>>);

impl SimpleBackend for AskedTensors {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), shape.dims().to_vec());
        Tensor::zeros(shape, dtype, device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("the network asks for `{name}` without a shape")
    }

    /// Optional tensors are there once they have been asked for: a new network has none of another form.
    fn contains_tensor(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }
}

/// Where tensors differ from those that a network loads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TensorMismatch {
    /// Names that the network wants and that are not there.
    pub missing: Vec<String>,
    /// Names that are there and that the network does not want.
    pub unexpected: Vec<String>,
    /// Names with the shape that the network wants and the one that is there.
    pub shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl ExpectedTensors {
    /// What `load` asks for: it is run over zeros of any shape, so that the list is the network's own.
    ///
    /// # Errors
    /// The network cannot be set up.
    pub fn of<T>(load: impl FnOnce(&VarBuilder<'static>) -> Result<T>) -> Result<Self> {
        let asked = AskedTensors::default();
        load(&VarBuilder::from_backend(Box::new(asked.clone()), DType::F32, Device::Cpu))?;
        let shapes = asked.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Self(shapes.clone()))
    }

    /// The differences, if there are any. Tensors that `ignorable` names may be there.
    #[must_use]
    pub fn compare(
        &self,
        tensors: &BTreeMap<String, SourceTensor>,
        ignorable: impl Fn(&str) -> bool,
    ) -> Option<TensorMismatch> {
        let mut mismatch = TensorMismatch::default();
        for (name, wanted) in &self.0 {
            match tensors.get(name) {
                None => mismatch.missing.push(name.clone()),
                Some(tensor) if tensor.shape() != wanted => {
                    mismatch.shapes.push((name.clone(), wanted.clone(), tensor.shape().to_vec()));
                }
                Some(_) => {}
            }
        }
        let unexpected = tensors.keys().filter(|name| !self.0.contains_key(*name) && !ignorable(name));
        mismatch.unexpected = unexpected.cloned().collect();
        (mismatch != TensorMismatch::default()).then_some(mismatch)
    }
}

impl fmt::Display for TensorMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes: Vec<String> =
            self.shapes.iter().map(|(name, wants, has)| format!("{name}: wants {wants:?}, has {has:?}")).collect();
        let parts = [("missing", &self.missing), ("of another shape", &shapes), ("unexpected", &self.unexpected)];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<String> =
            parts.map(|(what, names)| format!("{what} ({}): {}", names.len(), shown(names))).collect();
        f.write_str(&parts.join("; "))
    }
}

fn shown(names: &[String]) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let names = names[..names.len() - more].join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}
