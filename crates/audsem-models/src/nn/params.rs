//! Trainable tensors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audsem_core::weights::Weights;
use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::dropout::fnv1a;

/// Trainable tensors of a network, by checkpoint name: taken from a checkpoint where it has them, else new.
///
/// New ones depend on the seed and on their name alone, not on the order of construction or on candle's generator
/// (which cannot be seeded on the CPU).
#[derive(Clone, Default)]
pub struct Params {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    seed: u64,
    start: Option<VarBuilder<'static>>,
    vars: Mutex<BTreeMap<String, Var>>,
    new_names: Mutex<Vec<String>>,
}

impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Params").field("seed", &self.inner.seed).field("n", &self.lock().len()).finish()
    }
}

impl Params {
    /// Starts from nothing.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { inner: Arc::new(Inner { seed, ..Inner::default() }) }
    }

    /// Starts from a checkpoint; what it lacks (the head of another task) is new and listed by [`Params::newly_initialized`].
    #[must_use]
    pub fn from_weights(seed: u64, weights: &Weights) -> Self {
        let start = Some(weights.var_builder());
        Self { inner: Arc::new(Inner { seed, start, ..Inner::default() }) }
    }

    /// The builder networks load from.
    #[must_use]
    pub fn var_builder(&self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        let backend: Box<dyn SimpleBackend> = Box::new(self.clone());
        VarBuilder::from_backend(backend, dtype, device.clone())
    }

    /// Gives a tensor its value before a network asks for it: measured statistics, for example.
    ///
    /// # Errors
    /// Memory or device.
    pub fn set(&self, name: &str, value: &Tensor) -> Result<()> {
        self.lock().insert(name.to_owned(), Var::from_tensor(value)?);
        Ok(())
    }

    /// All tensors loaded so far, sorted by name.
    #[must_use]
    pub fn vars(&self) -> Vec<(String, Var)> {
        self.lock().iter().map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// Names of the tensors the checkpoint lacked.
    #[must_use]
    pub fn newly_initialized(&self) -> Vec<String> {
        self.inner.new_names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Var>> {
        self.inner.vars.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Var> {
        let n = shape.elem_count();
        let mut rng = ChaCha8Rng::seed_from_u64(self.inner.seed ^ fnv1a(name));
        let values: Vec<f32> = match init {
            Init::Const(value) => vec![value as f32; n],
            Init::Uniform { lo, up } => (0..n).map(|_| rng.random_range(lo..up) as f32).collect(),
            Init::Randn { mean, stdev } => (0..n).map(|_| (mean + stdev * normal(&mut rng)) as f32).collect(),
            Init::Kaiming { .. } => {
                candle_core::bail!("no seeded Kaiming initialisation: `{name}`")
            }
        };
        Var::from_tensor(&Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?)
    }
}

/// One standard normal number (Box and Muller's method).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Names under which a checkpoint may hold a tensor: its own; with the `gamma` and `beta` of converted TensorFlow
/// checkpoints; and both without the leading name of the encoder, as plain encoders are saved.
fn aliases(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if let Some(stem) = name.strip_suffix("LayerNorm.weight") {
        names.push(format!("{stem}LayerNorm.gamma"));
    } else if let Some(stem) = name.strip_suffix("LayerNorm.bias") {
        names.push(format!("{stem}LayerNorm.beta"));
    }
    let plain = names.iter().filter_map(|name| name.strip_prefix("bert.").map(str::to_owned));
    let plain: Vec<String> = plain.collect();
    names.extend(plain);
    names
}

impl SimpleBackend for Params {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        if let Some(var) = self.lock().get(name) {
            if var.shape() != &shape {
                candle_core::bail!("`{name}` was made with shape {:?}, now wanted as {shape:?}", var.shape());
            }
            return Ok(var.as_tensor().clone());
        }
        let start = self.inner.start.as_ref();
        let found =
            start.and_then(|start| Some((start, aliases(name).into_iter().find(|n| start.contains_tensor(n))?)));
        let var = match found {
            Some((start, stored)) => Var::from_tensor(&start.get(shape, &stored)?.to_device(device)?.to_dtype(dtype)?)?,
            None => {
                self.inner.new_names.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
                self.create(shape, name, init, dtype, device)?
            }
        };
        self.lock().insert(name.to_owned(), var.clone());
        Ok(var.as_tensor().clone())
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        let var = self.lock().get(name).cloned();
        var.map(|var| var.as_tensor().clone())
            .ok_or_else(|| candle_core::Error::CannotFindTensor { path: name.to_owned() }.bt())
    }

    /// Only what was asked for under this very name: so a network asks for today's names, and a checkpoint with
    /// older ones is saved with today's.
    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn new_tensors_depend_on_seed_and_name_only() {
        let draw = |seed, names: &[&str]| -> BTreeMap<String, Vec<f32>> {
            let params = Params::new(seed);
            let vb = params.var_builder(DType::F32, &Device::Cpu);
            for name in names {
                vb.get_with_hints(50, name, Init::Randn { mean: 0.0, stdev: 1.0 }).unwrap();
            }
            params.vars().into_iter().map(|(name, var)| (name, var.to_vec1().unwrap())).collect()
        };
        assert_eq!(draw(1, &["a", "b"]), draw(1, &["b", "a"]));
        assert_ne!(draw(1, &["a"])["a"], draw(2, &["a"])["a"]);
        assert_ne!(draw(1, &["a", "b"])["a"], draw(1, &["a", "b"])["b"]);
    }
}
