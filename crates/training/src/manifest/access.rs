//! Random access into shards.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use audsem_core::files::hex;
use audsem_core::input::open_file;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::tables::ManifestRow;

/// The members of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleBytes {
    /// The JSON of its sample.
    pub json: Vec<u8>,
    /// The sound as a file of the format that `audio_suffix` names.
    pub sound: Vec<u8>,
}

/// Open shards, from which threads read examples at random places.
#[derive(Debug, Default)]
pub struct ShardFiles {
    open: Mutex<HashMap<String, Arc<File>>>,
}

impl ShardFiles {
    /// Reads the members of an example.
    ///
    /// # Errors
    /// The shard cannot be read, or has changed since it was indexed: the JSON there has another digest.
    pub fn read(&self, row: &ManifestRow) -> Result<ExampleBytes> {
        let file = self.file(&row.tar)?;
        let json = payload(&file, row, row.json_offset, row.json_bytes)?;
        if hex(&Sha256::digest(&json)) != row.json_sha256 {
            return Err(stale(row, format!("the JSON of `{}` has changed since the shard was indexed", row.key)));
        }
        Ok(ExampleBytes { json, sound: payload(&file, row, row.audio_offset, row.audio_bytes)? })
    }

    fn file(&self, tar: &str) -> Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(tar) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(open_file(Path::new(tar))?);
        open.insert(tar.to_owned(), Arc::clone(&file));
        Ok(file)
    }
}

fn payload(file: &File, row: &ManifestRow, offset: u64, bytes: u64) -> Result<Vec<u8>> {
    let there = file.metadata().map_err(audsem_core::error::Error::read(Path::new(&row.tar)))?.len();
    if offset.checked_add(bytes).is_none_or(|end| end > there) {
        return Err(stale(row, format!("`{}` lies beyond its end, at byte {offset}", row.key)));
    }
    Ok(audsem_core::input::read_at(file, offset, bytes)
        .map_err(audsem_core::error::Error::read(Path::new(&row.tar)))?)
}

fn stale(row: &ManifestRow, problem: String) -> Error {
    Error::Stale { path: row.tar.as_str().into(), problem }
}
