//! Whether a run is complete, for readers of its output.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::summary::FailedShard;
use crate::error::{Error, Result};

/// A run folder whose run has not ended, or has ended without some of its shards.
#[derive(Debug, thiserror::Error)]
pub struct Unfinished {
    /// The run folder.
    pub folder: PathBuf,
    /// The shards that failed when it was last run.
    pub failed: Vec<FailedShard>,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LISTED: usize = 5;
        write!(f, "unfinished run folder: `{}`", self.folder.display())?;
        for FailedShard { step, shard, error } in self.failed.iter().take(LISTED) {
            write!(f, "\n  shard {step}-{shard} failed: {error}")?;
        }
        if self.failed.len() > LISTED {
            write!(f, "\n  and {} more", self.failed.len() - LISTED)?;
        }
        f.write_str("\nhint: run the command that writes it again until it ends with exit code 0, then repeat this one")
    }
}

/// The fields of `stats.json` that matter to readers.
#[derive(Default, serde::Deserialize)]
struct Ending {
    /// Whether no shard is left and none failed.
    complete: bool,
    #[serde(default)]
    failed_shards: Vec<FailedShard>,
}

/// What the run of a folder lacks; `None` if it is complete, or if this is not a run folder.
///
/// # Errors
/// `stats.json` is there and cannot be read.
pub(crate) fn unfinished(folder: &Path) -> io::Result<Option<Unfinished>> {
    if !folder.join("run.json").exists() {
        return Ok(None);
    }
    // It is written at the end of each process, so it may exist and say no; one that cannot be parsed counts as no.
    let ending: Ending = match fs::read(folder.join("stats.json")) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ending::default(),
        Err(error) => return Err(error),
    };
    let unfinished = Unfinished { folder: folder.to_owned(), failed: ending.failed_shards };
    Ok((!ending.complete).then_some(unfinished))
}

/// Refuses a folder whose run, or that of the folder it lies in (as `train` does in that of `shards`), has not ended.
///
/// # Errors
/// [`Error::Unfinished`]; [`Error::Read`].
pub fn require_finished(folder: &Path) -> Result<()> {
    let absolute = fs::canonicalize(folder).map_err(Error::read(folder))?;
    for place in [Some(folder), absolute.parent()].into_iter().flatten() {
        if let Some(unfinished) = unfinished(place).map_err(Error::read(&place.join("stats.json")))? {
            return Err(unfinished.into());
        }
    }
    Ok(())
}

/// Warns if a folder that grows is read before its run has ended.
pub fn warn_if_unfinished(folder: &Path) {
    if let Err(Error::Unfinished(unfinished)) = require_finished(folder) {
        let folder = unfinished.folder.display();
        tracing::warn!("the run that fills {folder} has not ended: only what it has written so far is read");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn a_folder_is_finished_when_its_run_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let (root, below) = (folder.path(), folder.path().join("train"));
        fs::create_dir(&below).unwrap();
        let check = |refused: &str| {
            for place in [root, &below] {
                let told = require_finished(place).err().map(|error| error.to_string()).unwrap_or_default();
                assert!(told.contains(refused) && told.is_empty() == refused.is_empty(), "{told}");
            }
        };
        let stats = |text: &str| fs::write(root.join("stats.json"), text).unwrap();
        check("");
        fs::write(root.join("run.json"), "{}").unwrap();
        check("unfinished run folder");
        stats(r#"{"complete": false, "failed_shards": [{"step": "part", "shard": "7", "error": "cut"}]}"#);
        check("shard part-7 failed: cut\nhint: ");
        stats("{");
        check("unfinished run folder");
        stats(r#"{"complete": true}"#);
        check("");
    }
}
