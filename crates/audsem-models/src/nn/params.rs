//! Tensors of a network in training: trainable ones over a base that is not changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audsem_core::weights::{ModelError, Weights};
use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::dropout::fnv1a;
use super::lora::{self, LoraConfig};

/// Which tensors of a checkpoint are trained; adapters always are.
#[derive(Clone, Default)]
pub enum Trainable {
    /// All of them.
    #[default]
    All,
    /// None: adapters alone.
    Adapters,
    /// Those whose names the function accepts.
    Where(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Trainable {
    fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Adapters => false,
            Self::Where(accepts) => accepts(name),
        }
    }
}

/// Tensors of a network by checkpoint name: taken from a checkpoint where it has them, else new.
///
/// Frozen tensors are read from the mapped files once, carry no gradient and are shared by all networks that are loaded
/// from here. New ones depend on the seed and on their name alone, not on the order of construction or on candle's
/// generator (which cannot be seeded on the CPU).
#[derive(Clone, Default)]
pub struct Params {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    seed: u64,
    base: Mutex<Base>,
    trainable: Trainable,
    adapters: Option<LoraConfig>,
    tensors: Mutex<Tensors>,
}

/// The checkpoint that a network begins with.
#[derive(Default)]
enum Base {
    /// There is none.
    #[default]
    None,
    /// Its mapped files.
    Files(Weights, VarBuilder<'static>),
    /// They were closed.
    Closed,
}

/// What there is so far.
#[derive(Default)]
struct Tensors {
    vars: BTreeMap<String, Var>,
    frozen: BTreeMap<String, Tensor>,
    /// Names that were made new, in the order in which they were asked for.
    new: Vec<String>,
    /// Frozen tensors that the checkpoint lacks.
    missing: BTreeSet<String>,
    /// Tensors that [`Params::set`] gave and no network has asked for.
    unasked: BTreeSet<String>,
    /// Entries of `target_modules` that a layer has been found for.
    targets: BTreeSet<String>,
}

impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tensors = self.lock();
        let (trained, frozen) = (tensors.vars.len(), tensors.frozen.len());
        f.debug_struct("Params")
            .field("seed", &self.inner.seed)
            .field("trained", &trained)
            .field("frozen", &frozen)
            .finish()
    }
}

