//! Weight files as one `VarBuilder`, with every tensor accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use candle_core::pickle::PthTensors;
use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;
use thiserror::Error;

use crate::hub::ModelDir;

/// Keys under which training frameworks wrap the state dictionary of a pickled checkpoint.
const STATE_KEYS: [&str; 3] = ["state_dict", "model", "module"];

/// Maximum number of tensor names shown in a message.
const SHOWN_NAMES: usize = 12;

/// What can be wrong with a model folder, its weights or the device they go to.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A CUDA device was asked for and cannot be opened.
    #[error(
        "cannot open device: cuda:{ordinal}: {source}\nhint: use `--device cpu`, or a build with `--features cuda` on a machine with this GPU"
    )]
    NoCuda {
        /// Its number.
        ordinal: usize,
        /// The error of candle.
        source: Box<candle_core::Error>,
    },
    /// The model is neither a local folder, nor in the cache, nor on the hub.
    #[error("cannot find model: `{model}`{}\nhint: give `--model` a folder that holds config.json, the weights and tokenizer.json", list_lines(.tried))]
    NotFound {
        /// What was asked for.
        model: String,
        /// Every place searched, and why the model was not found there.
        tried: Vec<String>,
    },
    /// The folder lacks a file.
    #[error("model folder lacks `{wanted}`: {}\nhint: it has {present:?}", .folder.display())]
    MissingFile {
        /// The file.
        wanted: String,
        /// The folder.
        folder: PathBuf,
        /// What is there instead.
        present: Vec<String>,
    },
    /// A file cannot be read.
    #[error("cannot read model file: {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A JSON file of the folder is not as expected.
    #[error("model file is not as expected: {}: {source}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A weight file cannot be opened or parsed.
    #[error("cannot load weights: {}: {source}\nhint: weights are .safetensors, or .bin/.pt/.pth in the zip format of torch 1.6 and later", .path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// The error of candle.
        source: Box<candle_core::Error>,
    },
    /// The weights do not fit the network.
    #[error("weights do not fit the network: {}{}{}{}", .path.display(), named("missing", .missing), named("wrong shape", .misshapen), named("unused", .unused))]
    Mismatch {
        /// The first weight file.
        path: PathBuf,
        /// Tensors the network wants and the files lack.
        missing: Vec<String>,
        /// Tensors of another shape: `name: wants [..], has [..]`.
        misshapen: Vec<String>,
        /// Tensors that the network does not use.
        unused: Vec<String>,
    },
}

fn list_lines(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = write!(text, "\n  tried {line}");
        text
    })
}

fn named(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let shown = names.iter().take(SHOWN_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(SHOWN_NAMES);
    let tail = if more == 0 { String::new() } else { format!(" … and {more} more") };
    format!("\n  {what} ({}): {shown}{tail}", names.len())
}

/// Tensors of a checkpoint. Networks load through [`Weights::var_builder`]; then [`Weights::finish`] tells whether
/// everything was there and everything was used.
#[derive(Clone)]
pub struct Weights {
    path: PathBuf,
    source: Arc<Source>,
    ledger: Arc<Mutex<Ledger>>,
    device: Device,
    dtype: DType,
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Weights").field("path", &self.path).field("dtype", &self.dtype).finish_non_exhaustive()
    }
}

/// What was asked for so far.
#[derive(Debug, Default)]
struct Ledger {
    used: BTreeSet<String>,
    missing: BTreeSet<String>,
    misshapen: BTreeMap<String, String>,
}

enum Source {
    Safetensors(MmapedSafetensors),
    /// Pickled files are read tensor by tensor, on demand.
    Pickled(Vec<PthTensors>),
}

