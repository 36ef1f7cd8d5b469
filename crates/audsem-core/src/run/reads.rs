//! What a shard reads: a hash over it, and the files to check again when it has been read.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fingerprint::{FileFingerprint, Fingerprint};
use crate::terminal::counted;

/// An input file as it was when the shards that read it were planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    path: PathBuf,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    inode: u64,
    /// The hash of [`FileFingerprint`], where it is known.
    sha256: Option<String>,
}

impl FileState {
    /// Looks at a file.
    ///
    /// # Errors
    /// It is not there, or may not be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::new(path, &fs::metadata(path)?, None))
    }

    pub(super) fn new(path: &Path, metadata: &Metadata, sha256: Option<String>) -> Self {
        Self {
            path: path.to_owned(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            inode: metadata.ino(),
            sha256,
        }
    }

    /// How the file has changed since; `None` if it has not.
    pub fn change(&self) -> Option<String> {
        let place = self.path.display();
        let now = match fs::metadata(&self.path) {
            Ok(metadata) => Self::new(&self.path, &metadata, None),
            Err(error) => return Some(format!("{place} existed when the run began, but now: {error}")),
        };
        if (now.bytes, now.modified) != (self.bytes, self.modified) {
            return Some(format!(
                "{place} was changed while it was read ({}, now {})",
                counted(self.bytes, "bytes"),
                now.bytes
            ));
        }
        // On some file systems the inode number of a file changes; then its content decides.
        let same_content =
            || FileFingerprint::of(&self.path).is_ok_and(|file| Some(&file.sha256) == self.sha256.as_ref());
        (now.inode != self.inode && !same_content()).then(|| format!("{place} was replaced while it was read"))
    }
}

/// What a shard reads: a hash over all that decides its outputs, and the files among it. It dereferences to the hash.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    hash: String,
    files: Vec<Arc<FileState>>,
}

impl Reads {
    pub(super) fn new(hash: String, files: Vec<Arc<FileState>>) -> Self {
        Self { hash, files }
    }

    /// How one of the files has changed; `None` if none has.
    pub(super) fn change(&self) -> Option<String> {
        self.files.iter().find_map(|file| file.change())
    }
}

impl Deref for Reads {
    type Target = str;

    fn deref(&self) -> &str {
        &self.hash
    }
}

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hash)
    }
}

impl PartialEq for Reads {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Reads {}

impl From<String> for Reads {
    fn from(hash: String) -> Self {
        Self { hash, files: Vec::new() }
    }
}

impl From<&str> for Reads {
    fn from(hash: &str) -> Self {
        hash.to_owned().into()
    }
}

/// A part of what a [`Fingerprint`] is made of.
pub trait FingerprintPiece {
    /// Adds it.
    fn add_to(self, fingerprint: Fingerprint) -> Fingerprint;
}

impl<T: AsRef<[u8]>> FingerprintPiece for T {
    fn add_to(self, fingerprint: Fingerprint) -> Fingerprint {
        fingerprint.with_bytes(self.as_ref())
    }
}

impl FingerprintPiece for &Reads {
    fn add_to(self, fingerprint: Fingerprint) -> Fingerprint {
        fingerprint.with_bytes(self.as_bytes()).with_files(&self.files)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn every_change_of_a_file_is_seen_and_a_new_number_alone_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        let check = |change: &dyn Fn(), seen: &str| {
            fs::write(&path, "content").unwrap();
            let file = Fingerprint::new().with_file(&FileFingerprint::of(&path).unwrap()).finish();
            let nested = Fingerprint::new().with("more").with(&file).finish();
            assert_eq!(nested.change(), None);
            change();
            let told = nested.change().unwrap_or_default();
            assert!(told.contains(seen) && told.is_empty() == seen.is_empty(), "{told}");
        };
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let renamed = |text: &str| {
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            write("other", text);
            let other = fs::File::options().write(true).open(folder.path().join("other")).unwrap();
            other.set_modified(modified).unwrap();
            fs::rename(folder.path().join("other"), &path).unwrap();
        };
        check(&|| write("input", "longer content"), "(7 bytes, now 14)");
        check(&|| fs::remove_file(&path).unwrap(), "but now:");
        check(&|| renamed("CONTENT"), "was replaced");
        check(&|| renamed("content"), "");
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        let touch = || fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        check(&touch, "was changed while it was read");
    }
}
