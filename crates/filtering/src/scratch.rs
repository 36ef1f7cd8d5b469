//! A shard's working folder inside the run folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;

use crate::error::Result;

/// A folder for unfinished files, on the disk of the results. It is named after its shard, so that what a
/// killed run left is cleared when the shard is run again. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder for this shard.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn new(run_folder: &Path, shard: &str) -> Result<Self> {
        let scratch = Self(run_folder.join(format!(".scratch-{shard}")));
        scratch.clear()?;
        Ok(scratch)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Empties it.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn clear(&self) -> Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(CoreError::write(&self.0)(error))?,
            _ => {}
        }
        Ok(fs::create_dir_all(&self.0).map_err(CoreError::write(&self.0))?)
    }
}

impl std::ops::Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
