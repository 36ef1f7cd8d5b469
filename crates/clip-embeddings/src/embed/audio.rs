//! `embed-audio`: one vector for each sound.

use std::path::PathBuf;

use audsem_core::run::{Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Stats, Step, Summary};
use audsem_media::audio::Decoder;
use audsem_media::program::{Program, Tool};
use serde::Serialize;

use super::gate::{Candidate, Gate};
use super::length::{HEAD_BYTES, milliseconds};
use super::owners::{self, Planned};
use super::part::{Part, Tools};
use super::sounds::{CropRule, Windows};
use super::sources::{Kind, limited};
use super::{ModelSettings, list_sounds};
use crate::error::Error;
use crate::extract::Stop;
use crate::reason::{DropReason, Fault};
use crate::sets::Modality;
use crate::tars::{ClipEntry, for_each_head};

/// Settings of `embed-audio`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, sounds, folders of either, or lists.
    pub inputs: Vec<PathBuf>,
    /// The model.
    pub model: ModelSettings,
    /// Which part of long sounds is heard.
    pub crop: CropRule,
    /// How often long sounds are heard.
    pub windows: Windows,
    /// The ffmpeg for sounds that the built-in decoders cannot read.
    pub ffmpeg: Option<PathBuf>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig {
    model: Option<String>,
    crop: CropRule,
    windows: Windows,
}

impl RunConfig for HashedConfig {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "embed-audio";
}

/// Counter of the length of all sounds.
pub(super) const MILLISECONDS: &str = "milliseconds";

/// Counter of sounds whose length only decoding tells.
const UNKNOWN_LENGTH: &str = "unknown_length";

/// Embeds every sound of the inputs. A dry run counts them and their seconds, without a model.
///
/// # Errors
/// The model or an input cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    // Before the run folder is touched: one that a wrong model has left behind would be in the way of the right one.
    let model = config.model.open_for_tables(None, options.dry_run)?;
    let sources = limited(list_sounds(&config.inputs)?, options.limit)?;
    let tag = model.as_ref().map(|model| model.tag.clone());
    let record = HashedConfig { model: tag, crop: config.crop, windows: config.windows };
    let spec = RunSpec::new(&record).models(model.iter().map(|model| model.fingerprint.clone()).collect());
    let mut run = Run::open(options, spec)?;
    let Some(plan) = owners::step(&mut run, &sources, Modality::Audio)? else { return Ok(run.finish()?) };
    let decoder = if options.dry_run { Decoder::new() } else { decoder(config) };
    let step = Step { name: "part", unit: "clips", physical: "s of sound" };
    run.must_keep(step).explain(DropReason::ALL).explain(Fault::ALL);
    let report = run.execute(step, &plan.shards, |planned, out| {
        let mut gate = Gate::new(planned.source, planned.number, Modality::Audio, Some(&plan.owners));
        match &model {
            None => count(planned, &mut gate, out)?,
            Some(model) => {
                let tools = Tools { model, decoder: &decoder, config, seed: options.seed };
                Part::write(&tools, planned, &mut gate, out)?;
            }
        }
        gate.report(out);
        Ok(())
    })?;
    Ok(described(run.finish()?, sources.len(), &report.stats))
}

fn decoder(config: &Config) -> Decoder {
    match Program::find(Tool::Ffmpeg, config.ffmpeg.as_deref()) {
        Ok(ffmpeg) => Decoder::new().with_ffmpeg(ffmpeg),
        Err(error) => {
            tracing::warn!("some sounds may not be readable: {error}");
            Decoder::new()
        }
    }
}

/// Adds how many shards and how many seconds of sound there are.
fn described(summary: Summary, n_shards: usize, stats: &Stats) -> Summary {
    let count = |name| stats.counts.get(name).copied().unwrap_or(0);
    let seconds = count(MILLISECONDS) as f64 / 1000.0;
    let summary = summary.with_result("shards", n_shards).with_result("seconds_of_sound", seconds);
    match count(UNKNOWN_LENGTH) {
        0 => summary,
        n => summary.with_result("sounds_not_in_these_seconds", n),
    }
}

/// What a dry run does with a source: counts what would be embedded, and how long it is as far as headers tell.
fn count(planned: &Planned<'_>, gate: &mut Gate<'_>, out: &mut ShardOutput) -> Result<(), ShardError> {
    for_each_sound(planned, gate, HEAD_BYTES, |sound| {
        out.keep(1);
        match milliseconds(&sound.bytes, sound.n_bytes) {
            Some(ms) => out.count(MILLISECONDS, ms),
            None => out.count(UNKNOWN_LENGTH, 1),
        }
        Ok(())
    })
}

/// A sound that the gate has let through.
pub(super) struct Sound {
    pub key: String,
    /// The shard it lies in, or its own path.
    pub shard: String,
    pub extension: String,
    /// Its first bytes.
    pub bytes: Vec<u8>,
    /// Bytes it has in all.
    pub n_bytes: u64,
}

/// Hands the sounds that the gate lets through to `visit`; of each the first `most` bytes.
pub(super) fn for_each_sound(
    planned: &Planned<'_>,
    gate: &mut Gate<'_>,
    most: u64,
    mut visit: impl FnMut(Sound) -> Result<(), ShardError>,
) -> Result<(), ShardError> {
    if let Some(problem) = &planned.problem {
        return Err(ShardError::input(problem));
    }
    let rows = match &planned.source.kind {
        Kind::Rows(rows) => rows,
        Kind::Tar(path) => {
            let wanted = |entry: &ClipEntry| gate.accept(Candidate::of_entry(entry, Modality::Audio));
            let visited = for_each_head(path, most, wanted, |entry, bytes| {
                let (extension, n_bytes) = match &entry.sound {
                    Some((suffix, _, n_bytes)) => (suffix.clone(), *n_bytes),
                    None => (String::new(), bytes.len() as u64),
                };
                let (key, shard) = (entry.key.clone(), planned.source.name.clone());
                visit(Sound { key, shard, extension, bytes: bytes.to_vec(), n_bytes }).map_err(Stop::Shard)
            });
            return visited.map_err(|stop| match stop {
                Stop::Tar(error) => ShardError::input(error),
                Stop::Shard(error) => error,
            });
        }
    };
    for row in rows {
        if !gate.accept(Candidate::of_row(row, Modality::Audio)) {
            continue;
        }
        let Some(file) = &row.sound else { continue };
        match file.read(most) {
            Err(error) => gate.fail(&row.key, Fault::Unreadable, format!("{}: {error}", file.name)),
            Ok((bytes, n_bytes)) => {
                let extension = file.path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
                visit(Sound { key: row.key.clone(), shard: file.name.clone(), extension, bytes, n_bytes })?;
            }
        }
    }
    Ok(())
}