impl Source {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Safetensors(files) => files.tensors().into_iter().map(|(name, _)| name).collect(),
            Self::Pickled(files) => files.iter().flat_map(|file| file.tensor_infos().keys().cloned()).collect(),
        }
    }

    fn contains(&self, name: &str) -> bool {
        match self {
            Self::Safetensors(files) => files.get(name).is_ok(),
            Self::Pickled(files) => files.iter().any(|file| file.tensor_infos().contains_key(name)),
        }
    }

    fn load(&self, name: &str, device: &Device) -> candle_core::Result<Tensor> {
        match self {
            Self::Safetensors(files) => files.load(name, device),
            Self::Pickled(files) => {
                for file in files {
                    if let Some(tensor) = file.get(name)? {
                        return tensor.to_device(device);
                    }
                }
                Err(candle_core::Error::CannotFindTensor { path: name.to_owned() }.bt())
            }
        }
    }
}

impl Weights {
    /// Opens the weights of a model folder; safetensors are mapped, not read.
    ///
    /// # Errors
    /// There are none, or a file cannot be parsed.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self, ModelError> {
        Self::open_files(&dir.weight_files()?, device, dtype)
    }

    /// Opens weight files by path; all of one kind.
    ///
    /// # Errors
    /// A file cannot be parsed.
    pub fn open_files(paths: &[PathBuf], device: &Device, dtype: DType) -> Result<Self, ModelError> {
        let first = paths.first().cloned().unwrap_or_default();
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ModelError::Load { path, source: Box::new(source) }
        };
        let safetensors = first.extension().is_some_and(|extension| extension == "safetensors");
        let source = if safetensors {
            Source::Safetensors(map_safetensors(paths).map_err(failed(&first))?)
        } else {
            let files = paths.iter().map(|path| open_pickled(path).map_err(failed(path)));
            Source::Pickled(files.collect::<Result<_, _>>()?)
        };
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        Ok(Self { path: first, source: Arc::new(source), ledger, device: device.clone(), dtype })
    }

    /// Names of all tensors, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names = self.source.names();
        names.sort();
        names
    }

    /// A builder over all tensors. A tensor that is not there, or of another shape, comes as zeros and is noted, so
    /// that [`Weights::finish`] can name all of them at once: a network must not be used before `finish` agreed.
    #[must_use]
    pub fn var_builder(&self) -> VarBuilder<'static> {
        let backend: Box<dyn SimpleBackend> =
            Box::new(Tracked { source: Arc::clone(&self.source), ledger: Arc::clone(&self.ledger) });
        VarBuilder::from_backend(backend, self.dtype, self.device.clone())
    }

    /// Loads one tensor as it is stored, without noting it.
    ///
    /// # Errors
    /// It is not there or unreadable.
    pub fn load(&self, name: &str) -> Result<Tensor, ModelError> {
        let failed = |source| ModelError::Load { path: self.path.clone(), source: Box::new(source) };
        self.source.load(name, &self.device).map_err(failed)
    }

    /// Checks that everything asked for was there, and that every tensor was asked for, apart from those that
    /// `ignorable` accepts (buffers such as position ids, heads of another task).
    ///
    /// # Errors
    /// [`ModelError::Mismatch`] with the names.
    pub fn finish(&self, ignorable: impl Fn(&str) -> bool) -> Result<(), ModelError> {
        let ledger = self.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let unused: Vec<String> =
            self.names().into_iter().filter(|name| !ledger.used.contains(name) && !ignorable(name)).collect();
        if ledger.missing.is_empty() && ledger.misshapen.is_empty() && unused.is_empty() {
            return Ok(());
        }
        Err(ModelError::Mismatch {
            path: self.path.clone(),
            missing: ledger.missing.iter().cloned().collect(),
            misshapen: ledger.misshapen.iter().map(|(name, shapes)| format!("{name}: {shapes}")).collect(),
            unused,
        })
    }
}

#[allow(unsafe_code)]
fn map_safetensors(paths: &[PathBuf]) -> candle_core::Result<MmapedSafetensors> {
    // SAFETY: the mapping is valid as long as no other process shortens the file while it is open. Checkpoints are
    // written once and renamed into place; the same assumption is made by every loader of this format.
    unsafe { MmapedSafetensors::multi(paths) }
}

