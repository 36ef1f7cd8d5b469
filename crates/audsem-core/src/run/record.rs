//! What a run folder says of itself, for whoever looks at it rather than reads its data: also where its run has not ended.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::completed::Ending;
use super::folder::earlier_run;
use super::marker::Marker;
use super::stats::Stats;
use super::summary::FailedShard;
use crate::error::{Error, Result};
use crate::input::is_folder;

/// What is known of a reason, as `stats.json` has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownReason {
    /// What it means.
    pub meaning: String,
    /// The flag that changes the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// The limit of the rule in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Value>,
}

/// The reasons for which a run has left records out, by step and name.
pub type KnownReasons = BTreeMap<String, BTreeMap<String, KnownReason>>;

/// A run folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// Where it is.
    pub folder: PathBuf,
    /// The binary that writes it.
    pub tool: String,
    /// Its subcommand.
    pub command: String,
    /// The configuration.
    pub config: Value,
    /// Whether all of its shards are done.
    pub complete: bool,
    /// The shards that failed when it was last run.
    pub failed_shards: Vec<FailedShard>,
    /// The counts of each step; none where the run has not ended.
    pub steps: Vec<(String, Stats)>,
    /// What the reasons mean; none where the run has not ended, or was written before they were recorded.
    pub reasons: KnownReasons,
}

impl RunFolder {
    /// Reads what a folder says of its run; `None` if it is no run folder.
    ///
    /// # Errors
    /// [`Error::NotARunFolder`] when its record is damaged, [`Error::Read`].
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let Some(run) = earlier_run(folder)? else { return Ok(None) };
        let (Some(tool), Some(command)) = (run["tool"].as_str(), run["command"].as_str()) else { return Ok(None) };
        let ending = Ending::of(folder)?;
        Ok(Some(Self {
            folder: folder.to_owned(),
            tool: tool.to_owned(),
            command: command.to_owned(),
            config: run["config"].clone(),
            complete: ending.complete,
            failed_shards: ending.failed_shards,
            steps: ending.steps,
            reasons: ending.reasons,
        }))
    }

    /// The run folders at and below a folder, sorted by path. None is looked for below another one.
    ///
    /// # Errors
    /// As [`RunFolder::read`].
    pub fn find(folder: &Path) -> Result<Vec<Self>> {
        if let Some(record) = Self::read(folder)? {
            return Ok(vec![record]);
        }
        let mut below = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
            let path = entry.map_err(Error::read(folder))?.path();
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            // A link to a folder is looked at too; one to a folder above would be followed for ever.
            let is_above = || {
                fs::canonicalize(&path)
                    .is_ok_and(|target| folder.canonicalize().is_ok_and(|own| own.starts_with(target)))
            };
            if is_folder(&path)? && !is_hidden && !is_above() {
                below.push(path);
            }
        }
        below.sort();
        let mut found = Vec::new();
        for path in below {
            found.append(&mut Self::find(&path)?);
        }
        Ok(found)
    }

    /// The files that the shards of the run have written and that are there, sorted by name, rejects included.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn outputs(&self) -> Result<Vec<PathBuf>> {
        let mut outputs = Vec::new();
        for name in Marker::names_in(&self.folder)? {
            if let Some(marker) = Marker::read(&self.folder.join(name))? {
                let there = marker.outputs.iter().filter(|output| !output.discarded);
                outputs.extend(there.map(|output| output.path.clone()));
            }
        }
        outputs.sort_by_cached_key(|path| crate::walk::numeric_order(&path.to_string_lossy()));
        Ok(outputs)
    }
}
