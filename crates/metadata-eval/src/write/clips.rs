//! The clips that are written about: the first step of every writer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use audsem_core::run::{FileFingerprint, Fingerprint, LeftOut, Run, Shard, ShardError, ShardOutput, Step, StepOutputs};
use audsem_core::tables::{Columns, ParquetFile, Row, write_parquet};
use foldhash::HashSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Config;
use super::metadata::Evidence;
use super::product::Product;
use super::timeline::Timeline;
use crate::error::Error;
use crate::tables::{ClipMetadata, ClipMetadataColumns};

audsem_core::reasons! {
    /// Why nothing is written about a clip.
    pub enum DropReason {
        NotSampled = "not_sampled": "the clip is not in the sample" => "--sample",
        NoTimeline = "no_timeline": "the seconds do not say clearly when any sound is heard" => "--grounded",
        NoEvidence = "no_evidence": "nothing says what the clip sounds like: no caption, no labels",
    }
}

audsem_core::reasons! {
    /// What can be wrong with the row of a clip.
    pub enum Fault {
        Duplicate = "duplicate_clip": "an earlier row is about the same clip",
    }
}

/// Which clips are written about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    /// How many, drawn by the seed.
    pub sample: Option<usize>,
    /// Whether the row must say what the clip sounds like; a model that hears it needs nothing else.
    pub needs_evidence: bool,
    /// Whether the seconds must say when sounds are heard.
    pub needs_timeline: bool,
    /// Clips in a file.
    pub per_file: usize,
}

impl Selection {
    pub(super) fn of(config: &Config) -> Self {
        let needs_timeline = config.grounded && !config.product.is_caption();
        let needs_evidence = config.product != Product::VisualCaption;
        Self { needs_evidence, sample: config.sample, needs_timeline, per_file: config.clips_per_shard }
    }

    fn judge(&self, clip: &Evidence) -> Result<(), LeftOut<&'static str>> {
        if self.needs_evidence && !clip.names_a_sound() {
            return Err(LeftOut::drop(DropReason::NoEvidence, ""));
        }
        if self.needs_timeline && Timeline::of(clip).sounds.is_empty() {
            return Err(LeftOut::drop(DropReason::NoTimeline, ""));
        }
        Ok(())
    }
}

/// Step `clips`: writes the rows that are written about in files, in the order of the input. With
/// `sample`, those are the clips whose hashes of key and seed are the smallest, whatever the order of the input.
pub(super) fn collect(run: &mut Run, inputs: &[PathBuf], selection: &Selection) -> Result<StepOutputs, Error> {
    let fingerprint = inputs.iter().try_fold(Fingerprint::new(), |fingerprint, path| {
        FileFingerprint::of(path).map(|file| fingerprint.with_file(&file))
    })?;
    let (seed, limit) = (run.options().seed, run.options().limit.unwrap_or(u64::MAX));
    let plan = [Shard { name: "00000".into(), fingerprint: fingerprint.finish(), work: () }];
    let step = Step { name: "clips", unit: "clips", physical: "rows" };
    run.must_keep(step).explain(DropReason::ALL).explain(Fault::ALL);
    Ok(run.execute(step, &plan, |(), out| {
        let chosen = selection.sample.map(|n| choose(inputs, selection, n, seed)).transpose()?;
        let mut files =
            ClipFiles { out, selection, chosen, seen: HashSet::default(), rows: Vec::new(), n_files: 0, limit };
        for path in inputs {
            files.read(path)?;
        }
        files.close()
    })?)
}

/// Keys of the sample.
fn choose(inputs: &[PathBuf], selection: &Selection, n: usize, seed: u64) -> Result<HashSet<String>, ShardError> {
    let mut chosen: BTreeSet<(u64, String)> = BTreeSet::new();
    for path in inputs {
        for_each(path, |row| {
            if selection.judge(&row).is_ok() {
                chosen.insert((xxh3_64_with_seed(row.key.as_bytes(), seed), row.key));
                if chosen.len() > n {
                    chosen.pop_last();
                }
            }
        })?;
    }
    Ok(chosen.into_iter().map(|(_, key)| key).collect())
}

fn for_each(path: &Path, mut take: impl FnMut(Evidence)) -> Result<(), ShardError> {
    rows(path, |row| {
        take(Evidence::of(&row));
        Ok(())
    })
}

fn rows(path: &Path, mut take: impl FnMut(ClipMetadata) -> Result<(), ShardError>) -> Result<(), ShardError> {
    let file = ParquetFile::<ClipMetadata>::open(path).map_err(ShardError::input)?;
    for group in file.groups() {
        let group: ClipMetadataColumns = group.map_err(ShardError::input)?;
        for i in 0..group.len() {
            take(ClipMetadata::from_row(group.get(i)))?;
        }
    }
    Ok(())
}

struct ClipFiles<'a> {
    out: &'a mut ShardOutput,
    selection: &'a Selection,
    chosen: Option<HashSet<String>>,
    seen: HashSet<String>,
    rows: Vec<ClipMetadata>,
    n_files: usize,
    limit: u64,
}

impl ClipFiles<'_> {
    fn read(&mut self, path: &Path) -> Result<(), ShardError> {
        rows(path, |row| {
            if self.seen.len() as u64 >= self.limit {
                return Ok(());
            }
            let outcome = self.judge(&row);
            if self.out.file(&row.key, outcome).is_some() {
                self.out.work(1.0);
                self.rows.push(row);
            }
            if self.rows.len() == self.selection.per_file { self.close() } else { Ok(()) }
        })
    }

    fn judge(&mut self, row: &ClipMetadata) -> Result<(), LeftOut<&'static str>> {
        if !self.seen.insert(row.key.clone()) {
            return Err(LeftOut::fail(Fault::Duplicate, ""));
        }
        self.selection.judge(&Evidence::of(row))?;
        match &self.chosen {
            Some(chosen) if !chosen.contains(&row.key) => Err(LeftOut::drop(DropReason::NotSampled, "")),
            _ => Ok(()),
        }
    }

    fn close(&mut self) -> Result<(), ShardError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut file = self.out.create(format!("clips-{:05}.parquet", self.n_files))?;
        write_parquet(&self.rows, &mut file).map_err(ShardError::fatal)?;
        self.rows.clear();
        self.n_files += 1;
        Ok(self.out.close(file)?)
    }
}
