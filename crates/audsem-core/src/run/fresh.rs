//! Removing an earlier run, for `--fresh`.
//!
//! First all markers are read and checked: only files that they name inside the folder are removed, and nothing is if
//! one of them is damaged. `stats.json` is removed first, so that an interrupted removal never leaves a folder that
//! claims to be complete. The outputs follow, then the markers, and `run.json` is replaced at the end, so that an
//! interrupted removal can be resumed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{RECORDS, RUN, STATS, is_run_record, refuse_foreign_files, remove};
use super::marker::{ENDING, Found, Marker};
use super::spread;
use crate::error::{Error, Result};
use crate::files::{is_temporary, sync_folder};
use crate::input::is_folder;

/// What an earlier run has left.
#[derive(Debug, Default)]
struct Remains {
    /// Outputs, relative to the folder.
    outputs: BTreeSet<PathBuf>,
    /// Temporary files, of processes that were killed.
    temporary: Vec<PathBuf>,
    markers: Vec<PathBuf>,
}

/// Removes what an earlier run has written, as its markers name it, and nothing else. `run.json` stays, to be replaced.
/// Returns whether there was a run.
///
/// # Errors
/// [`Error::NotARunFolder`] for a folder that holds no run of ours, [`Error::Input`] for a marker that is damaged or
/// leads out of the folder: nothing was removed then. [`Error::Read`], [`Error::Write`].
pub(super) fn remove_earlier_run(folder: &Path) -> Result<bool> {
    if !is_run_record(folder)? {
        return refuse_foreign_files(folder).map(|()| false);
    }
    let remains = Remains::find(folder)?;
    remains.outputs.iter().try_for_each(|output| check_removable(folder, output))?;
    remove(&folder.join(STATS))?;
    sync_folder(folder)?;
    remains.outputs.iter().try_for_each(|output| remove_output(folder, output))?;
    settle_folders(folder, &remains.outputs)?;
    remains.temporary.iter().chain(&remains.markers).try_for_each(|path| remove(path))?;
    spread::remove_empty_places(folder)?;
    RECORDS.iter().filter(|record| **record != RUN).try_for_each(|record| remove(&folder.join(record)))?;
    sync_folder(folder)?;
    Ok(true)
}

impl Remains {
    fn find(folder: &Path) -> Result<Self> {
        let mut remains = Self::default();
        for path in spread::entries(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(ENDING) {
                remains.add(Marker::find(&path)?, &path)?;
                remains.markers.push(path);
            } else if is_temporary(&name) {
                // A marker has this name until all its outputs have theirs.
                if name.contains(ENDING)
                    && let Found::Marker(marker) = Marker::find(&path)?
                {
                    remains.add(Found::Marker(marker), &path)?;
                }
                remains.temporary.push(path);
            }
        }
        Ok(remains)
    }

    fn add(&mut self, found: Found, path: &Path) -> Result<()> {
        match found {
            Found::Marker(marker) => self.outputs.extend(marker.outputs.into_iter().map(|output| output.path)),
            Found::Nothing => {}
            Found::Damaged(why) => {
                let problem = format!(
                    "nothing was removed, because this marker is damaged: {why}\nhint: look into the folder, and remove what you do not need yourself"
                );
                return Err(Error::input(path, problem));
            }
        }
        Ok(())
    }
}

/// Removes a file that a marker names.
pub(super) fn remove_output(folder: &Path, output: &Path) -> Result<()> {
    check_removable(folder, output)?;
    remove(&folder.join(output))
}

/// Removes the folders that are empty without these outputs, and makes the removal durable.
fn settle_folders(folder: &Path, outputs: &BTreeSet<PathBuf>) -> Result<()> {
    let above = |output| Path::ancestors(output).skip(1).filter(|parent| !parent.as_os_str().is_empty());
    let parents: BTreeSet<&Path> = outputs.iter().flat_map(|output| above(output)).collect();
    // Those further down come first.
    for parent in parents.into_iter().rev().map(|parent| folder.join(parent)) {
        if is_folder(&parent)? && fs::remove_dir(&parent).is_err() {
            sync_folder(&parent)?;
        }
    }
    sync_folder(folder)
}

/// Refuses an output behind a symbolic link, which lies in another folder, and what is no file.
fn check_removable(folder: &Path, output: &Path) -> Result<()> {
    let mut path = folder.to_owned();
    let mut components = output.components().peekable();
    while let Some(component) = components.next() {
        path.push(component);
        let is_last = components.peek().is_none();
        let kind = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(Error::read(&path)(error)),
        };
        if kind.is_symlink() && !is_last {
            return Err(Error::input(
                &path,
                "nothing was removed: an output lies behind this symbolic link\nhint: remove what lies there yourself",
            ));
        }
        if kind.is_dir() && is_last {
            return Err(Error::input(&path, "nothing was removed: a marker names this folder as a file"));
        }
    }
    Ok(())
}