/// Opens a pickled checkpoint, unwrapping the state dictionary where it is nested.
fn open_pickled(path: &Path) -> candle_core::Result<PthTensors> {
    let plain = PthTensors::new(path, None);
    if plain.as_ref().is_ok_and(|file| !file.tensor_infos().is_empty()) {
        return plain;
    }
    for key in STATE_KEYS {
        if let Ok(file) = PthTensors::new(path, Some(key))
            && !file.tensor_infos().is_empty()
        {
            return Ok(file);
        }
    }
    plain
}

struct Tracked {
    source: Arc<Source>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Tracked {
    fn note<T>(&self, write: impl FnOnce(&mut Ledger) -> T) {
        let _: T = write(&mut self.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl SimpleBackend for Tracked {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        if !self.source.contains(name) {
            self.note(|ledger| ledger.missing.insert(name.to_owned()));
            return Tensor::zeros(shape, dtype, device);
        }
        self.note(|ledger| ledger.used.insert(name.to_owned()));
        let tensor = self.source.load(name, device)?;
        if tensor.shape() != &shape {
            let shapes = format!("wants {:?}, has {:?}", shape.dims(), tensor.dims());
            self.note(|ledger| drop(ledger.misshapen.insert(name.to_owned(), shapes)));
            return Tensor::zeros(shape, dtype, device);
        }
        tensor.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        self.note(|ledger| ledger.used.insert(name.to_owned()));
        self.source.load(name, device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.source.contains(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::collections::HashMap;

    fn checkpoint(folder: &Path) -> PathBuf {
        let path = folder.join("model.safetensors");
        let tensors: HashMap<String, Tensor> = [("a.weight", 6), ("a.bias", 3), ("old.buffer", 2)]
            .into_iter()
            .map(|(name, n)| (name.to_owned(), Tensor::arange(0f32, n as f32, &Device::Cpu).unwrap()))
            .collect();
        candle_core::safetensors::save(&tensors, &path).unwrap();
        path
    }

    #[test]
    fn every_mismatch_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let weights = Weights::open_files(&[checkpoint(folder.path())], &Device::Cpu, DType::F32).unwrap();
        let vb = weights.var_builder().pp("a");
        vb.get(6, "weight").unwrap();
        vb.get(4, "bias").unwrap();
        vb.get(1, "scale").unwrap();
        vb.get(1, "shift").unwrap();
        let error = weights.finish(|_| false).unwrap_err().to_string();
        for part in ["missing (2): a.scale, a.shift", "a.bias: wants [4], has [3]", "unused (1): old.buffer"] {
            assert!(error.contains(part), "{part} not in {error}");
        }
    }

    #[test]
    fn a_fitting_checkpoint_passes_and_buffers_can_be_ignored() {
        let folder = tempfile::tempdir().unwrap();
        checkpoint(folder.path());
        let weights = Weights::open(&ModelDir::local(folder.path()), &Device::Cpu, DType::F32).unwrap();
        let vb = weights.var_builder();
        assert_eq!(vb.get(3, "a.bias").unwrap().to_vec1::<f32>().unwrap(), [0.0, 1.0, 2.0]);
        vb.get(6, "a.weight").unwrap();
        assert!(weights.finish(|_| false).is_err());
        weights.finish(|name| name.ends_with("buffer")).unwrap();
    }

    #[test]
    fn a_file_that_is_no_checkpoint_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["model.safetensors", "pytorch_model.bin"] {
            let path = folder.path().join(name);
            std::io::Write::write_all(
                &mut std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap(),
                b"no weights in here, sorry",
            )
            .unwrap();
            let error = Weights::open_files(&[path], &Device::Cpu, DType::F32).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("hint:"), "{error}");
        }
    }
}
