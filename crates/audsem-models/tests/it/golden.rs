//! Reading goldens and comparing tensors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use audsem_core::device::DeviceChoice;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

/// Where networks are tested that can run anywhere: what `AUDSEM_TEST_DEVICE` says (`cuda:0`), else the CPU.
pub(crate) fn device() -> Device {
    let choice = std::env::var("AUDSEM_TEST_DEVICE").map_or(DeviceChoice::Cpu, |name| name.parse().unwrap());
    choice.open().unwrap()
}

/// A file or folder of `fixtures/goldens`.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens").join(name)
}

/// An entry of the metadata of a file in `fixtures/original_networks`.
pub(crate) fn original(name: &str, entry: &str) -> String {
    let bytes = std::fs::read(path(&format!("../original_networks/{name}.safetensors"))).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    header.metadata().as_ref().unwrap()[entry].clone()
}

pub(crate) struct Goldens(HashMap<String, Tensor>);

impl Goldens {
    pub(crate) fn load(name: &str) -> Self {
        Self(candle_core::safetensors::load(path(name), &Device::Cpu).unwrap())
    }

    pub(crate) fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("no golden `{name}`"))
    }

    /// Tensors whose names start with `prefix`, by the rest of their names.
    pub(crate) fn under(&self, prefix: &str) -> Vec<(String, &Tensor)> {
        let named = self.0.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor)));
        named.collect()
    }

    /// Ids and masks, which torch stores as i64.
    pub(crate) fn ids(&self, name: &str) -> Tensor {
        self.get(name).to_dtype(DType::U32).unwrap()
    }

    /// Rows of 16-bit samples, full scale 1.0.
    pub(crate) fn samples(&self, name: &str) -> Vec<Vec<f32>> {
        let samples = self.get(name);
        let rows = if samples.rank() == 1 { samples.unsqueeze(0).unwrap() } else { samples.clone() };
        let rows = rows.to_vec2::<i16>().unwrap();
        rows.into_iter().map(|row| row.into_iter().map(|sample| f32::from(sample) / 32_768.0).collect()).collect()
    }

    /// The tensors under `weights.`, as a checkpoint.
    pub(crate) fn weights(&self) -> HashMap<String, Tensor> {
        self.under("weights.").into_iter().map(|(name, tensor)| (name, tensor.clone())).collect()
    }

    /// A builder over [`Goldens::weights`].
    pub(crate) fn builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_tensors(self.weights(), DType::F32, &Device::Cpu)
    }

    /// Writes [`Goldens::weights`] to a file.
    pub(crate) fn save_weights(&self, path: &Path) {
        candle_core::safetensors::save(&self.weights(), path).unwrap();
    }

    /// Fails unless every element is within `tolerance` of the golden.
    pub(crate) fn check(&self, name: &str, got: &Tensor, tolerance: f32) {
        let difference = max_abs(got, self.get(name));
        assert!(difference <= tolerance, "{name}: max |difference| {difference:e} > {tolerance:e}");
    }

    /// Fails unless every element is within `tolerance` times the largest of the golden, or of `scale` if that is more.
    pub(crate) fn check_relative(&self, name: &str, got: &Tensor, tolerance: f32, scale: f32) {
        let golden = self.get(name);
        let largest = golden.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        self.check(name, got, tolerance * largest.max(scale));
    }
}

pub(crate) fn max_abs(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let values = |t: &Tensor| t.detach().to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let pairs = values(a).into_iter().zip(values(b));
    pairs.map(|(a, b)| if a.is_finite() && b.is_finite() { (a - b).abs() } else { f32::INFINITY }).fold(0.0, f32::max)
}
