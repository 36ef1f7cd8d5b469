//! Reading the golden files under fixtures/.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A file or folder under fixtures/.
pub(crate) fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(path)
}

/// The tensors of a safetensors file: shape and bytes by name, and the file's metadata.
pub(crate) struct Goldens {
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
    metadata: BTreeMap<String, String>,
}

impl Goldens {
    pub(crate) fn open(name: &str) -> Goldens {
        let bytes = std::fs::read(fixture("goldens").join(name)).unwrap();
        let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
        let (header, data) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
        let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).unwrap();
        let mut goldens = Goldens { tensors: BTreeMap::new(), metadata: BTreeMap::new() };
        for (name, entry) in header {
            if name == "__metadata__" {
                goldens.metadata = serde_json::from_value(entry).unwrap();
                continue;
            }
            let shape: Vec<usize> = serde_json::from_value(entry["shape"].clone()).unwrap();
            let [from, to]: [usize; 2] = serde_json::from_value(entry["data_offsets"].clone()).unwrap();
            goldens.tensors.insert(name, (shape, data[from..to].to_vec()));
        }
        goldens
    }

    /// All names: those stored, and those the metadata say are equal to a stored one.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let aliases =
            self.metadata.iter().filter(|(_, stored)| self.tensors.contains_key(*stored)).map(|(name, _)| name);
        self.tensors.keys().chain(aliases).map(String::as_str)
    }

    fn tensor(&self, name: &str) -> &(Vec<usize>, Vec<u8>) {
        self.tensors.get(name).unwrap_or_else(|| &self.tensors[&self.metadata[name]])
    }

    pub(crate) fn shape(&self, name: &str) -> &[usize] {
        &self.tensor(name).0
    }

    pub(crate) fn f32(&self, name: &str) -> Vec<f32> {
        self.tensor(name).1.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    pub(crate) fn u8(&self, name: &str) -> &[u8] {
        &self.tensor(name).1
    }

    pub(crate) fn i16(&self, name: &str) -> Vec<i16> {
        self.tensor(name).1.as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect()
    }

    pub(crate) fn i64(&self, name: &str) -> Vec<i64> {
        self.tensor(name).1.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
    }

    pub(crate) fn f64(&self, name: &str) -> Vec<f64> {
        self.tensor(name).1.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
    }
}
