//! `merge-shards`: shards of several folders as one numbered sequence.
//!
//! ```text
//! out/00000.tar         the shards, in the order of the sources, linked or copied
//! out/keys-00000.csv    key and sample name of every clip of a shard
//! out/manifest.csv      which shard came from where
//! out/duplicates.csv    clips whose key an earlier one has
//! ```
//!
//! Sources stay as they are, and nothing is ever overwritten: a file that is already there must be
//! the one that belongs there.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use audsem_core::clips::{ClipContent, ClipDrop, ClipFault, scan};
use audsem_core::error::Error as CoreError;
use audsem_core::files::sync_folder;
use audsem_core::input;
use audsem_core::run::{
    Fingerprint, LeftOut, OutputFile, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step,
    Summary,
};
use audsem_core::tables::{csv_lines, text_hash};
use audsem_core::tar::{TarInput, list_tars, split_ending};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How shards get into the output folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum MergeMode {
    /// As hard links: at once, without taking space; on one disk only
    Link,
    /// As copies
    Copy,
}

/// What is merged.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folders of tars, or tars, in the order wanted.
    pub sources: Vec<PathBuf>,
    /// Link or copy.
    pub mode: MergeMode,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig {
    mode: MergeMode,
    tars: Vec<String>,
}

impl RunConfig for HashedConfig {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "merge-shards";
}

/// A shard and its new name.
#[derive(Debug)]
struct Planned {
    from: TarInput,
    name: String,
}

/// A line of `keys-*.csv`; no key where the sample's JSON does not tell it.
#[derive(Debug, Serialize, Deserialize)]
struct KeyLine {
    key: String,
    sample: String,
}

/// A line of `manifest.csv`.
#[derive(Serialize)]
struct ManifestLine<'a> {
    tar: &'a str,
    source: String,
    bytes: u64,
    samples: u64,
}

/// Merges the sources into the output folder.
///
/// # Errors
/// A source has no tars, a file is in the way, links do not work, and what [`Run::open`] and
/// [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let planned = plan(config, options.limit)?;
    let tars = planned.iter().map(|tar| tar.from.fingerprint.to_string()).collect();
    let effective = HashedConfig { mode: config.mode, tars };
    let spec = RunSpec::new(&effective);
    let mut run = Run::open(options, spec)?;
    let shards: Vec<Shard<&Planned>> = planned
        .iter()
        .enumerate()
        .map(|(i, tar)| Shard { name: format!("{i:05}"), fingerprint: tar.from.fingerprint.clone(), work: tar })
        .collect();
    let step = Step { name: "part", unit: "tars", physical: "MB" };
    let done = run.execute(step, &shards, |tar, out| one(tar, config.mode, out))?;
    let mut repeated = None;
    if done.complete {
        if config.mode == MergeMode::Link && !options.dry_run {
            link_all(&planned, run.folder())?;
        }
        let samples: Vec<u64> =
            done.outputs.iter().map(|shard| shard.stats.counts.get(SAMPLES).copied().unwrap_or(0)).collect();
        repeated = Some(write_lists(&mut run, &planned, &samples)?);
    }
    let mut summary = run.finish()?.with_result("tars", planned.len());
    // Tars are merged unchanged whatever their samples hold, so only tars without samples give an empty result.
    if done.stats.counts.get(SAMPLES).is_none_or(|n| *n == 0) {
        summary = summary.as_empty("nothing was merged: the tars hold no samples");
    }
    Ok(match repeated {
        // Shards are not modified, so that a link suffices; readers decide about repeated clips.
        Some(n) if n > 0 => summary.with_result("repeated_clips", n).with_result(
            "note",
            "repeated clips are in duplicates.csv and stay in their tars; embed-audio and embed-text take the first of each",
        ),
        _ => summary,
    })
}

/// Counter of the samples of a shard.
const SAMPLES: &str = "samples";

/// Which tar gets which name, before anything is touched.
fn plan(config: &Config, limit: Option<u64>) -> Result<Vec<Planned>, Error> {
    let mut planned = Vec::new();
    for source in &config.sources {
        for from in list_tars(source)? {
            let ending = split_ending(&from.name).map_or(".tar", |(_, ending)| ending);
            planned.push(Planned { name: format!("{:05}{ending}", planned.len()), from });
        }
    }
    planned.truncate(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX));
    Ok(planned)
}

/// Lists the keys of one tar, and copies it if it is to be copied.
fn one(tar: &Planned, mode: MergeMode, out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut keys = csv::Writer::from_writer(out.create(format!("keys-{}.csv", out.name()))?);
    let (mut samples, mut failed) = (0, None);
    scan(&tar.from.path, ClipContent::Sound, |entry| {
        samples += 1;
        // A guessed key would make unrelated samples look like repeats.
        let key = if entry.problem.is_some() { String::new() } else { entry.key };
        let line = KeyLine { key, sample: entry.sample };
        failed = failed.take().or(keys.serialize(line).err());
    })
    .map_err(ShardError::input)?;
    if let Some(error) = failed {
        return Err(ShardError::fatal(error));
    }
    let keys = keys.into_inner().map_err(|error| ShardError::fatal(error.into_error()))?;
    if mode == MergeMode::Copy && !out.dry_run() {
        let file = out.create(&tar.name)?;
        copy(&tar.from.path, file, out)?;
    }
    out.count(SAMPLES, samples);
    out.file_kept(1);
    Ok(out.close(keys)?)
}

