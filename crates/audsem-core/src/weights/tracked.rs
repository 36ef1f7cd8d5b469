//! A builder that notes what networks ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Error, Result, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;

use super::error::ModelError;
use super::source::{Source, StoredTensor, n_numbers};

/// Numbers, and tensors, that a network may want besides what the files hold, so that all of them can be named at once.
/// A network requests about as much as the files hold, unless its configuration belongs to another checkpoint or is
/// absurd: memory for all of it would then be allocated before the error shows.
const SPARE_NUMBERS: usize = 1 << 22;
const SPARE_TENSORS: usize = 256;

/// Weight files, and what was asked of them.
pub(super) struct Tracked {
    pub(super) path: PathBuf,
    source: Source,
    /// Each tensor, by the name that networks have for it.
    tensors: BTreeMap<String, StoredTensor>,
    ledger: Mutex<Ledger>,
    most_numbers: usize,
    most_tensors: usize,
}

/// What was asked for so far.
#[derive(Debug, Default)]
struct Ledger {
    used: BTreeSet<String>,
    missing: BTreeSet<String>,
    misshapen: BTreeMap<String, String>,
    /// Numbers in tensors that the files do not hold.
    n_numbers: usize,
    /// How many of these there are.
    n_tensors: usize,
}

impl Tracked {
    /// `rename` gives the name that networks have for a tensor.
    ///
    /// # Errors
    /// Two tensors get one name.
    pub(super) fn new(path: PathBuf, source: Source, rename: &dyn Fn(&str) -> String) -> Result<Self> {
        let (mut tensors, mut numbers) = (BTreeMap::new(), 0usize);
        for stored in source.tensors() {
            numbers = numbers.saturating_add(stored.n_numbers());
            let (name, file_name) = (rename(&stored.name), stored.name.clone());
            let before: Option<StoredTensor> = tensors.insert(name.clone(), stored);
            if let Some(StoredTensor { name: other, .. }) = before.filter(|before| before.name != file_name) {
                return Err(Error::Msg(format!("`{other}` and `{file_name}` are both tensor `{name}` of the network")));
            }
        }
        let most_numbers = numbers.saturating_mul(2).saturating_add(SPARE_NUMBERS);
        let most_tensors = tensors.len() * 2 + SPARE_TENSORS;
        Ok(Self { path, source, tensors, ledger: Mutex::default(), most_numbers, most_tensors })
    }

    /// All tensors, by the names that networks have for them.
    pub(super) fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of the tensors that have not been requested.
    pub(super) fn unused(&self) -> Vec<String> {
        let ledger = self.lock();
        self.tensors.keys().filter(|name| !ledger.used.contains(name.as_str())).cloned().collect()
    }

    /// What was asked for and is not there, if anything.
    pub(super) fn mismatch(&self, unused: Vec<String>) -> Option<ModelError> {
        let ledger = self.lock();
        if ledger.missing.is_empty() && ledger.misshapen.is_empty() && unused.is_empty() {
            return None;
        }
        Some(ModelError::Mismatch {
            path: self.path.clone(),
            missing: ledger.missing.iter().cloned().collect(),
            misshapen: ledger.misshapen.iter().map(|(name, shapes)| format!("{name}: {shapes}")).collect(),
            unused,
        })
    }

    /// Allows for a tensor that the files do not hold, before there is memory for it.
    pub(super) fn allow(&self, shape: &Shape) -> Result<()> {
        let mut ledger = self.lock();
        ledger.n_numbers = ledger.n_numbers.saturating_add(n_numbers(shape.dims()));
        ledger.n_tensors += 1;
        if ledger.n_numbers <= self.most_numbers && ledger.n_tensors <= self.most_tensors {
            return Ok(());
        }
        drop(ledger);
        Err(match self.mismatch(Vec::new()) {
            Some(mismatch) => Error::wrap(mismatch),
            None => Error::Msg(format!("a new tensor of shape {:?} is no part of this network", shape.dims())),
        })
    }

    /// A tensor in the type that is asked for, all of whose numbers are finite in it.
    fn load(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let stored = self.tensors.get(name).map_or(name, |stored| stored.name.as_str());
        let tensor = self.source.load(stored, device)?.to_dtype(dtype)?;
        if !is_finite(&tensor)? {
            return Err(Error::wrap(ModelError::NotFinite { path: self.path.clone(), name: name.to_owned() }));
        }
        Ok(tensor)
    }
}

/// Whether all numbers are finite. One that is not makes the sum such, too, and few sums are for another reason.
fn is_finite(tensor: &Tensor) -> Result<bool> {
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?;
    Ok(values.sum_all()?.to_scalar::<f32>()?.is_finite() || values.to_vec1::<f32>()?.into_iter().all(f32::is_finite))
}

/// [`Tracked`] as networks see it.
pub(super) struct Backend(pub(super) Arc<Tracked>);

impl SimpleBackend for Backend {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let Self(tracked) = self;
        if !tracked.tensors.contains_key(name) {
            tracked.lock().missing.insert(name.to_owned());
            tracked.allow(&shape)?;
            return Tensor::zeros(shape, dtype, device);
        }
        tracked.lock().used.insert(name.to_owned());
        let tensor = tracked.load(name, dtype, device)?;
        if tensor.shape() != &shape {
            let shapes = format!("wants {:?}, has {:?}", shape.dims(), tensor.dims());
            tracked.lock().misshapen.insert(name.to_owned(), shapes);
            tracked.allow(&shape)?;
            return Tensor::zeros(shape, dtype, device);
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        self.0.lock().used.insert(name.to_owned());
        self.0.load(name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.tensors.contains_key(name)
    }
}
