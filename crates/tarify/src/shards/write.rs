//! Last steps: writing the shards, then `sizes.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{Fingerprint, OutputFile, Run, Shard, ShardError, ShardOutput, Step, StepOutputs};
use audsem_core::tar::{ShardOptions, ShardWriter, TarError};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Config;
use super::plan::{Plan, Planned, PlannedShard, Split};
use super::records::Records;
use super::sample::{SampleRules, merge};
use super::scan::Scanned;
use super::strays;
use crate::error::Error;

/// Names of the two steps.
pub(super) const STEP: &str = "write";
pub(super) const SIZES: &str = "sizes";

/// Samples of each shard, by split and file name.
pub(super) type Sizes = BTreeMap<Split, BTreeMap<String, u64>>;

/// What the shards are written from.
pub(super) struct Material<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Names the samples.
    pub rules: &'a SampleRules,
    /// The samples' JSON.
    pub records: &'a Records,
    /// The samples' audio.
    pub scanned: &'a [Scanned],
    /// The plan.
    pub plan: &'a Plan,
}

/// Writes the shards, one per output tar. `None` if the step is not whole.
///
/// # Errors
/// As [`Run::execute`].
pub(super) fn step(run: &mut Run, material: &Material<'_>) -> Result<Option<StepOutputs>, Error> {
    let sources = material.scanned.iter().fold(Fingerprint::new(), |all, tar| all.with(&tar.fingerprint));
    let fingerprint = sources.with(&material.records.fingerprint).finish();
    let shard = |planned| Shard { name: name(planned), fingerprint: fingerprint.clone(), work: planned };
    let plan: Vec<Shard<&PlannedShard>> = material.plan.shards.iter().map(shard).collect();
    if !run.options().dry_run {
        let planned: BTreeSet<String> = material.plan.shards.iter().map(PlannedShard::file).collect();
        strays::remove(run.folder(), &planned)?;
    }
    let step = Step { name: STEP, unit: "samples", physical: "MB" };
    Ok(run.execute(step, &plan, |planned, out| material.write(planned, out))?.whole())
}

fn name(shard: &PlannedShard) -> String {
    format!("{}-{:04}", shard.split.name(), shard.number)
}

impl Material<'_> {
    fn write(&self, shard: &PlannedShard, out: &mut ShardOutput) -> Result<(), ShardError> {
        if out.dry_run() {
            out.file_kept(shard.samples.len() as u64);
            return Ok(());
        }
        let mut reader = SampleReader::open(self)?;
        let mut tar = Lazy { file: shard.file(), writer: None };
        for planned in &shard.samples {
            let key = self.key(planned);
            // All of this was read before, so the disk failed or a file has changed.
            let read = reader.read(planned);
            let (json, audio) = read.map_err(|error| ShardError::Input(format!("{key}: {error}")))?;
            let written = tar.writer(out)?.write_sample(&key, &[("flac", audio), ("json", json.as_bytes())]);
            written.map_err(|error| fatal(&shard.file(), error))?;
            out.file_kept(1);
            out.work((audio.len() + json.len()) as f64 / 1e6);
        }
        tar.finish(out)
    }

    fn key(&self, planned: &Planned) -> String {
        let candidate = &self.scanned[planned.source as usize].candidates[planned.candidate as usize];
        self.rules.sample_key(&self.records.entry(candidate.record).clip, planned.sample as usize)
    }
}

fn fatal(file: &str, error: TarError) -> ShardError {
    let error = match error {
        TarError::Write { source } => source,
        other => io::Error::other(other),
    };
    ShardError::Fatal(CoreError::write(Path::new(file))(error))
}

/// A tar that is created with its first sample, so that there is never an empty one.
struct Lazy {
    file: String,
    writer: Option<ShardWriter<OutputFile>>,
}

impl Lazy {
    fn writer(&mut self, out: &ShardOutput) -> Result<&mut ShardWriter<OutputFile>, ShardError> {
        if self.writer.is_none() {
            let file = out.create(&self.file)?;
            self.writer = Some(ShardWriter::new(file, ShardOptions::default()));
        }
        Ok(self.writer.as_mut().expect("made in the line above"))
    }

    fn finish(self, out: &mut ShardOutput) -> Result<(), ShardError> {
        let Some(writer) = self.writer else { return Ok(()) };
        let (file, _counts) = writer.finish().map_err(|error| fatal(&self.file, error))?;
        out.close(file)?;
        Ok(())
    }
}

