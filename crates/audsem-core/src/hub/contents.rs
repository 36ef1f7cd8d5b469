//! Files of the folder of a model.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::file_names::WEIGHT_FILES;
use super::{ModelDir, names};
use crate::input::look_plain;
use crate::walk::{Walk, WalkError};
use crate::weights::ModelError;

/// Largest JSON file that is read; tokenizers with a million tokens have a tenth of it.
const MAX_JSON_BYTES: u64 = 1 << 28;

impl ModelDir {
    /// A file that may be absent.
    ///
    /// # Errors
    /// [`ModelError::Read`] when that cannot be told: without a tokenizer or a configuration that a failing disk hides, other
    /// numbers would come.
    pub fn optional(&self, name: &str) -> Result<Option<PathBuf>, ModelError> {
        let path = self.root.join(name);
        match look_plain(&path) {
            Ok(found) => Ok(found.is_some_and(|found| found.is_file()).then_some(path)),
            Err(source) => Err(ModelError::Read { path, source }),
        }
    }

    /// Whether there is such a file.
    ///
    /// # Errors
    /// As [`Self::optional`].
    pub fn has(&self, name: &str) -> Result<bool, ModelError> {
        Ok(self.optional(name)?.is_some())
    }

    /// A file that must be there.
    ///
    /// # Errors
    /// [`ModelError::MissingFile`], which lists what the folder has instead; or it cannot be told.
    pub fn file(&self, name: &str) -> Result<PathBuf, ModelError> {
        self.optional(name)?.ok_or_else(|| ModelError::MissingFile {
            wanted: name.to_owned(),
            folder: self.root.clone(),
            hint: self.hint(),
        })
    }

    /// What the folder is, where it lacks a file: another kind of checkpoint, or a folder around one.
    fn hint(&self) -> String {
        // Not by `json`, which asks for this hint where there is no such file.
        let read = |path: PathBuf| serde_json::from_slice::<serde_json::Value>(&fs::read(path).ok()?).ok();
        let config = self.optional("config.json").ok().flatten();
        let kind = config.clone().and_then(read).and_then(|config| {
            let class = config["architectures"][0].as_str().map(|name| format!(" ({name})")).unwrap_or_default();
            Some(format!("it is a `{}` checkpoint{class}, and ", config["model_type"].as_str()?))
        });
        let is_config = |name: &str| name.split('/').count() <= 3 && name.ends_with("/config.json");
        let inside = Walk::deep().files(&self.root, is_config).unwrap_or_default();
        if let (None, Some(model)) = (config, inside.first().and_then(|file| file.path.parent())) {
            return format!("did you mean {}?", model.display());
        }
        let present = match list_files(&self.root) {
            none if none.is_empty() => "no file".to_owned(),
            some => some.join(", "),
        };
        format!("{}it has {present}", kind.unwrap_or_default())
    }

    /// Reads a JSON file of the folder.
    ///
    /// # Errors
    /// The file is absent, unreadable, absurdly large, or not what `T` expects (the message names the key).
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, ModelError> {
        let path = self.file(name)?;
        let unreadable = |source| ModelError::Read { path: path.clone(), source };
        let file = fs::File::open(&path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        // One byte more, to see whether there is more; a length that was looked up can be that of a pipe or device.
        file.take(MAX_JSON_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_JSON_BYTES {
            return Err(ModelError::TooLarge { path, most: MAX_JSON_BYTES });
        }
        serde_json::from_slice(&bytes).map_err(|source| ModelError::Json { path, source })
    }

    /// Reads a JSON file of the folder that may be absent.
    ///
    /// # Errors
    /// As [`Self::json`], but that it is absent.
    pub fn optional_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ModelError> {
        self.optional(name)?.map(|_| self.json(name)).transpose()
    }

    /// The weight files: one file, or all shards an index names.
    ///
    /// Besides the usual names, a folder with exactly one `.safetensors`, `.bin`, `.pt` or `.pth` file is accepted.
    ///
    /// # Errors
    /// There is none, the index is broken, or a shard is missing.
    pub fn weight_files(&self) -> Result<Vec<PathBuf>, ModelError> {
        for name in WEIGHT_FILES {
            let Some(path) = self.optional(name)? else {
                continue;
            };
            if !name.ends_with(".index.json") {
                return Ok(vec![path]);
            }
            let index: WeightIndex = self.json(name)?;
            let shards: BTreeSet<String> = index.weight_map.into_values().collect();
            return shards.iter().map(|shard| self.named_file(shard)).collect();
        }
        for extension in ["safetensors", "bin", "pt", "pth"] {
            let found = Walk::flat().files(&self.root, |name| has_extension(name, extension)).map_err(unreadable)?;
            if let [only] = found.as_slice() {
                return Ok(vec![only.path.clone()]);
            }
        }
        self.file(WEIGHT_FILES[0]).map(|path| vec![path])
    }

    /// A file that another file of the folder names: it must be in the folder, or in the part of the hub's cache that
    /// the folder is a snapshot of.
    ///
    /// # Errors
    /// It is elsewhere, or absent.
    pub fn named_file(&self, name: &str) -> Result<PathBuf, ModelError> {
        let outside = || ModelError::Outside { name: name.to_owned(), folder: self.root.clone() };
        if !names::is_relative(name) {
            return Err(outside());
        }
        let path = self.file(name)?;
        let real =
            |path: &Path| path.canonicalize().map_err(|source| ModelError::Read { path: path.to_owned(), source });
        let (file, root) = (real(&path)?, real(&self.root)?);
        let blobs = names::blobs_of_snapshot(&root);
        let inside = file.starts_with(&root) || blobs.is_some_and(|blobs| file.starts_with(blobs));
        if inside { Ok(path) } else { Err(outside()) }
    }
}

/// The part of `*.index.json` that says which shard holds a tensor.
#[derive(Deserialize)]
pub(super) struct WeightIndex {
    pub(super) weight_map: BTreeMap<String, String>,
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// File names of a folder, sorted, for messages; empty where it cannot be read.
pub(super) fn list_files(folder: &Path) -> Vec<String> {
    let files = Walk::flat().files(folder, |_| true).unwrap_or_default();
    files.into_iter().map(|file| file.name).collect()
}

pub(super) fn unreadable(WalkError { path, source }: WalkError) -> ModelError {
    ModelError::Read { path, source }
}
