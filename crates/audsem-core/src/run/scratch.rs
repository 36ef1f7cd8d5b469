//! A shard's working folder inside the run folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::marker::Marker;
use super::shard::ShardOutput;
use crate::error::{Error, Result};
use crate::files::{AtomicFile, create_folder};

/// Beginning of the names of working folders; the name of the shard follows.
const PREFIX: &str = ".scratch-";

/// What stands for the `/` of a shard that is spread over subfolders. No name of a shard holds it.
const PLACE: &str = "~";

/// A folder for unfinished files, on the disk of the results, removed when dropped. Only the process
/// that has claimed the shard uses it.
#[derive(Debug)]
pub struct ScratchFolder(PathBuf);

impl ScratchFolder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Empties it.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk refuses.
    pub fn clear(&self) -> Result<()> {
        remove_folder(&self.0)?;
        create_folder(&self.0)
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // A disk that refuses for a moment is asked once more: nobody comes back to the folder of a shard that is done.
        let _ = remove_folder(&self.0).or_else(|_| remove_folder(&self.0));
    }
}

impl ShardOutput {
    /// An empty working folder for this shard. What a killed run has left of one is removed.
    ///
    /// # Errors
    /// [`Error::Write`] when it cannot be made.
    pub fn scratch(&self) -> Result<ScratchFolder> {
        let scratch = ScratchFolder(self.folder.join(format!("{PREFIX}{}", self.name().replacen('/', PLACE, 1))));
        scratch.clear()?;
        Ok(scratch)
    }
}

/// Removes the working folders that killed runs have left of shards that no process works on.
/// Shards of other processes are left alone: for a moment this one would keep them from their work.
pub(super) fn remove_stale(folder: &Path, step: &str, is_ours: impl Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let path = entry.map_err(Error::read(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(shard) =
            name.strip_prefix(PREFIX).map(|shard| shard.replacen(PLACE, "/", 1)).filter(|shard| is_ours(shard))
            && let Some(_claim) = AtomicFile::claim(&Marker::path(folder, step, &shard))?
        {
            remove_folder(&path)?;
        }
    }
    Ok(())
}

fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::write(path)(error)),
        _ => Ok(()),
    }
}
