//! Advisory locks between processes that meet in one folder.
//!
//! A lock belongs to an open file and ends with its process, however that ends, so no stale lock exists. Some network
//! file systems have no locks (NFS without its lock service, Lustre mounted without `flock`). There the run continues
//! without them, with a warning, and the user must keep processes in one folder apart.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::signals::stop_requested;

/// Time between two attempts to take a lock that another process holds.
const PAUSE: Duration = Duration::from_millis(20);

/// Whether the warning about a file system without locks was given.
static WARNED: AtomicBool = AtomicBool::new(false);

/// Whether a lock was taken; `path` is for the warning. On a file system without locks every lock is granted.
pub(crate) fn taken(tried: Result<(), TryLockError>, path: &Path) -> bool {
    match tried {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(error)) => {
            if !WARNED.swap(true, Relaxed) {
                tracing::warn!(
                    "the file system of {} has no file locks ({error}): give each process in this folder another \
                     --shard, and start none with --fresh while another one runs",
                    path.display()
                );
            }
            true
        }
    }
}

/// Waits before the next attempt to take a lock.
///
/// # Errors
/// [`Error::Stopped`] when a stop was requested.
pub(crate) fn wait_for_lock(path: &Path) -> Result<()> {
    if stop_requested() {
        return Err(Error::Stopped { waiting_for: format!("the lock of {}", path.display()) });
    }
    thread::sleep(PAUSE);
    Ok(())
}

/// Whether a path leads to this very file or folder. As long as it is open, no other one can have its inode number.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
