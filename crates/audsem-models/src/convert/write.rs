//! Model folders of converted weights.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use audsem_core::files::{create_folder, write_together};
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};

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
    /// What `preprocessor_config.json` says, of networks whose folders have one.
    pub features: Option<Map<String, Value>>,
    /// What `source.json` says: where the tensors come from, what else the file holds, and what was left out.
    pub source: Map<String, Value>,
}

impl ConvertedNetwork {
    /// Describes the source: its name without folders, its hash and those of the files beside it that hold tensors, and
    /// everything that is no tensor.
    pub(super) fn describe(file: &SourceFile) -> Map<String, Value> {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let source = json!({
            "file": name,
            "sha256": file.sha256,
            "beside": file.beside,
            "format": file.format,
            "metadata": file.metadata,
            "left_out": file.skipped,
        });
        source.as_object().cloned().unwrap_or_default()
    }

    /// Writes `model.safetensors`, `source.json` and, if there are any, `config.json` and `preprocessor_config.json` into a folder, which is made. The
    /// same source gives the same bytes. Weights that lie there already go first and the new ones come last, so that
    /// no weights ever lie beside the configuration of others.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ConvertError> {
        create_folder(folder)?;
        let (config, features) = (self.config.as_ref(), self.features.as_ref());
        let named =
            [("config.json", config), ("preprocessor_config.json", features), ("source.json", Some(&self.source))];
        let mut texts = Vec::new();
        for (name, content) in named {
            texts.extend(content.map(text_of).transpose()?.map(|text| (name, text)));
        }
        let files: Vec<(&str, &[u8])> = texts.iter().map(|(name, text)| (*name, text.as_slice())).collect();
        Ok(write_together(folder, &files, ("model.safetensors", &self.safetensors()?))?)
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

fn text_of(value: &Map<String, Value>) -> Result<Vec<u8>, ConvertError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| ConvertError::content(error.to_string()))?;
    text.push('\n');
    Ok(text.into_bytes())
}
