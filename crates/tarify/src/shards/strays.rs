//! Shards without a marker.
//!
//! A run that is killed between renaming a shard and writing its marker leaves a tar, and the plan of the next run may
//! have fewer. Trainers read every `*.tar`, so it must be removed. Tars with other names than a shard has are not ours.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use audsem_core::error::Error;

use super::plan::Split;

/// Removes the tars of both splits, finished or not, that are not among `planned` (`train/0000.tar`).
///
/// # Errors
/// When a folder cannot be listed or a file not removed.
pub(super) fn remove(folder: &Path, planned: &BTreeSet<String>) -> Result<(), Error> {
    for split in [Split::Train, Split::Valid] {
        for path in list(&folder.join(split.name()))? {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let shard = file.strip_prefix('.').and_then(|file| file.strip_suffix(".tmp")).unwrap_or(&file);
            let number = shard.strip_suffix(".tar").unwrap_or_default();
            let is_ours = number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit());
            if is_ours && !planned.contains(&format!("{}/{shard}", split.name())) {
                fs::remove_file(&path).map_err(Error::write(&path))?;
            }
        }
    }
    Ok(())
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::read(folder)(error)),
    };
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(Error::read(folder))).collect()
}
