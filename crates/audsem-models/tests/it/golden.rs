//! Reading goldens and comparing tensors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

/// A file or folder of `fixtures/goldens`.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens").join(name)
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
