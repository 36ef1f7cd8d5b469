//! The examples of all shards together, without repeated keys.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::files::hex;
use audsem_core::run::{LeftOut, ReadBack, Run, Shard, ShardError, ShardOutput, ShardOutputs, Step, StepOutputs};
use audsem_core::tables::{Columns as _, ParquetFile, ParquetWriter, text_hash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::DropReason;
use super::scan::example_key;
use crate::error::Result;
use crate::tables::{ManifestRef, ManifestRow};

/// Counts of a manifest; the content of `manifest.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestSummary {
    /// Examples.
    pub examples: u64,
    /// Different clips among them.
    pub clips: u64,
    /// Different videos among them; clips that name no video are not counted.
    pub videos: u64,
    /// Examples of each shard, by path.
    pub shards: BTreeMap<String, u64>,
    /// SHA-256 over keys, digests of texts and sizes of sounds of all examples in their order.
    pub digest: String,
}

impl ManifestSummary {
    /// Reads a `manifest.json`.
    ///
    /// # Errors
    /// It cannot be read, or `index` has not written it.
    pub(super) fn read(path: &Path) -> Result<Self, CoreError> {
        let bytes = std::fs::read(path).map_err(CoreError::read(path))?;
        let damaged = |error| CoreError::input(path, format!("not written by `audsem-training index`: {error}"));
        serde_json::from_slice(&bytes).map_err(damaged)
    }
}

/// Writes the table of all examples and `manifest.json`; nothing on a dry run.
pub(super) fn merge(run: &mut Run, scanned: &StepOutputs, limit: Option<u64>) -> Result<Option<ManifestSummary>> {
    let step = Step { name: "part", unit: "examples", physical: "" };
    run.must_keep(step).explain(DropReason::ALL);
    let tables: Vec<PathBuf> = scanned.files_ending(".parquet").cloned().collect();
    let plan = [Shard { name: "00000".to_owned(), fingerprint: scanned.fingerprint().finish(), work: tables }];
    if run.options().dry_run {
        // The tables of the first step were not written.
        return Ok(None);
    }
    let merge = |tables: &Vec<PathBuf>, out: &mut ShardOutput| write(tables, limit, out);
    let merged = run.execute_via(&ReadBack(read_summary), step, &plan, merge)?;
    Ok(merged.values.into_iter().next())
}

/// Reads `manifest.json` back.
fn read_summary(shard: &ShardOutputs) -> Result<ManifestSummary, CoreError> {
    ManifestSummary::read(shard.file_ending("/manifest.json")?)
}

fn write(tables: &[PathBuf], limit: Option<u64>, out: &mut ShardOutput) -> Result<ManifestSummary, ShardError> {
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = ParquetWriter::<ManifestRow, _>::new(&mut file).map_err(ShardError::fatal)?;
    let mut counter = Counter::default();
    'all: for table in tables {
        let table = ParquetFile::<ManifestRow>::open(table).map_err(ShardError::fatal)?;
        for group in table.groups() {
            let rows = group.map_err(ShardError::fatal)?;
            for i in 0..rows.len() {
                if limit.is_some_and(|limit| counter.read >= limit) {
                    break 'all;
                }
                let row = rows.get(i);
                if counter.keeps(row, out) {
                    writer.push(row).map_err(ShardError::fatal)?;
                }
            }
        }
    }
    writer.finish().map_err(ShardError::fatal)?;
    out.close(file)?;
    let summary = counter.summary();
    let json = serde_json::to_vec_pretty(&summary).map_err(ShardError::fatal)?;
    out.write_file("manifest.json", &[json, b"\n".to_vec()].concat())?;
    Ok(summary)
}

/// What has been seen so far. Keys, clips and videos are known by a hash of 64 bits.
#[derive(Default)]
struct Counter {
    read: u64,
    /// The shard of each key.
    keys: HashMap<u64, usize>,
    tars: Vec<String>,
    clips: HashSet<u64>,
    videos: HashSet<u64>,
    shards: BTreeMap<String, u64>,
    hasher: Sha256,
}

impl Counter {
    /// Files an example: true if no other one before it has its key.
    fn keeps(&mut self, row: ManifestRef<'_>, out: &mut ShardOutput) -> bool {
        self.read += 1;
        if self.tars.last().is_none_or(|last| last != row.tar) {
            self.tars.push(row.tar.to_owned());
        }
        let key = example_key(row.key, row.pair);
        match self.keys.entry(text_hash(&key)) {
            Entry::Occupied(first) => {
                let detail = format!("in {}; first in {}", row.tar, self.tars[*first.get()]);
                out.file_left_out(key, LeftOut::drop(DropReason::DuplicateKey, detail));
                return false;
            }
            Entry::Vacant(place) => drop(place.insert(self.tars.len() - 1)),
        }
        self.add(&key, row);
        out.file_kept(1);
        true
    }

    fn add(&mut self, key: &str, row: ManifestRef<'_>) {
        self.clips.insert(text_hash(row.clip));
        self.videos.extend(row.video_id.map(text_hash));
        *self.shards.entry(row.tar.to_owned()).or_default() += 1;
        for piece in [key, row.json_sha256, row.audio_suffix] {
            self.hasher.update((piece.len() as u64).to_le_bytes());
            self.hasher.update(piece);
        }
        self.hasher.update(row.audio_bytes.to_le_bytes());
    }

    fn summary(self) -> ManifestSummary {
        ManifestSummary {
            examples: self.shards.values().sum(),
            clips: self.clips.len() as u64,
            videos: self.videos.len() as u64,
            shards: self.shards,
            digest: hex(&self.hasher.finalize()),
        }
    }
}
