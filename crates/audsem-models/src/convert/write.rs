//! Model folders of converted weights.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use audsem_core::files::{create_folder, hex, write_atomically};
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{ConvertError, SourceFile, SourceNetwork, SourceTensor};

/// Tensors and configuration as a network of this crate loads them.
#[derive(Debug, Clone)]
pub struct ConvertedNetwork {
    /// The network.
    pub network: SourceNetwork,
    /// The tensors under the network's names.
    pub tensors: BTreeMap<String, SourceTensor>,
    /// What `config.json` says; nothing if the file does not tell and no network is named.
    pub config: Option<Map<String, Value>>,
    /// What `source.json` says: where the tensors come from, what else the file holds, and what was left out.
    pub source: Map<String, Value>,
}

impl ConvertedNetwork {
    /// Describes the source: its name without folders, its hash, and everything that is no tensor.
    pub(super) fn describe(file: &SourceFile) -> Result<Map<String, Value>, ConvertError> {
        let bytes =
            std::fs::read(&file.path).map_err(|source| ConvertError::Read { path: file.path.clone(), source })?;
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let Value::Object(source) = json!({
            "file": name,
            "sha256": hex(&Sha256::digest(&bytes)),
            "format": file.format,
            "metadata": file.metadata,
            "left_out": file.skipped,
        }) else {
            return Ok(Map::new());
        };
        Ok(source)
    }

    /// Writes `model.safetensors`, `source.json` and, if there is one, `config.json` into a folder, which is made. The
    /// same source gives the same bytes.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ConvertError> {
        create_folder(folder)?;
        if let Some(config) = &self.config {
            write_json(&folder.join("config.json"), config)?;
        }
        write_json(&folder.join("source.json"), &self.source)?;
        Ok(write_atomically(&folder.join("model.safetensors"), &self.safetensors()?)?)
    }

    /// The tensors as a file of safetensors.
    ///
    /// # Errors
    /// A tensor cannot be described in that format.
    pub fn safetensors(&self) -> Result<Vec<u8>, ConvertError> {
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            let view = TensorView::new(tensor.dtype().safetensors(), tensor.shape().to_vec(), tensor.bytes());
            views.push((name, view.map_err(crate::Error::from)?));
        }
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        Ok(safetensors::serialize(views, Some(metadata)).map_err(crate::Error::from)?)
    }
}

fn write_json(path: &Path, value: &Map<String, Value>) -> Result<(), ConvertError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| ConvertError::content(error.to_string()))?;
    text.push('\n');
    Ok(write_atomically(path, text.as_bytes())?)
}
