//! Entering a run folder that other processes may enter at the same time.
//!
//! Each process holds a shared lock on the folder while it runs. To write `run.json` or to remove an earlier run, a
//! process needs an exclusive lock. So processes with different `--shard` run in parallel, of two configurations that
//! start together one is refused, and `--fresh` never removes a folder that another process uses.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde_json::Value;

use super::folder::{Rights, changed_fields, earlier_run, prepare, refusal};
use super::options::RunOptions;
use crate::error::{Error, Result};
use crate::files::{create_folder, is_at, taken, wait_for_lock};

/// The file that is locked; the last process removes it.
pub(super) const LOCK: &str = ".run.lock";

/// Attempts before a folder counts as in use: another process may hold its lock only to compare `run.json`.
const ATTEMPTS: u32 = 25;

/// A process's place in a run folder.
#[derive(Debug)]
pub(super) struct Entry {
    folder: PathBuf,
    /// The folder as it was entered. As long as it is open, no other folder can have its inode number.
    opened: File,
    lock: File,
}

/// How a process holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Shared,
    Alone,
}

impl Entry {
    /// Enters the folder for the run that `record` describes: a new one, one to continue, or with `--fresh` one that
    /// replaces an earlier one.
    ///
    /// # Errors
    /// [`Error::Changed`] when the folder holds, or meanwhile has become, a run that differs; [`Error::InUse`],
    /// [`Error::NotARunFolder`], [`Error::Stopped`], [`Error::Read`], [`Error::Write`].
    pub(super) fn new(options: &RunOptions, record: &Value) -> Result<Self> {
        let folder = &options.output;
        create_folder(folder)?;
        let opened = File::open(folder).map_err(Error::read(folder))?;
        let mut entry = Self { folder: folder.clone(), opened, lock: open_lock(folder)? };
        let mut rights = Rights { fresh: options.fresh, replace: true };
        let mut attempts = 0;
        loop {
            if entry.take(Hold::Shared)? {
                let earlier = earlier_run(folder)?;
                let found = earlier.map(|earlier| {
                    let changes = changed_fields(&earlier, record);
                    (earlier, changes)
                });
                if !rights.fresh && found.as_ref().is_some_and(|(_, changes)| changes.is_empty()) {
                    return Ok(entry);
                }
                entry.release();
                if entry.take(Hold::Alone)? {
                    prepare(folder, record, rights)?;
                    // If another process has replaced it by the time the lock is shared, that process wins.
                    rights = Rights { fresh: false, replace: false };
                    entry.release();
                    continue;
                }
                attempts += 1;
                match found {
                    _ if attempts < ATTEMPTS => {}
                    Some((earlier, changes)) if !rights.fresh => {
                        return Err(refusal(folder, &earlier, record, changes));
                    }
                    _ => return Err(Error::InUse { path: folder.clone() }),
                }
            }
            wait_for_lock(folder)?;
        }
    }

    /// Makes sure that the folder is still the one that was entered.
    ///
    /// # Errors
    /// [`Error::FolderGone`] when it was removed or replaced; [`Error::Read`].
    pub(super) fn check(&self) -> Result<()> {
        match is_at(&self.opened, &self.folder).map_err(Error::read(&self.folder))? {
            true => Ok(()),
            false => Err(Error::FolderGone { path: self.folder.clone() }),
        }
    }

    /// Takes the lock, unless another process holds it in a way that excludes this one.
    fn take(&mut self, hold: Hold) -> Result<bool> {
        let path = self.folder.join(LOCK);
        loop {
            let tried = match hold {
                Hold::Shared => self.lock.try_lock_shared(),
                Hold::Alone => self.lock.try_lock(),
            };
            if !taken(tried, &self.folder) {
                return Ok(false);
            }
            if is_at(&self.lock, &path).map_err(Error::read(&path))? {
                return Ok(true);
            }
            // The process that held it last has removed the file.
            self.lock = open_lock(&self.folder)?;
        }
    }

    fn release(&self) {
        // Fails only where there are no locks.
        let _ = self.lock.unlock();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.release();
        let path = self.folder.join(LOCK);
        let is_ours = || is_at(&self.lock, &path);
        // Where there are no locks, the file is of no use to others either. Second attempts, because nothing else would
        // remove the file before the next run.
        if taken(self.lock.try_lock(), &self.folder) && is_ours().or_else(|_| is_ours()).unwrap_or(false) {
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_file(&path));
        }
    }
}

fn open_lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
    options.open(&path).map_err(Error::write(&path))
}
