//! Model folders and data sets: a local path, or a repository of the Hugging Face hub through its usual cache.
//!
//! Layout of the cache (shared with the Python libraries): `models--ORG--NAME/refs/REVISION` holds a commit,
//! `models--ORG--NAME/snapshots/COMMIT/` the files.

mod contents;
mod data_set;
mod fetch;
mod file_names;
mod fingerprint;
mod names;
mod open_clip;
mod push;
mod resolve;
mod settings;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use data_set::{DataSetError, DataSetPart};
pub use open_clip::OPEN_CLIP_CONFIG;
pub use push::{PushError, PushedModel, push_folder};
pub use settings::HubSettings;

/// A folder with a checkpoint: `config.json`, weights, tokenizer.
#[derive(Debug, Clone)]
pub struct ModelDir {
    name: String,
    commit: Option<String>,
    root: PathBuf,
}

impl ModelDir {
    /// A folder known to exist.
    #[must_use]
    pub fn local(root: &Path) -> Self {
        let name = root.canonicalize().ok().and_then(|full| full.file_name().map(|n| n.to_string_lossy().into_owned()));
        Self { name: name.unwrap_or_else(|| root.display().to_string()), commit: None, root: root.to_owned() }
    }

    /// Hub id, or the last component of a local path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}
