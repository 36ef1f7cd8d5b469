//! The model of a command: found and opened only when it is needed.

use audsem_core::device::{DeviceChoice, Precision};
use audsem_core::hub::ModelDir;
use audsem_core::run::{Fingerprint, ModelFingerprint};
use audsem_models::clap::ClapEncoder;

use crate::error::Error;
use crate::model_tag::ModelTag;

/// The model and where it runs.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// The checkpoint: a folder, or an id on the hub.
    pub model: String,
    /// Branch, tag or commit on the hub.
    pub revision: Option<String>,
    /// Where it runs.
    pub device: DeviceChoice,
    /// Number type of its weights.
    pub precision: Precision,
    /// Sounds or captions in one forward pass.
    pub batch_size: usize,
}

/// A model that makes tables.
#[derive(Debug)]
pub(super) struct TableModel {
    pub encoder: ClapEncoder,
    /// Its identity in the tables.
    pub tag: String,
    pub fingerprint: ModelFingerprint,
}

impl ModelSettings {
    fn find(&self) -> Result<ModelDir, Error> {
        Ok(ModelDir::resolve(&self.model, self.revision.as_deref()).map_err(audsem_models::Error::from)?)
    }

    fn load(&self, dir: &ModelDir, max_tokens: Option<usize>) -> Result<ClapEncoder, Error> {
        let device = self.device.open().map_err(audsem_models::Error::from)?;
        let encoder = ClapEncoder::open(dir, &device, self.precision.dtype(), max_tokens)?;
        Ok(encoder.with_batch_size(self.batch_size))
    }

    /// Finds and loads the model.
    ///
    /// # Errors
    /// It cannot be found, the device cannot be opened, or the checkpoint is not a supported CLAP model.
    pub fn open(&self, max_tokens: Option<usize>) -> Result<ClapEncoder, Error> {
        self.load(&self.find()?, max_tokens)
    }

    /// Opens the model with what tables and `run.json` say of it. On a dry run there is no model.
    pub(super) fn open_for_tables(
        &self,
        max_tokens: Option<usize>,
        dry_run: bool,
    ) -> Result<Option<TableModel>, Error> {
        if dry_run {
            return Ok(None);
        }
        let dir = self.find()?;
        let encoder = self.load(&dir, max_tokens)?;
        let fingerprint = dir.fingerprint().map_err(audsem_models::Error::from)?;
        let tag = tag(&fingerprint, self.precision);
        Ok(Some(TableModel { encoder, tag, fingerprint }))
    }
}

/// Names the model by everything that decides its vectors: all weights, configurations and the tokenizer.
fn tag(model: &ModelFingerprint, precision: Precision) -> String {
    let all = model.sha256.iter().fold(Fingerprint::new(), |all, sha256| all.with(sha256));
    let weights = model.sha256.first().map_or("", String::as_str);
    ModelTag::new(&model.name, weights, &all.finish(), precision.name()).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use super::*;

    #[test]
    fn a_model_is_known_by_its_files_and_not_by_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let model = |name: &str, last: (&str, &str)| {
            let root = folder.path().join(name);
            std::fs::create_dir_all(&root).unwrap();
            for (file, content) in [("model.safetensors", "w"), ("config.json", "{}"), last] {
                std::fs::write(root.join(file), content).unwrap();
            }
            tag(&ModelDir::local(&root).fingerprint().unwrap(), Precision::F32)
        };
        // A tokenizer in one file or in several: each of its files counts.
        for file in ["tokenizer.json", "tokenizer_config.json", "vocab.json"] {
            let [a, renamed, other] = ["a", "b", "c"].map(|name| format!("{file}-{name}"));
            let (a, renamed, other) =
                (model(&a, (file, "t")), model(&renamed, (file, "t")), model(&other, (file, "u")));
            assert!(ModelTag::parse(&a).agrees_with(&ModelTag::parse(&renamed)));
            assert!(!ModelTag::parse(&a).agrees_with(&ModelTag::parse(&other)), "{a} {other}");
        }
    }
}
