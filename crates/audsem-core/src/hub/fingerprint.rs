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
        let of_tiktoken = open_clip::tiktoken_files(self)?;
        let side = self.files_of(hashed_files().chain(of_tiktoken.iter().map(String::as_str)))?;
        let sha256 = self.weight_files()?.into_iter().chain(side).map(|path| sha256_of(&path));
        Ok(ModelFingerprint {
            name: self.name.clone(),
            revision: self.commit.clone(),
            sha256: sha256.collect::<Result<_, _>>()?,
        })
    }

    /// Paths of those of these files that are there.
    ///
    /// # Errors
    /// As [`Self::optional`].
    pub fn files_of<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<PathBuf>, ModelError> {
        names.into_iter().filter_map(|name| self.optional(name).transpose()).collect()
    }

    /// Hashes of those of these files that are there, for files on which an outcome depends.
    ///
    /// # Errors
    /// A file cannot be read, or it cannot be told whether it is there.
    pub fn hashes_of<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, ModelError> {
        self.files_of(names)?.iter().map(|path| sha256_of(path)).collect()
    }

    /// Hashes of the files of the folder on which its tokenizer depends, those that are there.
    ///
    /// # Errors
    /// As [`Self::hashes_of`].
    pub fn tokenizer_hashes(&self) -> Result<Vec<String>, ModelError> {
        // The configuration says which class of tokenizers reads the others.
        self.hashes_of(["config.json"].into_iter().chain(TOKENIZER_FILES))
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
