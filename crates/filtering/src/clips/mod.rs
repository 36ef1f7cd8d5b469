//! `clips`: media of clips to audio shards, FLAC and JSON.
//!
//! Every file of the inputs is a candidate, in a fixed order; groups of 4096 candidates become the
//! shards `00000.tar`, `00001.tar`, …. A candidate's sample is called after its place in that order,
//! counted from 1, so a clip that is left out leaves a gap, and no byte depends on workers or kills.
//! Each clip is decoded once, in this process; ffmpeg is only asked for what cannot be decoded here.
//! Of a clip longer than its cue the end is kept (and half a second before the cue), because
//! sections that are cut without re-encoding begin early and end on time.

mod cut;
mod load;
mod name;
mod reason;
mod rows;
mod shard;
mod sources;

use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{FileFingerprint, Fingerprint, Run, RunConfig, RunOptions, RunSpec, Shard, Step, Summary};
use audsem_core::tables::tables_under;
use audsem_media::audio::Decoder;
use audsem_media::program::{Program, Tool};
use serde::Serialize;

pub use cut::{Limits, SAMPLE_RATE_HZ};
pub use name::ClipName;
pub use reason::{DropReason, Fault};
pub use rows::{ClipText, ClipTextBuffers, ClipTextColumns, ClipTextRef};

use crate::error::Result;
use sources::{Candidate, Sources};

/// What `clips` reads and how it cuts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Media: folders with their folders, tars (plain, gzip, zstd), files.
    pub input: Vec<PathBuf>,
    /// Clip tables: run folders of `combine`, other folders of Parquet files, files.
    pub clips: Vec<PathBuf>,
    /// Lengths.
    pub limits: Limits,
    /// Candidates in a shard.
    pub per_shard: usize,
    /// Whether ffmpeg reads what the built-in decoders cannot.
    pub use_ffmpeg: bool,
    /// Where ffmpeg is, if not in `PATH`.
    pub ffmpeg: Option<PathBuf>,
}

impl Config {
    /// The usual settings for these inputs.
    pub fn new(input: Vec<PathBuf>, clips: Vec<PathBuf>) -> Config {
        Config { input, clips, limits: Limits::DEFAULT, per_shard: 4096, use_ffmpeg: true, ffmpeg: None }
    }

    fn decoder(&self) -> Result<Decoder> {
        // A little more than is accepted, so that the exact length decides, not the decoder's blocks.
        let decoder = Decoder::new().max_seconds(self.limits.max_s + 1.0);
        // What is kept is counted from the end of the sound, so that must be the end of the clip.
        let decoder = decoder.ends_with_pictures(self.limits.buffer_s);
        if !self.use_ffmpeg {
            return Ok(decoder);
        }
        Ok(decoder.with_ffmpeg(Program::find(Tool::Ffmpeg, self.ffmpeg.as_deref())?))
    }

    fn check(&self) -> Result<()> {
        let Limits { min_s, max_s, buffer_s } = self.limits;
        let problem = if !(min_s >= 0.0 && min_s <= max_s && max_s.is_finite()) {
            Some(("--min-duration and --max-duration", format!("{min_s} to {max_s} s is not a range of lengths")))
        } else if !(buffer_s >= 0.0 && buffer_s.is_finite()) {
            Some(("--buffer", format!("{buffer_s} s is not a duration")))
        } else if self.per_shard == 0 {
            Some(("--per-shard", "a shard holds at least 1 clip".to_owned()))
        } else {
            None
        };
        match problem {
            Some((what, problem)) => Err(CoreError::Config { what: what.to_owned(), problem }.into()),
            None => Ok(()),
        }
    }
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    limits: &'a Limits,
    per_shard: usize,
    use_ffmpeg: bool,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "clips";
}

impl<'a> HashedConfig<'a> {
    fn of(config: &'a Config) -> Self {
        let Config { input: _, clips: _, limits, per_shard, use_ffmpeg, ffmpeg: _ } = config;
        Self { limits, per_shard: *per_shard, use_ffmpeg: *use_ffmpeg }
    }
}

/// One shard: its candidates and the number of the first.
#[derive(Debug)]
struct Group<'a> {
    candidates: &'a [Candidate],
    first_index: u64,
}

/// Runs the subcommand.
///
/// # Errors
/// An input or clip table cannot be read, ffmpeg is missing, a setting makes no sense, or the output
/// folder cannot be used.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary> {
    config.check()?;
    let decoder = config.decoder()?;
    let tables = config.clips.iter().map(|path| tables_under(path)).collect::<Result<Vec<_>, _>>()?.concat();
    let mut sources = Sources::find(&config.input)?;
    if let Some(limit) = options.limit {
        sources.candidates.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    let table = rows::attach(&tables, &mut sources.candidates)?;
    let inputs = [tables, sources.tars.clone()].concat();
    let mut run = Run::open(options, RunSpec::new(&HashedConfig::of(config)).inputs(&inputs))?;

    let plan = plan(&sources, config.per_shard)?;
    let step = Step { name: "part", unit: "clips", physical: "s of sound" };
    let work = shard::Work { decoder: &decoder, limits: config.limits, tars: &sources.tars };
    run.must_keep(step).explain(reason::DropReason::ALL).explain(reason::Fault::ALL);
    run.execute(step, &plan, |group, out| shard::run(&work, group, out))?;
    let summary = run.finish()?;
    Ok(summary
        .with_result("files_of_other_kinds", sources.n_other)
        .with_result("table_rows", table.n_rows)
        .with_result("table_rows_without_media", table.n_rows - table.n_matched - table.n_unreadable)
        .with_result("table_rows_unreadable", table.n_unreadable)
        .with_result("table_rows_at_the_start_of_another", table.n_rivals))
}

fn plan<'a>(sources: &'a Sources, per_shard: usize) -> Result<Vec<Shard<Group<'a>>>> {
    let tars = sources.tars.iter().map(|tar| FileFingerprint::of(tar)).collect::<Result<Vec<_>, _>>()?;
    let groups = sources.candidates.chunks(per_shard).enumerate().map(|(n, candidates)| {
        let fingerprint = candidates.iter().fold(Fingerprint::new(), |sum, candidate| candidate.add_to(sum, &tars));
        Shard {
            name: format!("{n:05}"),
            fingerprint: fingerprint.finish(),
            work: Group { candidates, first_index: (n * per_shard) as u64 + 1 },
        }
    });
    Ok(groups.collect())
}