impl Params {
    /// Starts from nothing; everything is trained.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { inner: Arc::new(Inner { seed, ..Inner::default() }) }
    }

    /// Starts from a checkpoint, all of which is trained; what it lacks (the head of another task) is new and listed by
    /// [`Params::newly_initialized`].
    #[must_use]
    pub fn from_weights(seed: u64, weights: &Weights) -> Self {
        Self::over(seed, weights, Trainable::All, None)
    }

    /// Starts from a checkpoint of which only the tensors of `trainable` are trained, with `adapters` beside its layers
    /// where they are given. What it lacks is new if it is trained, and an error of [`Params::finish`] if it is not.
    #[must_use]
    pub fn over(seed: u64, weights: &Weights, trainable: Trainable, adapters: Option<LoraConfig>) -> Self {
        let base = Mutex::new(Base::Files(weights.clone(), weights.var_builder()));
        Self { inner: Arc::new(Inner { seed, base, trainable, adapters, ..Inner::default() }) }
    }

    /// The builder networks load from.
    #[must_use]
    pub fn var_builder(&self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        let backend: Box<dyn SimpleBackend> = Box::new(self.clone());
        VarBuilder::from_backend(backend, dtype, device.clone())
    }

    /// Gives a trainable tensor its value before a network asks for it: measured statistics, or those of a stored
    /// adapter.
    ///
    /// # Errors
    /// Memory or device.
    pub fn set(&self, name: &str, value: &Tensor) -> Result<()> {
        let mut tensors = self.lock();
        tensors.vars.insert(name.to_owned(), Var::from_tensor(value)?);
        tensors.unasked.insert(name.to_owned());
        Ok(())
    }

    /// All trainable tensors loaded so far, sorted by name.
    #[must_use]
    pub fn vars(&self) -> Vec<(String, Var)> {
        self.lock().vars.iter().map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// Trainable parameters of adapters alone, sorted by name.
    #[must_use]
    pub fn adapter_vars(&self) -> Vec<(String, Var)> {
        self.vars().into_iter().filter(|(name, _)| lora::adapted_layer(name).is_some()).collect()
    }

    /// Names of the tensors the checkpoint lacked, those of new adapters among them.
    #[must_use]
    pub fn newly_initialized(&self) -> Vec<String> {
        self.lock().new.clone()
    }

    /// The network without its adapters as it stands, by name: what an adapted network is compared with. Shares memory
    /// with the tensors in training, and carries no gradient.
    #[must_use]
    pub fn without_adapters(&self) -> HashMap<String, Tensor> {
        let tensors = self.lock();
        let vars = tensors.vars.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor()));
        let all = vars.chain(tensors.frozen.iter().map(|(name, tensor)| (name.clone(), tensor.clone())));
        all.filter(|(name, _)| lora::adapted_layer(name).is_none()).collect()
    }

    /// The network with its adapters merged into its weights, by name: what is exported.
    ///
    /// # Errors
    /// Memory or device.
    pub fn merged(&self) -> Result<HashMap<String, Tensor>> {
        let mut tensors = self.without_adapters();
        let Some(config) = &self.inner.adapters else {
            return Ok(tensors);
        };
        let vars = self.lock().vars.clone();
        let weights: Vec<String> = tensors.keys().filter(|name| name.ends_with(".weight")).cloned().collect();
        for name in weights {
            let layer = name.trim_end_matches(".weight");
            let [a, b] = lora::tensor_names(layer);
            if let (Some(a), Some(b), Some(weight)) = (vars.get(&a), vars.get(&b), tensors.get_mut(&name)) {
                let (_, scale) = config.rank_and_scale(layer).map_err(candle_core::Error::wrap)?;
                *weight = lora::merge(weight, a, b, scale)?;
            }
        }
        Ok(tensors)
    }

    /// Checks that the checkpoint had everything, apart from new trainable tensors that `may_be_new` accepts and new
    /// adapters; that every tensor of it was asked for, apart from those that `ignorable` accepts; that every tensor
    /// that was [set](Params::set) was asked for; and that every target of the adapters is a layer. A network must not be
    /// used before.
    ///
    /// # Errors
    /// [`ModelError::Mismatch`] with all names.
    pub fn finish(
        &self,
        may_be_new: impl Fn(&str) -> bool,
        ignorable: impl Fn(&str) -> bool,
    ) -> std::result::Result<(), ModelError> {
        let (mut path, mut misshapen, mut unused) = Default::default();
        if let Base::Files(weights, _) = &*self.base() {
            match weights.finish(ignorable) {
                Err(ModelError::Mismatch { path: p, misshapen: m, unused: u, .. }) => {
                    (path, misshapen, unused) = (p, m, u)
                }
                other => other?,
            }
        }
        let tensors = self.lock();
        let new = tensors.new.iter().filter(|name| lora::adapted_layer(name).is_none() && !may_be_new(name));
        let missing: BTreeSet<String> = new.chain(&tensors.missing).cloned().collect();
        unused.extend(tensors.unasked.iter().cloned());
        let wanted = self.inner.adapters.iter().flat_map(LoraConfig::wanted);
        let unmet = wanted.filter(|target| !tensors.targets.contains(*target));
        let missing: Vec<String> =
            missing.into_iter().chain(unmet.map(|target| format!("a layer `{target}` to adapt"))).collect();
        if missing.is_empty() && misshapen.is_empty() && unused.is_empty() {
            return Ok(());
        }
        Err(ModelError::Mismatch { path, missing, misshapen, unused })
    }

    /// Closes the files of the checkpoint, once all networks are loaded: what was read of a mapped file counts as memory of
    /// this process, beside the tensors that were made of it.
    pub fn close_files(&self) {
        *self.base() = Base::Closed;
    }

    fn lock(&self) -> MutexGuard<'_, Tensors> {
        self.inner.tensors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn base(&self) -> MutexGuard<'_, Base> {
        self.inner.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Allows a tensor that the checkpoint lacks.
    fn allow_new(&self, shape: &Shape) -> Result<()> {
        match &*self.base() {
            Base::Files(weights, _) => weights.allow_new(shape),
            Base::None | Base::Closed => Ok(()),
        }
    }

    fn create(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
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
        Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
    }

    /// The tensor as the checkpoint has it.
    fn stored(&self, shape: &Shape, name: &str, dtype: DType, device: &Device) -> Result<Option<Tensor>> {
        let base = self.base();
        let base = match &*base {
            Base::None => return Ok(None),
            Base::Files(_, base) => base,
            Base::Closed => candle_core::bail!("`{name}` is asked for after the files of the checkpoint were closed"),
        };
        match aliases(name).into_iter().find(|alias| base.contains_tensor(alias)) {
            Some(alias) => Ok(Some(base.get(shape.clone(), &alias)?.to_device(device)?.to_dtype(dtype)?)),
            None => Ok(None),
        }
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

impl Tensors {
    /// The tensor `name`, if it was loaded or set before.
    fn known(&mut self, name: &str, shape: &Shape) -> Result<Option<Tensor>> {
        self.unasked.remove(name);
        let var = self.vars.get(name).map(Var::as_tensor);
        let Some(tensor) = var.or_else(|| self.frozen.get(name)) else { return Ok(None) };
        if tensor.shape() != shape {
            candle_core::bail!("`{name}` was made with shape {:?}, now wanted as {shape:?}", tensor.shape());
        }
        Ok(Some(tensor.clone()))
    }
}

impl SimpleBackend for Params {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        if let Some(known) = self.lock().known(name, &shape)? {
            return Ok(known);
        }
        let trained = lora::adapted_layer(name).is_some() || self.inner.trainable.contains(name);
        let stored = self.stored(&shape, name, dtype, device)?;
        let mut tensors = self.lock();
        if !trained {
            let frozen = match stored {
                Some(frozen) => frozen,
                None => {
                    tensors.missing.insert(name.to_owned());
                    self.allow_new(&shape)?;
                    Tensor::zeros(shape, dtype, device)?
                }
            };
            tensors.frozen.insert(name.to_owned(), frozen.clone());
            return Ok(frozen);
        }
        let value = match stored {
            Some(stored) => stored,
            None => {
                tensors.new.push(name.to_owned());
                self.allow_new(&shape)?;
                self.create(shape, name, init, dtype, device)?
            }
        };
        let var = Var::from_tensor(&value)?;
        tensors.vars.insert(name.to_owned(), var.clone());
        Ok(var.as_tensor().clone())
    }

    fn get_unchecked(&self, name: &str, dtype: DType, _: &Device) -> Result<Tensor> {
        if let Some(config) = self.inner.adapters.as_ref().filter(|_| lora::is_settings(name)) {
            let layer = lora::adapted_layer(name).unwrap_or_default();
            return config.settings(layer).map_err(candle_core::Error::wrap)?.to_dtype(dtype);
        }
        let var = self.lock().vars.get(name).cloned();
        var.map(|var| var.as_tensor().clone())
            .ok_or_else(|| candle_core::Error::CannotFindTensor { path: name.to_owned() }.bt())
    }

    /// Only what was asked for under this very name, so that a network asks for today's names, and a checkpoint with
    /// older ones is saved with today's; and the adapters of the layers that are to have one.
    fn contains_tensor(&self, name: &str) -> bool {
        let mut tensors = self.lock();
        let Some(layer) = lora::adapted_layer(name) else {
            return tensors.vars.contains_key(name) || tensors.frozen.contains_key(name);
        };
        let target = self.inner.adapters.as_ref().and_then(|config| config.target_of(layer));
        if let Some(target) = target {
            tensors.targets.insert(target.to_owned());
        }
        target.is_some()
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

    #[test]
    fn closed_files_give_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let tensors = ["a", "b"].map(|name| (name.to_owned(), Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap()));
        candle_core::safetensors::save(&HashMap::from(tensors), &path).unwrap();
        let weights = Weights::open_files(&[path], &Device::Cpu, DType::F32).unwrap();
        let params = Params::over(1, &weights, Trainable::Adapters, None);
        let vb = params.var_builder(DType::F32, &Device::Cpu);
        vb.get(2, "a").unwrap();
        params.close_files();
        assert_eq!(vb.get(2, "a").unwrap().to_vec1::<f32>().unwrap(), [1.0, 2.0]);
        assert!(vb.get(2, "b").unwrap_err().to_string().contains("`b` is asked for after"));
    }
}