fn copy(from: &Path, mut to: OutputFile, out: &mut ShardOutput) -> Result<(), ShardError> {
    // Left by a kill between the file and its marker, it is the same; anything else is not ours.
    let is_there = to.path().try_exists().map_err(CoreError::read(to.path()))?;
    if is_there && !same_content(from, to.path()).map_err(CoreError::read(from))? {
        return Err(ShardError::fatal(Error::WouldOverwrite { to: to.path().to_owned(), from: from.to_owned() }));
    }
    let mut source = File::open(from).map_err(CoreError::read(from))?;
    let mut block = vec![0; 1 << 20];
    loop {
        let n = source.read(&mut block).map_err(CoreError::read(from))?;
        if n == 0 {
            break;
        }
        to.write_all(&block[..n]).map_err(CoreError::write(to.path()))?;
        out.work(n as f64 / 1e6);
    }
    Ok(out.close(to)?)
}

fn same_content(a: &Path, b: &Path) -> std::io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut of_a, mut of_b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let n = a.read(&mut of_a)?;
        b.read_exact(&mut of_b[..n])?;
        if of_a[..n] != of_b[..n] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

/// Makes the links. Creating a link is atomic, so nothing has to be resumed: each run
/// makes those that are missing.
fn link_all(planned: &[Planned], folder: &Path) -> Result<(), Error> {
    for tar in planned {
        let (from, to) = (&tar.from.path, folder.join(&tar.name));
        // A link to a link would break when that is moved.
        let from = fs::canonicalize(from).map_err(CoreError::read(from))?;
        match fs::hard_link(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let inode = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
                if inode(&from).map_err(CoreError::read(&from))? != inode(&to).map_err(CoreError::read(&to))? {
                    return Err(Error::WouldOverwrite { to, from });
                }
            }
            Err(source) => return Err(Error::Link { from, to, source }),
        }
    }
    Ok(sync_folder(folder)?)
}

/// Writes what is about all tars together; gives the number of samples whose key an earlier one has.
fn write_lists(run: &mut Run, planned: &[Planned], samples: &[u64]) -> Result<u64, Error> {
    let fingerprint = planned.iter().fold(Fingerprint::new(), |all, tar| all.with(&tar.from.fingerprint)).finish();
    let folder = run.folder().to_owned();
    let plan = [Shard { name: "all".to_owned(), fingerprint, work: () }];
    let step = Step { name: "lists", unit: "clips", physical: "" };
    let done = run.execute(step, &plan, |(), out| {
        manifest(planned, samples, out)?;
        duplicates(planned, samples, &folder, out)
    })?;
    Ok(done.stats.n_dropped())
}

fn manifest(planned: &[Planned], samples: &[u64], out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut csv = csv::Writer::from_writer(out.create("manifest.csv")?);
    for (tar, samples) in planned.iter().zip(samples) {
        let bytes = fs::metadata(&tar.from.path).map_err(CoreError::read(&tar.from.path))?.len();
        let source = tar.from.path.display().to_string();
        csv.serialize(ManifestLine { tar: &tar.name, source, bytes, samples: *samples }).map_err(ShardError::fatal)?;
    }
    close(csv, out)
}

fn duplicates(planned: &[Planned], samples: &[u64], folder: &Path, out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut csv = csv::Writer::from_writer(out.create("duplicates.csv")?);
    csv.write_record(["key", "tar", "sample", "first_tar"]).map_err(ShardError::fatal)?;
    let mut seen: HashMap<u64, usize, foldhash::fast::FixedState> = HashMap::default();
    for (number, tar) in planned.iter().enumerate() {
        if out.dry_run() {
            // There are no lists of keys to read.
            out.file_kept(samples[number]);
            continue;
        }
        let path = folder.join(format!("keys-{number:05}.csv"));
        for line in csv_lines(input::open(&path)?).map_err(ShardError::fatal)? {
            let KeyLine { key, sample } = line.map_err(ShardError::fatal)?;
            if key.is_empty() {
                let fault = LeftOut::fail(ClipFault::BadJson, "its JSON does not say which clip it is");
                out.file_left_out(format_args!("{}: {sample}", tar.name), fault);
                continue;
            }
            let Some(first) = seen.get(&text_hash(&key)) else {
                seen.insert(text_hash(&key), number);
                out.file_kept(1);
                continue;
            };
            let place = format_args!("{}: {sample}", tar.name);
            out.file_left_out(&key, LeftOut::drop(ClipDrop::RepeatedKey, place));
            let line = [&key, &tar.name, &sample, &planned[*first].name];
            csv.write_record(line).map_err(ShardError::fatal)?;
        }
    }
    close(csv, out)
}

fn close(csv: csv::Writer<OutputFile>, out: &mut ShardOutput) -> Result<(), ShardError> {
    let file = csv.into_inner().map_err(|error| ShardError::fatal(error.into_error()))?;
    Ok(out.close(file)?)
}
