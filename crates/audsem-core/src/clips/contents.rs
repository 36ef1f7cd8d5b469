//! Reading the media and captions of a source's records.

use std::io::ErrorKind;
use std::path::Path;

use super::ClipFault;
use super::dedupe::{Candidate, Deduplicator};
use super::samples::{ClipEntry, for_each_head, scan};
use super::source::{ClipContent, ClipRow, ClipSource, SourceKind};
use crate::blame::Blame;
use crate::error::Result;
use crate::run::ShardError;
use crate::tar::{MAX_MEMBER_BYTES, TarError};

impl ClipSource {
    /// Passes the media of the records that `dedupe` accepts to `visit`, in the order of the source; of each file at most
    /// the first `most` bytes.
    ///
    /// # Errors
    /// The tar is damaged, lacks its end marker or has data after it ([`ShardError::Input`]), or `visit` fails.
    pub fn for_each_media(
        &self,
        dedupe: &mut Deduplicator<'_>,
        most: u64,
        visit: impl FnMut(MediaBytes) -> Result<(), ShardError>,
    ) -> Result<(), ShardError> {
        match &self.kind {
            SourceKind::Tar(path) => self.media_of_tar(path, dedupe, most, visit),
            SourceKind::Rows(rows) => media_of_rows(rows, dedupe, most, visit),
        }
    }

    /// The captions of the records that `dedupe` accepts, with their keys, in the order of the source.
    ///
    /// # Errors
    /// The tar is damaged, lacks its end marker or has data after it.
    pub fn captions(&self, dedupe: &mut Deduplicator<'_>) -> Result<Vec<(String, String)>, ShardError> {
        let mut captions = Vec::new();
        match &self.kind {
            SourceKind::Tar(path) => scan(path, ClipContent::Caption, |entry| {
                if dedupe.accept(Candidate::of_entry(&entry, ClipContent::Caption)) {
                    captions.push((entry.key, entry.text.unwrap_or_default()));
                }
            })
            .map_err(ShardError::input)?,
            SourceKind::Rows(rows) => {
                let rows = rows.iter().filter(|row| dedupe.accept(Candidate::of_row(row, ClipContent::Caption)));
                captions.extend(rows.map(|row| (row.key.clone(), row.text.clone().unwrap_or_default())));
            }
        }
        Ok(captions)
    }

    fn media_of_tar(
        &self,
        path: &Path,
        dedupe: &mut Deduplicator<'_>,
        most: u64,
        mut visit: impl FnMut(MediaBytes) -> Result<(), ShardError>,
    ) -> Result<(), ShardError> {
        let content = dedupe.content();
        let wanted = |entry: &ClipEntry| dedupe.accept(Candidate::of_entry(entry, content));
        let visited = for_each_head(path, content, most, wanted, |entry, bytes| {
            let (extension, n_bytes) = match &entry.media {
                Some(media) => (media.suffix.clone(), media.n_bytes),
                None => (String::new(), bytes.len() as u64),
            };
            let (key, place, text) = (entry.key.clone(), self.name.clone(), entry.text.clone());
            visit(MediaBytes { key, place, text, extension, bytes: bytes.to_vec(), n_bytes }).map_err(Stop::Shard)
        });
        visited.map_err(|stop| match stop {
            Stop::Tar(error) => ShardError::input(error),
            Stop::Shard(error) => error,
        })
    }
}

fn media_of_rows(
    rows: &[ClipRow],
    dedupe: &mut Deduplicator<'_>,
    most: u64,
    mut visit: impl FnMut(MediaBytes) -> Result<(), ShardError>,
) -> Result<(), ShardError> {
    for row in rows {
        if !dedupe.accept(Candidate::of_row(row, dedupe.content())) {
            continue;
        }
        let Some(file) = &row.media else { continue };
        match file.read(most.min(MAX_MEMBER_BYTES)) {
            // A missing file is a fault of the row that names it; a failing disk is not.
            Err(error) if error.kind() != ErrorKind::NotFound && Blame::of_io(&error) == Blame::Surroundings => {
                return Err(ShardError::Input(format!("{}: {error}", file.name)));
            }
            Err(error) => dedupe.fail(&row.key, ClipFault::Unreadable, format!("{}: {error}", file.name)),
            Ok((_, n_bytes)) if n_bytes > MAX_MEMBER_BYTES => {
                dedupe.fail(&row.key, ClipFault::TooLarge, format!("{}: {n_bytes} bytes", file.name));
            }
            Ok((bytes, n_bytes)) => {
                let extension = file.path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
                let (key, place, text) = (row.key.clone(), file.name.clone(), row.text.clone());
                visit(MediaBytes { key, place, text, extension, bytes, n_bytes })?;
            }
        }
    }
    Ok(())
}

/// A sound, video or picture that is to be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaBytes {
    /// The key of its clip.
    pub key: String,
    /// The tar it lies in, or its own path below the input.
    pub place: String,
    /// The caption beside it, where there is one.
    pub text: Option<String>,
    /// The extension of its name in lower case: the format.
    pub extension: String,
    /// Its first bytes.
    pub bytes: Vec<u8>,
    /// Bytes it has in all.
    pub n_bytes: u64,
}

/// Why reading a tar stopped before its end.
enum Stop {
    Tar(TarError),
    Shard(ShardError),
}

impl From<TarError> for Stop {
    fn from(error: TarError) -> Self {
        Self::Tar(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of the system whose beginning nobody may read: the read itself fails, as on a broken disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_the_disk_fails_to_give_is_no_fault_of_its_row() {
        let read = |path: &str| {
            let row = ClipRow {
                key: "k".to_owned(),
                place: "list, line 2".to_owned(),
                media: Some(super::super::MediaFile { name: "a.wav".to_owned(), path: path.into() }),
                text: None,
                problem: None,
            };
            let kind = SourceKind::Rows(vec![row]);
            let source = ClipSource { name: "list".to_owned(), fingerprint: "".into(), kind, limit: u64::MAX };
            let mut dedupe = Deduplicator::new(&source, 0, ClipContent::Sound, None);
            source.for_each_media(&mut dedupe, u64::MAX, |_| Ok(()))
        };
        assert!(read("/no such file").is_ok(), "a reject");
        assert!(matches!(read("/proc/self/mem"), Err(ShardError::Input(_))));
    }
}
