//! `index`: which clip is in which tar, and where.
//!
//! ```text
//! out/tar_mp4_mapping.csv   tar_file,mp4_name: one line for each clip, the first of duplicates
//! out/sizes.json            how many samples each tar holds
//! out/part-00000.parquet    every member with its place, one table for each tar
//! out/names-00000.csv       the parts from which the first file is made
//! ```
//!
//! Headers and JSON are read, media are skipped.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::tables::TarMember;
use audsem_core::clip_id::ClipId;
use audsem_core::clips::{Description, MAX_JSON_BYTES};
use audsem_core::input;
use audsem_core::run::{
    LeftOut, OutputFile, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, StepOutputs,
    Summary,
};
use audsem_core::suffix::is_media;
use audsem_core::tables::{csv_lines, text_hash, write_parquet};
use audsem_core::tar::{Grouping, Member, MemberReader, MemberRole};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::sizes::{SAMPLES, SIZES, sizes_json};
use crate::tars::{TarInput, TarWork, Unit, list_tars, plan};

/// Name of the table that older readers look for beside the tars.
pub const MAPPING: &str = "tar_mp4_mapping.csv";

audsem_core::reasons! {
    /// Why a sample or member is not in the index.
    pub enum DropReason {
        NoKey = "no_key": "the member's name has no dot, so it belongs to no sample; `rename` gives it one",
        NoMedia = "no_media": "the sample has no sound or video; where names have dots before the extension, `audsem-tarify rename` mends them",
        DuplicateKey = "duplicate_key": "an earlier tar, or an earlier place in this one, holds the same clip",
    }
}

audsem_core::reasons! {
    /// Why it is unknown which clip a sample is.
    pub enum Fault {
        BadJson = "bad_json": "the JSON of the sample cannot be parsed, or its names are not strings",
    }
}

/// What is indexed.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tars, or folders of them.
    pub inputs: Vec<PathBuf>,
}

/// What decides the content of the index.
#[derive(Serialize)]
struct HashedConfig {
    tars: Vec<String>,
}

impl RunConfig for HashedConfig {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "index";
}

/// A line of `names-*.csv`.
#[derive(Debug, Serialize, Deserialize)]
struct Name {
    tar_file: String,
    mp4_name: String,
    /// The key by which duplicates are found: the clip, or the sample's key if it names no clip.
    key: String,
}

/// Writes the index into the output folder.
///
/// # Errors
/// There is no tar, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let tars = list_tars(&config.inputs)?;
    let effective = HashedConfig { tars: tars.iter().map(|tar| tar.name.clone()).collect() };
    let spec = RunSpec::new(&effective);
    let mut run = Run::open(options, spec)?;
    let step = Step { name: "part", unit: "samples", physical: "MB" };
    let shards = plan(tars.clone(), Unit::Samples, options.limit);
    run.must_keep(step).explain(DropReason::ALL).explain(Fault::ALL);
    let scanned = run.execute(step, &shards, scan)?;
    // A tar that failed can be repaired and added, so the files about all tars wait for it.
    if let Some(scanned) = scanned.whole() {
        write(&mut run, &tars, &scanned)?;
    }
    Ok(run.finish()?)
}

/// A sample while its members go by.
#[derive(Debug, Default)]
struct Gathered {
    key: String,
    /// Suffix, place and size of each member.
    members: Vec<(String, u64, u64)>,
    /// What the JSON says.
    described: Description,
}

impl Gathered {
    fn media(&self) -> Option<&str> {
        self.members.iter().map(|(suffix, _, _)| suffix.as_str()).find(|suffix| is_media(suffix))
    }
}

struct Scanner<'a> {
    tar: &'a str,
    rows: Vec<TarMember>,
    names: csv::Writer<OutputFile>,
    buffer: Vec<u8>,
}

fn scan(work: &TarWork, out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut members = MemberReader::scan(&work.tar.path).map_err(ShardError::input)?.metered(work.meter(out));
    let names = out.create(format!("names-{}.csv", out.name()))?;
    let mut scanner =
        Scanner { tar: &work.tar.name, rows: Vec::new(), names: csv::Writer::from_writer(names), buffer: Vec::new() };
    let (mut grouping, mut current): (Grouping, Option<Gathered>) = (Grouping::default(), None);
    let mut samples = 0;
    while let Some(member) = members.next_member().map_err(ShardError::input)? {
        let (suffix, begins) = match grouping.role(&member) {
            MemberRole::Ignored => {
                out.count("ignored_members", 1);
                continue;
            }
            MemberRole::Keyless => {
                let key = format_args!("{}: {}", work.tar.name, member.name);
                out.file_left_out(key, LeftOut::drop(DropReason::NoKey, ""));
                continue;
            }
            MemberRole::Part { suffix, begins } => (suffix, begins),
        };
        if begins {
            scanner.finish_sample(current.take(), out)?;
            if samples == work.budget {
                break;
            }
            samples += 1;
        }
        let sample = || Gathered { key: grouping.key().to_owned(), ..Gathered::default() };
        scanner.member(&mut members, &member, suffix, current.get_or_insert_with(sample))?;
    }
    scanner.finish_sample(current, out)?;
    scanner.close(out)
}

