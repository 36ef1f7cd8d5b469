//! Weight files of other libraries, converted to safetensors with a JSON file beside them.
//!
//! [`SourceFile::open`] reads the tensors of a file under the names that the file gives them: state dictionaries of
//! PyTorch (zip archives and the format before them), initialisers of ONNX graphs (also quantised and external ones) and
//! the container of CTranslate2. [`SourceNetwork`] knows how the names of one network's files become those that this
//! crate's network loads, and [`ConvertedNetwork::write`] makes a model folder of the result. Nothing in a file is ever
//! executed: pickles are read as data.

mod captioners;
mod claps;
mod ctranslate2;
mod error;
mod expected;
mod load;
mod network;
mod onnx;
mod pictures;
mod taggers;
mod tensor;
mod torch;
mod whisper;
mod write;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use audsem_core::files::hex;
use audsem_core::input::open_plain;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub use error::ConvertError;
pub use expected::{ExpectedTensors, TensorMismatch};
pub use network::SourceNetwork;
pub use tensor::{SourceDtype, SourceTensor};
pub use write::ConvertedNetwork;

/// Tensors by their names.
type Tensors = BTreeMap<String, SourceTensor>;

/// A format of weight files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightFormat {
    /// An ONNX graph (`.onnx`), its large tensors inside or in files beside it.
    Onnx,
    /// What `torch.save` writes (`.pt`, `.pth`, `.bin`, `.ckpt`): a zip archive, or pickles followed by raw numbers.
    Torch,
    /// `model.bin` of CTranslate2, version 6.
    Ctranslate2,
}

impl WeightFormat {
    /// Whose format it is.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Onnx => "ONNX",
            Self::Torch => "torch",
            Self::Ctranslate2 => "CTranslate2",
        }
    }
}

/// The tensors of a weight file, and what else it holds.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: WeightFormat,
    /// SHA-256 of its bytes in lower-case hex.
    pub sha256: String,
    /// SHA-256 of the files beside it that hold some of its tensors, by their names.
    pub beside: BTreeMap<String, String>,
    /// The tensors under the names of the file.
    pub tensors: BTreeMap<String, SourceTensor>,
    /// Values of the file that are no tensors, such as a configuration or a list of labels.
    pub metadata: Map<String, Value>,
    /// Tensors that are left out, with the reason: constants of a graph, mostly.
    pub skipped: BTreeMap<String, &'static str>,
}

impl SourceFile {
    /// Reads a weight file into memory. Without a format its first bytes tell: zip archives and pickles are PyTorch's, a
    /// version number and the name of a specification CTranslate2's; other files are tried as ONNX. `key` is the key of
    /// the state dictionary within a pickled training state; without it the usual ones are tried.
    ///
    /// # Errors
    /// The file cannot be read, or not as this format; the message names the first thing that is not as expected.
    pub fn open(path: &Path, format: Option<WeightFormat>, key: Option<&str>) -> Result<Self, ConvertError> {
        let bytes = read(path)?;
        if bytes.is_empty() {
            return Err(ConvertError::Empty { path: path.to_owned() });
        }
        let format = format.unwrap_or_else(|| detect(&bytes));
        let contents = match format {
            WeightFormat::Onnx => onnx::read(&bytes, path.parent().unwrap_or(Path::new(""))),
            WeightFormat::Torch => torch::read(&bytes, key),
            WeightFormat::Ctranslate2 => ctranslate2::read(&bytes),
        };
        let Contents { tensors, metadata, skipped, beside } = contents.map_err(|error| error.of_file(path, format))?;
        Ok(Self { path: path.to_owned(), format, sha256: sha256(&bytes), beside, tensors, metadata, skipped })
    }
}

/// Reads a file into memory, once. Pipes and devices are refused.
fn read(path: &Path) -> Result<Vec<u8>, ConvertError> {
    let mut bytes = Vec::new();
    let read = open_plain(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|source| ConvertError::Read { path: path.to_owned(), source })?;
    Ok(bytes)
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// What a reader of one format finds.
#[derive(Debug, Default)]
struct Contents {
    tensors: BTreeMap<String, SourceTensor>,
    metadata: Map<String, Value>,
    skipped: BTreeMap<String, &'static str>,
    beside: BTreeMap<String, String>,
}

impl Contents {
    fn insert(&mut self, name: String, tensor: SourceTensor) -> Result<(), ConvertError> {
        match self.tensors.insert(name.clone(), tensor) {
            None => Ok(()),
            Some(_) => Err(ConvertError::content(format!("two tensors are called `{name}`"))),
        }
    }
}

fn detect(bytes: &[u8]) -> WeightFormat {
    match bytes {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => WeightFormat::Torch,
        // The version, then the length of a name that is shorter than 256 bytes.
        [1..=9, 0, 0, 0, 1..=255, 0, ..] => WeightFormat::Ctranslate2,
        _ => WeightFormat::Onnx,
    }
}
