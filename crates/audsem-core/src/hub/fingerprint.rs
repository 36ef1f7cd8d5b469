//! What identifies a model: the hashes of its files.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::file_names::{TOKENIZER_FILES, hashed_files};
use super::{ModelDir, open_clip};
use crate::run::ModelFingerprint;
use crate::weights::ModelError;

impl ModelDir {
    /// Hashes weights, configurations and tokenizer, in this order, for `run.json`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn fingerprint(&self) -> Result<ModelFingerprint, ModelError> {
        let side = hashed_files().filter_map(|name| self.optional(name));
        let of_tiktoken = open_clip::tiktoken_files(self);
        let of_tiktoken = of_tiktoken.iter().filter_map(|name| self.optional(name));
        let sha256 = self.weight_files()?.into_iter().chain(side).chain(of_tiktoken).map(|path| sha256_of(&path));
        Ok(ModelFingerprint {
            name: self.name.clone(),
            revision: self.commit.clone(),
            sha256: sha256.collect::<Result<_, _>>()?,
        })
    }

    /// Files of the folder on which its tokenizer depends, those that are there.
    pub fn tokenizer_files(&self) -> impl Iterator<Item = PathBuf> {
        // The configuration says which class of tokenizers reads the others.
        ["config.json"].into_iter().chain(TOKENIZER_FILES).filter_map(|name| self.optional(name))
    }
}

impl ModelFingerprint {
    /// Hashes a model that is one file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_file(path: &Path) -> Result<Self, ModelError> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { name, revision: None, sha256: vec![sha256_of(path)?] })
    }
}

pub(super) fn sha256_of(path: &Path) -> Result<String, ModelError> {
    let failed = |source| ModelError::Read { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(failed)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