impl Scanner<'_> {
    fn member(
        &mut self,
        members: &mut MemberReader,
        member: &Member,
        suffix: String,
        sample: &mut Gathered,
    ) -> Result<(), ShardError> {
        if suffix == "json" && member.size <= MAX_JSON_BYTES {
            members.read_payload(&mut self.buffer).map_err(ShardError::input)?;
            sample.described = Description::parse(&self.buffer);
        } else if suffix == "json" {
            sample.described = Description::too_large(member.size);
        }
        sample.members.push((suffix, member.offset, member.size));
        Ok(())
    }

    fn finish_sample(&mut self, sample: Option<Gathered>, out: &mut ShardOutput) -> Result<(), ShardError> {
        let Some(sample) = sample else { return Ok(()) };
        out.count(SAMPLES, 1);
        let clip = sample.described.clip_id(&sample.key);
        for (suffix, offset, n_bytes) in &sample.members {
            self.rows.push(TarMember {
                tar: self.tar.to_owned(),
                key: sample.key.clone(),
                suffix: suffix.clone(),
                video_id: clip.as_ref().map(|clip| clip.video_id().to_owned()),
                start_ms: clip.as_ref().map(ClipId::start_ms),
                end_ms: clip.as_ref().map(ClipId::end_ms),
                offset: *offset,
                n_bytes: *n_bytes,
            });
            out.work(*n_bytes as f64 / 1e6);
        }
        let Some(suffix) = sample.media() else {
            let key = format_args!("{}: {}", self.tar, sample.key);
            out.file_left_out(key, LeftOut::drop(DropReason::NoMedia, ""));
            return Ok(());
        };
        if let Some(problem) = &sample.described.problem {
            let key = format_args!("{}: {}", self.tar, sample.key);
            out.file_left_out(key, LeftOut::fail(Fault::BadJson, problem));
            return Ok(());
        }
        let mp4_name = sample.described.original_filename.clone().unwrap_or_else(|| format!("{}.{suffix}", sample.key));
        let key = sample.described.clip_key(&sample.key);
        let name = Name { tar_file: self.tar.to_owned(), mp4_name, key };
        self.names.serialize(name).map_err(ShardError::fatal)?;
        out.file_kept(1);
        Ok(())
    }

    fn close(self, out: &mut ShardOutput) -> Result<(), ShardError> {
        let mut table = out.create(format!("part-{}.parquet", out.name()))?;
        write_parquet(&self.rows, &mut table).map_err(ShardError::fatal)?;
        out.close(table)?;
        let names = self.names.into_inner().map_err(|error| ShardError::fatal(error.into_error()))?;
        Ok(out.close(names)?)
    }
}

/// The files about all tars together.
fn write(run: &mut Run, tars: &[TarInput], scanned: &StepOutputs) -> Result<(), Error> {
    let names: Vec<PathBuf> = scanned.files_ending(".csv").cloned().collect();
    let mut sizes = Vec::new();
    for shard in &scanned.outputs {
        if let Some(tar) = shard.name.parse::<usize>().ok().and_then(|index| tars.get(index)) {
            sizes.push((tar.name.clone(), shard.stats.counts.get(SAMPLES).copied().unwrap_or(0)));
        }
    }
    let plan = [Shard {
        name: "all".to_owned(),
        fingerprint: scanned.fingerprint().finish(),
        work: (names, sizes_json(sizes)),
    }];
    let step = Step { name: "mapping", unit: "clips", physical: "" };
    run.execute(step, &plan, |(names, sizes): &(Vec<PathBuf>, Vec<u8>), out: &mut ShardOutput| {
        mapping(names, out)?;
        Ok(out.write_file(SIZES, sizes)?)
    })?;
    Ok(())
}

fn mapping(names: &[PathBuf], out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut csv = csv::Writer::from_writer(out.create(MAPPING)?);
    csv.write_record(["tar_file", "mp4_name"]).map_err(ShardError::fatal)?;
    // A hash of each key and the number of its tar: repeats are rare, clips are many.
    let mut seen: HashMap<u64, usize> = HashMap::new();
    let mut tars: Vec<String> = Vec::new();
    for path in names {
        let rows = csv_lines(input::open(path).map_err(ShardError::Fatal)?).map_err(ShardError::fatal)?;
        for name in rows {
            let name: Name = name.map_err(ShardError::fatal)?;
            if tars.last() != Some(&name.tar_file) {
                tars.push(name.tar_file.clone());
            }
            let first = *seen.entry(text_hash(&name.key)).or_insert(usize::MAX);
            if let Some(first) = tars.get(first) {
                let places = format_args!("{}; first in {first}", name.tar_file);
                out.file_left_out(&name.key, LeftOut::drop(DropReason::DuplicateKey, places));
                continue;
            }
            seen.insert(text_hash(&name.key), tars.len() - 1);
            csv.write_record([&name.tar_file, &name.mp4_name]).map_err(ShardError::fatal)?;
            out.file_kept(1);
        }
    }
    let file = csv.into_inner().map_err(|error| ShardError::fatal(error.into_error()))?;
    Ok(out.close(file)?)
}