/// Reads JSON and audio of samples in the order of the plan, keeping files open that are read again.
struct SampleReader<'a> {
    material: &'a Material<'a>,
    records: File,
    /// The samples of the record read last: pairs of one clip follow each other.
    samples: Option<(u32, Vec<Box<RawValue>>)>,
    source: Option<(u32, File)>,
    /// Grows to the largest clip; never cleared, so that no byte is written twice.
    audio: Vec<u8>,
}

impl<'a> SampleReader<'a> {
    fn open(material: &'a Material<'a>) -> Result<Self, ShardError> {
        let records = material.records.open().map_err(ShardError::from_core)?;
        Ok(Self { material, records, samples: None, source: None, audio: Vec::new() })
    }

    fn read(&mut self, planned: &Planned) -> io::Result<(String, &[u8])> {
        let tar = &self.material.scanned[planned.source as usize];
        let candidate = &tar.candidates[planned.candidate as usize];
        let missing = || io::Error::other("the lists of the scan are inconsistent");
        let place = candidate.audio.ok_or_else(missing)?;
        if self.samples.as_ref().is_none_or(|(record, _)| *record != candidate.record) {
            let records = self.material.records;
            let samples = records.read_samples(&self.records, records.entry(candidate.record))?;
            self.samples = Some((candidate.record, samples));
        }
        let samples = self.samples.as_ref().map(|(_, samples)| samples).ok_or_else(missing)?;
        let sample = samples.get(planned.sample as usize).ok_or_else(missing)?;
        let json = match &candidate.described {
            None => sample.get().to_owned(),
            Some(fields) => serde_json::to_string(&merge(fields.clone(), serde_json::from_str(sample.get())?))?,
        };
        if self.source.as_ref().is_none_or(|(source, _)| *source != planned.source) {
            let path = tar.payloads.as_ref().unwrap_or(&self.material.config.sources[planned.source as usize]);
            self.source = Some((planned.source, File::open(path)?));
        }
        let (_, file) = self.source.as_ref().ok_or_else(missing)?;
        let size = usize::try_from(place.size).map_err(io::Error::other)?;
        if self.audio.len() < size {
            self.audio.resize(size, 0);
        }
        let audio = &mut self.audio[..size];
        file.read_exact_at(audio, place.offset)?;
        Ok((json, audio))
    }
}

/// Writes `sizes.json` into both splits, after everything they count. `None` if the step is not whole.
///
/// # Errors
/// As [`Run::execute`].
pub(super) fn sizes(run: &mut Run, material: &Material<'_>, written: &StepOutputs) -> Result<Option<Sizes>, Error> {
    let mut sizes = Sizes::from([(Split::Train, BTreeMap::new())]);
    if material.config.has_valid() {
        sizes.insert(Split::Valid, BTreeMap::new());
    }
    for (shard, output) in material.plan.shards.iter().zip(&written.outputs) {
        if output.stats.kept > 0 {
            sizes.entry(shard.split).or_default().insert(format!("{:04}.tar", shard.number), output.stats.kept);
        }
    }
    let plan = [Shard { name: "00000".to_owned(), fingerprint: written.fingerprint().finish(), work: () }];
    let step = Step { name: SIZES, unit: "shards", physical: "MB" };
    let report = run.execute(step, &plan, |(), out| {
        for (split, shards) in &sizes {
            let mut file = out.create(format!("{}/sizes.json", split.name()))?;
            let failed = |error: io::Error| CoreError::write(Path::new("sizes.json"))(error);
            file.write_all(&indented(shards)).map_err(failed)?;
            out.close(file)?;
            out.file_kept(shards.len() as u64);
        }
        Ok(())
    })?;
    Ok(report.whole().map(|_| sizes))
}

/// JSON with an indent of four blanks, as the trainers' own tools write this file.
fn indented(value: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    value.serialize(&mut serializer).expect("names and numbers are JSON");
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_an_indent_of_four() {
        let sizes = BTreeMap::from([("0000.tar", 2), ("0001.tar", 1)]);
        assert_eq!(indented(&sizes), b"{\n    \"0000.tar\": 2,\n    \"0001.tar\": 1\n}\n");
        assert_eq!(indented(&BTreeMap::<String, u64>::new()), b"{}\n");
    }
}
