//! Weight files as one `VarBuilder`, with every tensor accounted for.

mod error;
mod source;
mod tracked;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Shape};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;

use crate::hub::ModelDir;
use source::{Source, open_pickled};
use tracked::{Backend, Tracked};

pub use error::ModelError;
pub use source::StoredTensor;

/// Tensors of a checkpoint. Networks load through [`Weights::var_builder`]; then [`Weights::finish`] tells whether
/// everything was there and everything was used.
#[derive(Clone)]
pub struct Weights {
    tracked: Arc<Tracked>,
    device: Device,
    dtype: DType,
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Weights").field("path", &self.tracked.path).field("dtype", &self.dtype).finish_non_exhaustive()
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

    /// As [`Weights::open`], for a network that has other names for its tensors than the files do: `rename` gives the
    /// network's name of a stored tensor. Everything that these weights say of tensors is by the network's names.
    ///
    /// # Errors
    /// As [`Weights::open`]; or two tensors get one name.
    pub fn open_renamed(
        dir: &ModelDir,
        device: &Device,
        dtype: DType,
        rename: impl Fn(&str) -> String,
    ) -> Result<Self, ModelError> {
        Self::open_as(&dir.weight_files()?, device, dtype, &rename)
    }

    /// Opens weight files by path; all of one kind.
    ///
    /// # Errors
    /// A file cannot be parsed.
    pub fn open_files(paths: &[PathBuf], device: &Device, dtype: DType) -> Result<Self, ModelError> {
        Self::open_as(paths, device, dtype, &str::to_owned)
    }

    fn open_as(
        paths: &[PathBuf],
        device: &Device,
        dtype: DType,
        rename: &dyn Fn(&str) -> String,
    ) -> Result<Self, ModelError> {
        let first = paths.first().cloned().unwrap_or_default();
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ModelError::Load { path, source: Box::new(source) }
        };
        let safetensors = first.extension().is_some_and(|extension| extension == "safetensors");
        let source = if safetensors {
            Source::safetensors(paths).map_err(failed(&first))?
        } else {
            let files = paths.iter().map(|path| open_pickled(path).map_err(failed(path)));
            Source::Pickled(files.collect::<Result<_, _>>()?)
        };
        let tracked = Tracked::new(first.clone(), source, rename).map_err(failed(&first))?;
        Ok(Self { tracked: Arc::new(tracked), device: device.clone(), dtype })
    }

    /// Names of all tensors, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.tracked.tensors().keys().cloned().collect()
    }

    /// What the headers of the files say of all tensors, by their names.
    #[must_use]
    pub fn stored(&self) -> &BTreeMap<String, StoredTensor> {
        self.tracked.tensors()
    }

    /// A builder over all tensors. A tensor that is not there, or of another shape, comes as zeros and is noted, so
    /// that [`Weights::finish`] can name all of them at once: a network must not be used before `finish` agreed. A network
    /// that wants much more than the files hold, and a tensor with NaN or infinite numbers, is an error at once.
    #[must_use]
    pub fn var_builder(&self) -> VarBuilder<'static> {
        let backend: Box<dyn SimpleBackend> = Box::new(Backend(Arc::clone(&self.tracked)));
        VarBuilder::from_backend(backend, self.dtype, self.device.clone())
    }

    /// Allows a network one more tensor that these weights do not hold, as the head of another task, before there is
    /// memory for it.
    ///
    /// # Errors
    /// All of them together are much more than the weights.
    pub fn allow_new(&self, shape: &Shape) -> candle_core::Result<()> {
        self.tracked.allow(shape)
    }

    /// Checks that everything asked for was there, and that every tensor was asked for, apart from those that
    /// `ignorable` accepts (buffers such as position ids, heads of another task).
    ///
    /// # Errors
    /// [`ModelError::Mismatch`] with the names.
    pub fn finish(&self, ignorable: impl Fn(&str) -> bool) -> Result<(), ModelError> {
        let unused = self.tracked.unused().into_iter().filter(|name| !ignorable(name)).collect();
        self.tracked.mismatch(unused).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::Tensor;
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
    fn networks_may_have_other_names_for_tensors() {
        let folder = tempfile::tempdir().unwrap();
        checkpoint(folder.path());
        let open = |rename: fn(&str) -> String| {
            Weights::open_renamed(&ModelDir::local(folder.path()), &Device::Cpu, DType::F32, rename)
        };
        let weights = open(|stored| format!("b.{stored}")).unwrap();
        assert_eq!(weights.names(), ["b.a.bias", "b.a.weight", "b.old.buffer"]);
        assert_eq!(weights.var_builder().get(3, "b.a.bias").unwrap().to_vec1::<f32>().unwrap(), [0.0, 1.0, 2.0]);
        assert!(!weights.var_builder().contains_tensor("a.bias"));
        let stored = &weights.stored()["b.a.bias"];
        assert_eq!((stored.name.as_str(), &*stored.shape, stored.dtype), ("a.bias", &[3][..], Some(DType::F32)));
        let error = weights.finish(|name| name == "b.old.buffer").unwrap_err().to_string();
        assert!(error.contains("unused (1): b.a.weight"), "{error}");
        let error = open(|_| "x".to_owned()).unwrap_err().to_string();
        assert!(error.contains("are both tensor `x`"), "{error}");
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

    #[test]
    fn numbers_that_are_none_are_named() {
        for (dtype, broken) in
            [(DType::F32, f32::NAN), (DType::F32, f32::INFINITY), (DType::F16, f32::NEG_INFINITY), (DType::F16, 1e6)]
        {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model.safetensors");
            let tensors = [("a", vec![3e38f32, 3e38, 1.0]), ("b", vec![0.0, broken, 1.0])];
            let tensors = tensors.map(|(name, values)| (name, Tensor::new(values, &Device::Cpu).unwrap()));
            candle_core::safetensors::save(&tensors.into(), &path).unwrap();
            let vb = Weights::open_files(&[path], &Device::Cpu, dtype).unwrap().var_builder();
            assert_eq!(vb.get(3, "a").is_ok(), dtype == DType::F32, "a sum that overflows is no fault");
            let error = vb.get(3, "b").unwrap_err().to_string();
            assert!(error.contains("NaN or infinite") && error.contains("`b`"), "{error}");
        }
    }

    #[test]
    fn absurd_shapes_are_refused_before_there_is_memory_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = checkpoint(folder.path());
        let open = || Weights::open_files(std::slice::from_ref(&path), &Device::Cpu, DType::F32).unwrap().var_builder();
        for shape in [vec![1 << 40], vec![usize::MAX, usize::MAX], vec![1 << 20, 1 << 20]] {
            for name in ["a.weight", "a.gone"] {
                let error = open().get(shape.clone(), name).unwrap_err().to_string();
                assert!(error.contains("do not fit") && error.contains(name), "{error}");
            }
        }
        let endless = open();
        let wanted = (0..).take_while(|n| endless.get(1, &format!("layer.{n}")).is_ok()).count();
        assert!(wanted < 1000, "{wanted} tensors that are not there");
    }
}
