//! Fingerprints of inputs: enough to notice that a file has changed, cheap enough for terabytes.
//!
//! Of a file up to 64 MiB every byte is hashed. Of a larger one the length and 65 blocks of 64 KiB are, the first and
//! the last among them: two files of equal length that differ only between these blocks have the same fingerprint.
//! Changes while a file is read are noticed by its size, modification time and inode number; see [`super::Reads`].

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::marker::Marker;
use super::reads::{FileState, FingerprintPiece, Reads};
use crate::error::{Error, Result};
use crate::files::hex;
use crate::input::open_file;

/// Files up to this size are hashed whole.
const WHOLE_BYTES: u64 = 64 << 20;

/// Of larger files this many blocks are hashed, spread evenly from the first byte to the last.
const SAMPLES: u64 = 64;

/// Size of one such block.
const SAMPLE_BYTES: u64 = 64 << 10;

/// The fingerprint of one input file. The modification time is excluded on purpose: a copy on
/// another disk is the same input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFingerprint {
    /// The path as the user gave it.
    pub path: PathBuf,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of the content up to 64 MiB; beyond that, of the last 64 KiB and 64 spread blocks of 64 KiB.
    pub sha256: String,
    /// The file as it was when it was read for this.
    #[serde(skip)]
    state: Option<Arc<FileState>>,
}

impl FileFingerprint {
    /// Computes the fingerprint of a file.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Input`] when it cannot be read or is a folder.
    pub fn of(path: &Path) -> Result<Self> {
        let mut file = open_file(path)?;
        let before = file.metadata().map_err(Error::read(path))?;
        let bytes = before.len();
        let mut hasher = Sha256::new();
        let mut block = vec![0; SAMPLE_BYTES as usize];
        let mut hash = || -> std::io::Result<()> {
            if bytes <= WHOLE_BYTES {
                loop {
                    match file.read(&mut block)? {
                        0 => return Ok(()),
                        n => hasher.update(&block[..n]),
                    }
                }
            }
            for sample in 0..SAMPLES {
                file.seek(SeekFrom::Start((bytes - SAMPLE_BYTES) / (SAMPLES - 1) * sample))?;
                file.read_exact(&mut block)?;
                hasher.update(&block);
            }
            file.seek(SeekFrom::End(-(SAMPLE_BYTES as i64)))?;
            file.read_exact(&mut block)?;
            hasher.update(&block);
            Ok(())
        };
        hash().map_err(Error::read(path))?;
        let sha256 = hex(&hasher.finalize());
        let after = file.metadata().map_err(Error::read(path))?;
        let [before, after] = [before, after].map(|metadata| FileState::new(path, &metadata, Some(sha256.clone())));
        if before != after {
            return Err(Error::input(path, "this file was changed while it was read"));
        }
        Ok(Self { path: path.to_owned(), bytes, sha256, state: Some(Arc::new(after)) })
    }

    /// Fingerprint of a file that may be the output of an earlier step: where it lies beside the marker
    /// of its shard, unchanged since, the marker's hash is taken over instead of reading the file.
    ///
    /// # Errors
    /// As [`FileFingerprint::of`].
    pub fn of_output(path: &Path) -> Result<Self> {
        match Self::from_marker(path) {
            Some(known) => Ok(known),
            None => Self::of(path),
        }
    }

    fn from_marker(path: &Path) -> Option<Self> {
        let marker_path = path.with_extension("done.json");
        let (file, marker_file) = (fs::metadata(path).ok()?, fs::metadata(&marker_path).ok()?);
        // The hash of a larger file is another one than its marker's. And whoever has written to the
        // file since has made it younger than its marker, as does a copy, which is read as any other file.
        if file.len() > WHOLE_BYTES || file.modified().ok()? > marker_file.modified().ok()? {
            return None;
        }
        let marker = Marker::read(&marker_path).ok()??;
        let output = marker.outputs.into_iter().find(|output| Some(output.path.as_os_str()) == path.file_name())?;
        let state = FileState::new(path, &file, Some(output.sha256.clone()));
        let known =
            Self { path: path.to_owned(), bytes: output.bytes, sha256: output.sha256, state: Some(Arc::new(state)) };
        (known.bytes == file.len()).then_some(known)
    }
}

/// A hash over everything a shard reads, built up piece by piece, with the files that are to be watched.
#[derive(Debug, Clone, Default)]
pub struct Fingerprint {
    hasher: Sha256,
    files: Vec<Arc<FileState>>,
}

impl Fingerprint {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text, a path or a number in text form, or the fingerprint of something else with its files; pieces are
    /// kept apart.
    #[must_use]
    pub fn with(self, piece: impl FingerprintPiece) -> Self {
        piece.add_to(self)
    }

    /// Watches a file while the shard is worked on, which adds nothing to the hash.
    #[must_use]
    pub fn watching(mut self, file: FileState) -> Self {
        self.files.push(Arc::new(file));
        self
    }

    pub(super) fn with_files(mut self, files: &[Arc<FileState>]) -> Self {
        self.files.extend_from_slice(files);
        self
    }

    pub(super) fn with_bytes(mut self, piece: &[u8]) -> Self {
        self.hasher.update((piece.len() as u64).to_le_bytes());
        self.hasher.update(piece);
        self
    }

    /// Adds a file's content (not its path: a moved input is the same input).
    #[must_use]
    pub fn with_file(self, file: &FileFingerprint) -> Self {
        let all = self.with(file.bytes.to_le_bytes()).with(&file.sha256);
        all.with_files(file.state.as_slice())
    }

    /// The hash and the files.
    pub fn finish(self) -> Reads {
        Reads::new(hex(&self.hasher.finalize()), self.files)
    }

    /// The hash alone, in lower-case hex: for what has no file that could change.
    pub fn hash(self) -> String {
        hex(&self.hasher.finalize())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn pieces_are_kept_apart() {
        let a = Fingerprint::new().with("ab").with("c").finish();
        let b = Fingerprint::new().with("a").with("bc").finish();
        assert_ne!(a, b);
    }

    #[test]
    fn an_output_is_known_by_its_marker_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part-00000.parquet");
        std::fs::write(&path, "data").unwrap();
        let marker = |sha256: &str| {
            let outputs = serde_json::json!([{ "path": "part-00000.parquet", "bytes": 4, "sha256": sha256 }]);
            let stats = super::super::Stats::default();
            let json =
                serde_json::json!({ "config_hash": "", "input_fingerprint": "", "outputs": outputs, "stats": stats });
            std::fs::write(folder.path().join("part-00000.done.json"), json.to_string()).unwrap();
        };
        marker("known");
        assert_eq!(FileFingerprint::of_output(&path).unwrap().sha256, "known");
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert_eq!(FileFingerprint::of_output(&path).unwrap(), FileFingerprint::of(&path).unwrap());
        marker("known");
        std::fs::write(&path, "more data").unwrap();
        assert_eq!(FileFingerprint::of_output(&path).unwrap(), FileFingerprint::of(&path).unwrap());
    }

    #[test]
    fn the_last_byte_of_a_large_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let mut bytes = vec![7u8; (WHOLE_BYTES + 12_345) as usize];
        std::fs::write(&path, &bytes).unwrap();
        let before = FileFingerprint::of(&path).unwrap();
        *bytes.last_mut().unwrap() = 8;
        std::fs::write(&path, &bytes).unwrap();
        assert_ne!(FileFingerprint::of(&path).unwrap(), before);
    }
}
