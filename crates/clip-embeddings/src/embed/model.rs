//! The model of a command: found and opened only when it is needed.

use std::path::{Path, PathBuf};

use audsem_core::device::{DeviceChoice, Precision};
use audsem_core::error::Error as CoreError;
use audsem_core::hub::ModelDir;
use audsem_core::input::look_at;
use audsem_core::run::{Fingerprint, ModelFingerprint};
use audsem_models::clap::ClapEncoder;

use crate::error::Error;
use crate::model_tag::ModelTag;

/// The model and where it runs.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// The checkpoint: a folder, an id on the hub, or a file that the authors of a CLAP published.
    pub model: String,
    /// Branch, tag or commit on the hub.
    pub revision: Option<String>,
    /// The folder of its tokenizer, where that does not lie beside the weights.
    pub tokenizer: Option<PathBuf>,
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

/// Where a model lies.
enum Found {
    Folder { dir: ModelDir, tokenizer: Option<ModelDir> },
    File { file: PathBuf, tokenizer: ModelDir },
}

impl ModelSettings {
    fn find(&self) -> Result<Found, Error> {
        let apart = self.tokenizer.as_deref().map(tokenizer_in).transpose()?;
        let file = Path::new(&self.model);
        if !look_at(file)?.is_some_and(|found| found.is_file()) {
            let found = ModelDir::resolve(&self.model, self.revision.as_deref());
            return Ok(Found::Folder { dir: found.map_err(audsem_models::Error::from)?, tokenizer: apart });
        }
        let beside = || tokenizer_in(file.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new(".")));
        let tokenizer = apart.or_else(|| beside().ok());
        let tokenizer = tokenizer.ok_or_else(|| Error::NoTokenizer { path: file.to_owned() })?;
        Ok(Found::File { file: file.to_owned(), tokenizer })
    }

    fn load(&self, found: &Found, max_tokens: Option<usize>) -> Result<ClapEncoder, Error> {
        let device = self.device.open().map_err(audsem_models::Error::from)?;
        let dtype = self.precision.dtype();
        let encoder = match found {
            Found::Folder { dir, tokenizer } => {
                ClapEncoder::open_with(dir, tokenizer.as_ref().unwrap_or(dir), &device, dtype, max_tokens)?
            }
            Found::File { file, tokenizer } => ClapEncoder::open_original(file, tokenizer, &device, dtype, max_tokens)?,
        };
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
        let found = self.find()?;
        let encoder = self.load(&found, max_tokens)?;
        let fingerprint = found.fingerprint()?;
        let tag = tag(&fingerprint, self.precision);
        Ok(Some(TableModel { encoder, tag, fingerprint }))
    }
}

impl Found {
    /// The tokenizer, where it lies elsewhere.
    fn apart(&self) -> Option<&ModelDir> {
        match self {
            Self::Folder { tokenizer, .. } => tokenizer.as_ref(),
            Self::File { tokenizer, .. } => Some(tokenizer),
        }
    }

    /// Hashes of all files that decide the vectors.
    fn fingerprint(&self) -> Result<ModelFingerprint, Error> {
        let fingerprint = match self {
            Self::Folder { dir, .. } => dir.fingerprint(),
            Self::File { file, .. } => ModelFingerprint::of_file(file),
        };
        let mut fingerprint = fingerprint.map_err(audsem_models::Error::from)?;
        let apart = self.apart().map(ModelDir::tokenizer_hashes).transpose().map_err(audsem_models::Error::from)?;
        fingerprint.sha256.extend(apart.into_iter().flatten());
        Ok(fingerprint)
    }
}

/// A folder that has a tokenizer.
fn tokenizer_in(folder: &Path) -> Result<ModelDir, Error> {
    let dir = ModelDir::local(folder);
    let found = dir.files_of(["tokenizer.json", "vocab.json"]).map_err(audsem_models::Error::from)?;
    if !found.is_empty() {
        return Ok(dir);
    }
    let problem = "there is neither tokenizer.json nor vocab.json here\nhint: name the folder of a model, such as roberta-base or gpt2";
    Err(CoreError::input(folder, problem).into())
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
