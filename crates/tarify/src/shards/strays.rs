//! Shards without a marker.
//!
//! A run that is killed between renaming a shard and writing its marker leaves a tar that `--fresh`
//! does not find in the markers of the earlier run. Trainers read every `*.tar`, so it must be removed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use audsem_core::error::Error;
use serde_json::Value;

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
            let is_tar = Path::new(shard).extension().is_some_and(|extension| extension == "tar");
            if is_tar && !planned.contains(&format!("{}/{shard}", split.name())) {
                fs::remove_file(&path).map_err(Error::write(&path))?;
            }
        }
    }
    Ok(())
}

/// For `--fresh`: removes every tar of an earlier run of this command before its notes go.
///
/// # Errors
/// As [`remove`]. A folder that holds something else is left for the run folder's own check.
pub(super) fn remove_earlier(folder: &Path) -> Result<(), Error> {
    let Ok(text) = fs::read(folder.join("run.json")) else { return Ok(()) };
    let earlier: Value = serde_json::from_slice(&text).unwrap_or_default();
    if earlier["tool"] != crate::TOOL || earlier["command"] != super::COMMAND {
        return Ok(());
    }
    remove(folder, &BTreeSet::new())?;
    for split in [Split::Train, Split::Valid] {
        // Goes only if it is empty, which is what is wanted.
        let _ = fs::remove_dir(folder.join(split.name()));
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
