//! Atomic file writing: the one place that creates files under an output folder.
//!
//! A file is written under a temporary name beside its final one, flushed to disk and renamed.
//! A reader therefore sees a whole file or none, whatever kills the writer in between.

mod stream;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use stream::Stream;

/// Extension of temporary names, so that a listing never mistakes one for a finished file.
const TEMPORARY: &str = ".tmp";

/// What a finished file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: String,
}

/// A file that is being written. Dropping it without [`AtomicFile::commit`] removes it.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once flushed to disk, or when that failed.
    stream: Option<Stream>,
}

impl AtomicFile {
    /// Starts a file that will be `path`, creating missing folders.
    ///
    /// The temporary name depends on `path` alone, so that a run that was killed leaves nothing
    /// behind once it has been run again; a lock on it keeps two processes apart.
    ///
    /// # Errors
    /// [`Error::Write`] when the folder or file cannot be made or another process is writing it.
    pub fn create(path: &Path) -> Result<Self> {
        Self::start(path, |file| match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(io::Error::other("another process is writing this file")),
            // Some network file systems have no locks; the file is then written without one.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
        })
    }

    fn start(path: &Path, lock: impl Fn(&File) -> io::Result<()>) -> Result<Self> {
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        let temporary = hidden(path, TEMPORARY);
        let file = open_locked(&temporary, lock).map_err(Error::write(path))?;
        Ok(Self { path: path.to_owned(), temporary, stream: Some(Stream::new(file)) })
    }

    /// The final name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes to disk and gives the file its final name.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk is full or the rename fails; the temporary file is removed.
    pub fn commit(self) -> Result<Written> {
        let mut staged = self.stage()?;
        staged.publish()?;
        Ok(staged.written.clone())
    }

    /// Flushes to disk but keeps the temporary name, so that several files can be published together.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk is full.
    pub fn stage(mut self) -> Result<StagedFile> {
        let stream = self.stream.take().expect("only stage() takes the stream, and it takes self");
        let (file, written) = stream.finish().map_err(Error::write(&self.path))?;
        Ok(StagedFile {
            path: std::mem::take(&mut self.path),
            temporary: Some(std::mem::take(&mut self.temporary)),
            _lock: file,
            written,
        })
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.as_mut().expect("writable until staged").write(buf)
    }

    /// Does nothing: nobody can read the file before [`AtomicFile::stage`], which waits for the disk.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        // Staged: the file now belongs to the `StagedFile`.
        if self.temporary.as_os_str().is_empty() {
            return;
        }
        // Before the lock goes with the stream: afterwards it may be another process's.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// A file that is complete on disk under its temporary name.
#[derive(Debug)]
pub struct StagedFile {
    path: PathBuf,
    /// `None` once published.
    temporary: Option<PathBuf>,
    _lock: Arc<File>,
    written: Written,
}

impl StagedFile {
    /// The final name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file holds.
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// Gives the file its final name. Calling it again does nothing.
    ///
    /// # Errors
    /// [`Error::Write`] when the rename fails.
    #[allow(clippy::disallowed_methods, reason = "the ban refers callers to this function")]
    pub fn publish(&mut self) -> Result<()> {
        if let Some(temporary) = &self.temporary {
            // What keeps its temporary name is removed when dropped.
            fs::rename(temporary, &self.path).map_err(Error::write(&self.path))?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Writes a small file at once and atomically. Processes that write the same file wait for each other.
///
/// # Errors
/// [`Error::Write`] when the folder or file cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    // On a file system without locks the file is written without one.
    let mut file = AtomicFile::start(path, |file| file.lock().or(Ok(())))?;
    file.write_all(bytes).map_err(Error::write(path))?;
    file.commit().map(drop)
}

/// Opens a temporary file for itself alone and empties it.
fn open_locked(temporary: &Path, lock: impl Fn(&File) -> io::Result<()>) -> io::Result<File> {
    loop {
        let file = File::options().write(true).create(true).truncate(false).open(temporary)?;
        lock(&file)?;
        // Between opening and locking, the process before us may have published this very file.
        let still_there = fs::metadata(temporary).is_ok_and(|there| {
            file.metadata().is_ok_and(|ours| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
        });
        if still_there {
            // Nothing stands for the file yet that would remove it.
            file.set_len(0).inspect_err(|_| drop(fs::remove_file(temporary)))?;
            return Ok(file);
        }
    }
}

/// Makes a folder and its parents.
///
/// # Errors
/// [`Error::Write`] when that fails.
pub fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::write(folder))
}

/// Makes the renames in a folder durable.
///
/// # Errors
/// [`Error::Write`] when the folder cannot be synchronised.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::write(folder))
}

/// Whether a name is one of our temporary names.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(TEMPORARY)
}

fn hidden(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    path.with_file_name(format!(".{name}{ending}"))
}

/// Lower-case hex of a digest.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/data.bin");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"abc").unwrap();
        assert!(!path.exists());
        let written = file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        assert_eq!(written.bytes, 3);
        assert_eq!(written.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

        let dropped = folder.path().join("dropped");
        let mut file = AtomicFile::create(&dropped).unwrap();
        file.write_all(b"abc").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only `sub` is left");
    }

    #[test]
    fn a_disk_that_takes_no_more_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let temporary = folder.path().join(".data.tmp");
        fs::write(&temporary, "").unwrap();
        // A file opened for reading refuses the flush just as a full disk does.
        let refusing = Stream::new(File::open(&temporary).unwrap());
        let path = folder.path().join("data");
        let mut file = AtomicFile { path, temporary, stream: Some(refusing) };
        file.write_all(b"abc").unwrap();
        let error = file.stage().unwrap_err().to_string();
        assert!(error.contains("cannot write"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_renamed_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let mut staged = AtomicFile::create(&path).unwrap().stage().unwrap();
        fs::create_dir(&path).unwrap();
        assert!(staged.publish().unwrap_err().to_string().contains("cannot write"));
        drop(staged);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the folder in the way is left");
    }

    #[test]
    fn two_writers_of_one_file_are_kept_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let _first = AtomicFile::create(&path).unwrap();
        let error = AtomicFile::create(&path).unwrap_err().to_string();
        assert!(error.contains("another process is writing"), "{error}");
    }

    #[test]
    fn many_writers_of_one_small_file_leave_one_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        let text = |n: usize| n.to_string().repeat(5000);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || (0..20).for_each(|_| write_atomically(path, text(n).as_bytes()).unwrap()));
            }
        });
        let got = fs::read_to_string(&path).unwrap();
        assert!((0..8).any(|n| got == text(n)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_left_over_temporary_file_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        fs::write(folder.path().join(".data.tmp"), "left by a killed run").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
