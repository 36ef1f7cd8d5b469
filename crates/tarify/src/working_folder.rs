//! A folder for temporary files outside the run folder.
//!
//! It is removed with the value that stands for it. That of a killed process is removed by the next process that makes
//! one beside it: a lock on the folder, which ends with its process, tells whether it is still in use.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::TempDir;

/// Beginning of the names of these folders.
const PREFIX: &str = "audsem-tarify-";

/// A folder for temporary files, removed when dropped.
#[derive(Debug)]
pub(crate) struct WorkingFolder {
    folder: TempDir,
    _lock: File,
}

impl WorkingFolder {
    /// Makes a folder in `parent`, and removes those that killed processes left there.
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        remove_stale(parent);
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            if let Some(lock) = locked(folder.path())? {
                return Ok(Self { folder, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Locks a new folder; `None` if another process took it for a stale one before that.
fn locked(folder: &Path) -> io::Result<Option<File>> {
    let lock = match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        // Where the file system has no locks, no folder is taken for stale.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(folder.try_exists()?.then_some(lock)),
    }
}

/// Removes the folders that are in no process's use, as far as that is permitted.
fn remove_stale(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if is_ours
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Ok(folder) = File::open(entry.path())
            && folder.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let stale = parent.path().join("audsem-tarify-killed");
        fs::create_dir_all(stale.join("half")).unwrap();
        let foreign = parent.path().join("other");
        fs::create_dir(&foreign).unwrap();
        let first = WorkingFolder::new(parent.path()).unwrap();
        assert!(!stale.exists() && foreign.exists());
        let second = WorkingFolder::new(parent.path()).unwrap();
        assert!(first.path().exists() && second.path().exists());
        drop((first, second));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
