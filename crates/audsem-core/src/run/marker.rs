//! Completion markers: the only sign that a shard is done, with its configuration and input fingerprint.
//!
//! Markers decide what is skipped, read and removed, and a run folder may come from an untrusted source. So a marker
//! counts only if the outputs that it names are inside its folder and none of the run's own records.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::RECORDS;
use super::spread;
use super::stats::Stats;
use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::input::open_file;
use crate::terminal::counted;

/// Ending of the names of markers.
pub(super) const ENDING: &str = ".done.json";

/// Maximum bytes of a record of a run: some hundred times what the largest shards need.
const MAX_BYTES: u64 = 1 << 30;

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

impl OutputRecord {
    /// Whether the path is inside the run folder and not that of a record.
    fn is_inside(&self) -> bool {
        let plain = |component: Component<'_>| matches!(component, Component::Normal(_));
        let record =
            self.path.to_str().is_none_or(|path| RECORDS.contains(&path) || path.ends_with(ENDING) || path.is_empty());
        self.path.components().all(plain) && !record
    }

    /// What is wrong with the file in the run folder; `None` if it lies there with its length.
    pub(super) fn lack(&self, folder: &Path) -> Option<String> {
        let name = self.path.display();
        match fs::metadata(folder.join(&self.path)) {
            Ok(file) if file.is_file() && file.len() == self.bytes => None,
            Ok(file) if file.is_file() => {
                Some(format!("{name} has {} of {}", file.len(), counted(self.bytes, "bytes")))
            }
            Ok(_) => Some(format!("{name} is no file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!("{name} is missing")),
            Err(error) => Some(format!("{name} cannot be read: {error}")),
        }
    }
}

/// What was found at the path of a marker.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    /// A file that is no marker, and why.
    Damaged(String),
    Marker(Marker),
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
        folder.join(spread::file_name(&format!("{step}-"), shard, ENDING))
    }

    /// The shard of a step whose marker has this path below the run folder.
    pub(super) fn shard(step: &str, file: &str) -> Option<String> {
        let (place, name) = spread::split(file);
        let own = name.strip_suffix(ENDING)?.strip_prefix(step)?.strip_prefix('-')?;
        Some(spread::join(place, own))
    }

    /// The paths of the markers below a run folder, sorted.
    pub(super) fn names_in(folder: &Path) -> Result<Vec<String>> {
        spread::files(folder, |name| name.ends_with(ENDING))
    }

    /// Looks for a marker.
    pub(super) fn find(path: &Path) -> Result<Found> {
        let Some(bytes) = read_record(path)? else { return Ok(Found::Nothing) };
        let marker: Self = match serde_json::from_slice(&bytes) {
            Ok(marker) => marker,
            Err(error) => return Ok(Found::Damaged(format!("not a marker: {error}"))),
        };
        Ok(match marker.outputs.iter().find(|output| !output.is_inside()) {
            Some(outside) => {
                Found::Damaged(format!("it names `{}`, which cannot be an output", outside.path.display()))
            }
            None => Found::Marker(marker),
        })
    }

    /// Reads a marker; `None` when there is none. A damaged one counts as none: it was not written by this
    /// program, which writes markers atomically, and running a shard again is safe.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        Ok(match Self::find(path)? {
            Found::Marker(marker) => Some(marker),
            Found::Nothing | Found::Damaged(_) => None,
        })
    }

    /// The bytes of the file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a marker is plain data");
        text.push(b'\n');
        text
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, &self.to_bytes())
    }

    /// Whether the shard was done with this configuration and read this.
    pub(super) fn is_of(&self, config_hash: &str, input_fingerprint: &str) -> bool {
        self.config_hash == config_hash && self.input_fingerprint == input_fingerprint
    }

    /// What the folder lacks of the outputs that were not discarded.
    pub(super) fn lacks<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = String> + 'a {
        self.outputs.iter().filter(|output| !output.discarded).filter_map(|output| output.lack(folder))
    }

    /// Whether every output that was not discarded still lies there with its length.
    pub(super) fn outputs_present(&self, folder: &Path) -> bool {
        self.lacks(folder).next().is_none()
    }
}

/// The bytes of a record of a run, which is a plain file; `None` when it is not there.
pub(super) fn read_record(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match open_file(path) {
        Ok(file) => file,
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::read(path))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::input(path, "this is too large for a record of a run"));
    }
    Ok(Some(bytes))
}
