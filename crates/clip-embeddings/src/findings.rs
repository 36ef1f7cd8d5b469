//! What the shards of a step have found, for the step after it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use audsem_core::error::Error as CoreError;
use audsem_core::run::{ShardError, ShardOutput, ShardOutputs};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::reference::write_file;

/// Findings of shards: each in a file `PREFIX-SHARD.json`, from which a later process has them, and in
/// memory, because on a dry run there are no files.
#[derive(Debug)]
pub(crate) struct Findings<T> {
    prefix: &'static str,
    fresh: Mutex<BTreeMap<String, T>>,
}

impl<T: Serialize + DeserializeOwned> Findings<T> {
    /// None yet.
    pub(crate) fn new(prefix: &'static str) -> Self {
        Self { prefix, fresh: Mutex::default() }
    }

    /// Keeps what a shard has found.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn keep(&self, out: &mut ShardOutput, found: T) -> Result<(), ShardError> {
        let json = serde_json::to_vec(&found).map_err(ShardError::fatal)?;
        let name = out.name().to_owned();
        write_file(out, &self.file_name(&name), &json)?;
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(name, found);
        Ok(())
    }

    /// What the shards have found that are done, in the order of the plan.
    ///
    /// # Errors
    /// A file of theirs cannot be read.
    pub(crate) fn take(self, outputs: &[ShardOutputs]) -> Result<Vec<T>, Error> {
        let mut fresh = std::mem::take(&mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner));
        let mut all = Vec::with_capacity(outputs.len());
        for output in outputs {
            if let Some(found) = fresh.remove(&output.name) {
                all.push(found);
                continue;
            }
            for path in output.files_ending(&format!("/{}", self.file_name(&output.name))) {
                let bytes = std::fs::read(path).map_err(CoreError::read(path))?;
                let found = serde_json::from_slice(&bytes)
                    .map_err(|error| CoreError::input(path, format!("not what this command has written: {error}")))?;
                all.push(found);
            }
        }
        Ok(all)
    }

    fn file_name(&self, shard: &str) -> String {
        format!("{}-{shard}.json", self.prefix)
    }
}
