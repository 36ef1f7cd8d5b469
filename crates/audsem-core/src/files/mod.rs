//! Atomic file writing: the one place that creates files under an output folder.
//!
//! A file is written under a temporary name beside its final one, flushed to disk and renamed.
//! A reader therefore sees a whole file or none, whatever kills the writer in between.

mod lock;
mod stream;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::error::{Error, Result};
pub(crate) use lock::{is_at, taken, wait_for_lock};
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
        let busy = || Error::write(path)(io::Error::other("another process is writing this file"));
        Self::claim(path)?.ok_or_else(busy)
    }

    /// Starts a file as [`AtomicFile::create`] does; `None` when another process is writing it.
    ///
    /// # Errors
    /// [`Error::Write`] when the folder or file cannot be made.
    pub fn claim(path: &Path) -> Result<Option<Self>> {
        Self::start(path, Busy::GiveUp)
    }

    /// Starts a file as [`AtomicFile::create`] does, after the other processes that are writing it.
    ///
    /// # Errors
    /// [`Error::Write`] when the folder or file cannot be made; [`Error::Stopped`] when a stop is requested while it waits.
    pub fn wait(path: &Path) -> Result<Self> {
        Ok(Self::start(path, Busy::Wait)?.expect("it has waited"))
    }

    fn start(path: &Path, busy: Busy) -> Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        let temporary = temporary_of(path);
        let file = open_locked(path, &temporary, busy)?;
        Ok(file.map(|file| Self { path: path.to_owned(), temporary, stream: Some(Stream::new(file)) }))
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
            file,
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
        // Removed before the lock is released with the stream: afterwards the name may be that of another process.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// A file that is complete on disk under its temporary name.
#[derive(Debug)]
pub struct StagedFile {
    path: PathBuf,
    /// `None` once published.
    temporary: Option<PathBuf>,
    /// Open for its lock, and to tell the file from another one under its name.
    file: Arc<File>,
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

    /// Makes sure that the published file still lies where it was put, whole.
    ///
    /// # Errors
    /// [`Error::Write`] when it was removed, replaced or changed.
    pub fn check_in_place(&self) -> Result<()> {
        let whole = || Ok(is_at(&self.file, &self.path)? && self.file.metadata()?.len() == self.written.bytes);
        let gone = "it was removed, replaced or changed as soon as it was written";
        match whole().map_err(Error::write(&self.path))? {
            true => Ok(()),
            false => Err(Error::write(&self.path)(io::Error::other(gone))),
        }
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
/// [`Error::Write`] when the folder or file cannot be written; [`Error::Stopped`] when a stop is requested while it waits.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::wait(path)?;
    file.write_all(bytes).map_err(Error::write(path))?;
    file.commit().map(drop)
}

/// Writes files of one folder that make sense together only. The last of them makes the others count: it is removed
/// before any other changes, and put in place after all of them, so that a reader never finds files of two writings.
/// Processes that write the same files wait for each other.
///
/// # Errors
/// As [`write_atomically`]. Whatever the disk refuses before the last step, the folder is not left with old and new files
/// that count.
pub fn write_together(folder: &Path, files: &[(&str, &[u8])], last: (&str, &[u8])) -> Result<()> {
    let stage = |&(name, bytes): &(&str, &[u8])| -> Result<StagedFile> {
        let path = folder.join(name);
        let mut file = AtomicFile::start(&path, Busy::Wait)?.expect("it has waited");
        file.write_all(bytes).map_err(Error::write(&path))?;
        file.stage()
    };
    // The first to be locked and the last to be published: others wait for it.
    let mut last = stage(&last)?;
    let mut files: Vec<StagedFile> = files.iter().map(stage).collect::<Result<_>>()?;
    match fs::remove_file(last.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::write(last.path())(error)),
        _ => sync_folder(folder)?,
    }
    files.iter_mut().try_for_each(StagedFile::publish)?;
    sync_folder(folder)?;
    last.publish()?;
    sync_folder(folder)
}

/// What to do while another process is writing the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    GiveUp,
    Wait,
}

/// Opens the temporary file of `path` for itself alone and empties it; `None` if it gives up.
fn open_locked(path: &Path, temporary: &Path, busy: Busy) -> Result<Option<File>> {
    // A link or a pipe that somebody has put there under our name is refused, not written through.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let open = || File::options().write(true).create(true).truncate(false).custom_flags(flags).open(temporary);
    loop {
        let file = open().map_err(Error::write(path))?;
        if !taken(file.try_lock(), path) {
            if busy == Busy::GiveUp {
                return Ok(None);
            }
            wait_for_lock(path)?;
            continue;
        }
        // Between opening and locking, the process before us may have published this very file.
        if is_at(&file, temporary).map_err(Error::write(path))? {
            // Nothing stands for the file yet that would remove it.
            file.set_len(0).inspect_err(|_| drop(fs::remove_file(temporary))).map_err(Error::write(path))?;
            return Ok(Some(file));
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

/// Makes the renames in a folder durable; an empty path is the current folder, as the parent of a bare name is.
///
/// # Errors
/// [`Error::Write`] when the folder cannot be synchronised.
pub fn sync_folder(folder: &Path) -> Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::write(folder))
}

/// Writes a folder of files at once: under a temporary name, flushed to disk, renamed. A reader sees all of it or
/// nothing, whatever kills the writer in between. What an earlier, killed call has left is replaced.
///
/// # Errors
/// [`Error::Write`] when a file cannot be written, or the folder exists already.
#[allow(clippy::disallowed_methods, reason = "this is one of the two places that rename")]
pub fn write_folder_atomically(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<()> {
    let temporary = temporary_of(folder);
    match fs::remove_dir_all(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::write(&temporary)(error)),
        _ => create_folder(&temporary)?,
    }
    for (name, bytes) in files {
        write_atomically(&temporary.join(name), bytes)?;
    }
    sync_folder(&temporary)?;
    fs::rename(&temporary, folder).map_err(Error::write(folder))?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Whether a name is one of our temporary names.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(TEMPORARY)
}

/// The name under which the file that will be `path` is written.
pub(crate) fn temporary_of(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    path.with_file_name(format!(".{name}{TEMPORARY}"))
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
    fn files_that_belong_together_never_count_as_a_mixture() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("model");
        let read = |name: &str| fs::read(place.join(name)).unwrap_or_default();
        let write = |what: &[u8]| write_together(&place, &[("a", what), ("b", what)], ("last", what));
        write(b"old").unwrap();
        // `b` cannot be replaced, so that the writing fails in the middle.
        fs::remove_file(place.join("b")).unwrap();
        fs::create_dir(place.join("b")).unwrap();
        assert!(write(b"new").unwrap_err().to_string().contains("cannot write"));
        assert_eq!((read("a"), read("last")), (b"new".to_vec(), Vec::new()), "nothing says that these files count");
        assert_eq!(fs::read_dir(&place).unwrap().count(), 2, "no temporary file is left");
        fs::remove_dir(place.join("b")).unwrap();
        std::thread::scope(|scope| {
            for what in [b"one".as_slice(), b"two"] {
                scope.spawn(move || (0..20).for_each(|_| write(what).unwrap()));
            }
        });
        assert!(read("a") == read("b") && read("b") == read("last") && read("last").len() == 3);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 3);
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
