//! Why a run folder cannot be read.

use std::fmt;
use std::path::PathBuf;

use super::summary::FailedShard;

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

/// A run folder that lacks outputs of its run.
#[derive(Debug, thiserror::Error)]
pub struct Lacking {
    /// The run folder.
    pub folder: PathBuf,
    /// What is missing or not as it should be.
    pub lacks: Vec<String>,
    /// Whether there is more than that.
    pub more: bool,
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the run folder lacks outputs of its run: `{}`", self.folder.display())?;
        self.lacks.iter().try_for_each(|lack| write!(f, "\n  {lack}"))?;
        if self.more {
            write!(f, "\n  and more")?;
        }
        f.write_str("\nhint: run the same command again: it writes what is missing, and nothing twice")
    }
}
