//! Completion markers: the only sign that a shard is done, with its configuration and input fingerprint.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::stats::Stats;
use crate::error::{Error, Result};
use crate::files::write_atomically;

/// One file a shard has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutputRecord {
    /// Path relative to the run folder.
    pub(super) path: PathBuf,
    /// Length in bytes.
    pub(super) bytes: u64,
    /// SHA-256 in lower-case hex.
    pub(super) sha256: String,
    /// Whether it was removed because nothing needs it any more; see [`super::Run::discard`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) discarded: bool,
}

/// The content of `STEP-SHARD.done.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) config_hash: String,
    pub(super) input_fingerprint: String,
    pub(super) outputs: Vec<OutputRecord>,
    pub(super) stats: Stats,
}

impl Marker {
    /// Where the marker of a shard lies.
    pub(super) fn path(folder: &Path, step: &str, shard: &str) -> PathBuf {
        folder.join(format!("{step}-{shard}.done.json"))
    }

    /// The shard of a step whose marker is called `file`.
    pub(super) fn shard<'a>(step: &str, file: &'a str) -> Option<&'a str> {
        file.strip_suffix(".done.json")?.strip_prefix(step)?.strip_prefix('-')
    }

    /// Reads a marker; `None` when there is none. One that cannot be parsed counts as none: it
    /// was not written by this program, which writes markers atomically, and running a shard again is safe.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::read(path)(error)),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self).expect("a marker is plain data");
        text.push(b'\n');
        write_atomically(path, &text)
    }

    /// Whether the shard was done with this configuration and read this.
    pub(super) fn is_of(&self, config_hash: &str, input_fingerprint: &str) -> bool {
        self.config_hash == config_hash && self.input_fingerprint == input_fingerprint
    }

    /// Whether every output that was not discarded still lies there with its length.
    pub(super) fn outputs_present(&self, folder: &Path) -> bool {
        let there = |output: &OutputRecord| {
            fs::metadata(folder.join(&output.path)).is_ok_and(|file| file.len() == output.bytes)
        };
        self.outputs.iter().all(|output| output.discarded || there(output))
    }
}
