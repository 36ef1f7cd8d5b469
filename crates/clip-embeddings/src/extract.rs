//! Listening copies: the sounds of clips over a threshold, out of the shards, as files.

use std::collections::HashSet;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use audsem_core::audio::{BitDepth, Decoder, quantise};
use audsem_core::error::Error as CoreError;
use audsem_core::run::{Fingerprint, Run, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary};
use audsem_core::tables::{Columns as _, ParquetFile, Score};
use audsem_core::tar::TarError;
use serde::Serialize;

use crate::error::Error;
use crate::reason::{DropReason, Fault};
use crate::scores::{ScoreFile, file_name, list_scores};
use crate::sets::Modality;
use crate::tars::{ClipEntry, TarInput, for_each_sound, list_tars};

/// How copies are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// As they are in the shard
    Keep,
    /// Decoded, as WAV with 16 bits
    Wav,
}

/// What is copied.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// Tables of scores.
    #[serde(skip)]
    pub scores: Vec<PathBuf>,
    /// Tars, or folders of them.
    #[serde(skip)]
    pub shards: Vec<PathBuf>,
    /// Which scores count.
    pub modality: Modality,
    /// Clips with a dissimilarity over this are copied.
    pub threshold: f32,
    /// How they are stored.
    pub format: Format,
}

/// Copies sounds into `audio/SHARD/KEY.flac`.
///
/// # Errors
/// There are no scores or tars, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let scores = list_scores(&config.scores)?;
    let mut tars = Vec::new();
    for path in &config.shards {
        tars.extend(list_tars(path)?);
    }
    let spec = RunSpec { tool: "audsem-clip-embeddings", command: "extract", config, inputs: &[], models: Vec::new() };
    let mut run = Run::open(options, spec)?;
    let wanted = wanted_keys(&scores, config, options.limit)?;
    let of_scores = scores.iter().fold(Fingerprint::new(), |all, file| all.with(&file.fingerprint)).finish();
    let plan: Vec<Shard<&TarInput>> = tars
        .iter()
        .enumerate()
        .map(|(i, tar)| Shard {
            name: format!("{i:05}"),
            fingerprint: Fingerprint::new().with(&tar.fingerprint).with(&of_scores).finish(),
            work: tar,
        })
        .collect();
    let step = Step { name: "part", unit: "clips", physical: "MB" };
    let report = run.execute(step, &plan, |tar, out| extract(tar, &wanted, config.format, out))?;
    Ok(run.finish()?.with_result("over_threshold", wanted.len()).with_result("found", report.stats.kept))
}

/// The keys over the threshold, the first `limit` of them.
fn wanted_keys(scores: &[ScoreFile], config: &Config, limit: Option<u64>) -> Result<HashSet<String>, Error> {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let mut keys = HashSet::new();
    for file in scores {
        for columns in ParquetFile::<Score>::open(&file.path)?.groups() {
            let columns = columns?;
            for row in (0..columns.len()).map(|i| columns.get(i)) {
                if keys.len() < limit && row.modality == config.modality.name() && row.dissimilarity > config.threshold
                {
                    keys.insert(row.key.to_owned());
                }
            }
        }
    }
    Ok(keys)
}

/// Why a tar is not gone through to its end.
pub(crate) enum Stop {
    Tar(TarError),
    Shard(ShardError),
}

impl From<TarError> for Stop {
    fn from(error: TarError) -> Self {
        Self::Tar(error)
    }
}

fn extract(tar: &TarInput, wanted: &HashSet<String>, format: Format, out: &mut ShardOutput) -> Result<(), ShardError> {
    let (mut seen, mut others) = (HashSet::new(), 0);
    let mut left_out: Vec<(String, DropReason)> = Vec::new();
    let accept = |entry: &ClipEntry| {
        if !wanted.contains(&entry.key) {
            others += 1;
            return false;
        }
        let reason = match () {
            () if entry.sound.is_none() => DropReason::NoAudio,
            () if !seen.insert(file_name(&entry.key)) => DropReason::RepeatedKey,
            () => return true,
        };
        left_out.push((entry.key.clone(), reason));
        false
    };
    let copied = for_each_sound(&tar.path, accept, |entry, bytes| {
        out.read(1);
        copy(entry, bytes, format, out).map_err(Stop::Shard)
    });
    match copied {
        Err(Stop::Tar(error)) => return Err(ShardError::input(error)),
        Err(Stop::Shard(error)) => return Err(error),
        Ok(()) => {}
    }
    // The others are where they were, so they are no rejects.
    out.read(left_out.len() as u64);
    out.count("other_samples", others);
    left_out.iter().for_each(|(key, reason)| out.drop(key, *reason, tar.name()));
    Ok(())
}

fn copy(entry: &ClipEntry, bytes: &[u8], format: Format, out: &mut ShardOutput) -> Result<(), ShardError> {
    let suffix = entry.sound.as_ref().map_or("flac", |(suffix, _, _)| suffix.as_str());
    let (stored, ending) = match format {
        Format::Keep => (std::borrow::Cow::Borrowed(bytes), suffix),
        Format::Wav => match wav(bytes, suffix) {
            Ok(stored) => (std::borrow::Cow::Owned(stored), "wav"),
            Err(problem) => {
                out.fail(&entry.key, Fault::Undecodable, problem);
                return Ok(());
            }
        },
    };
    let mut file = out.create(format!("audio/{}/{}.{ending}", out.name(), file_name(&entry.key)))?;
    file.write_all(&stored).map_err(CoreError::write(file.path()))?;
    out.work(stored.len() as f64 / 1e6);
    out.keep(1);
    Ok(out.close(file)?)
}

/// Decodes a sound and writes it as WAV, 16 bits.
pub(crate) fn wav(bytes: &[u8], suffix: &str) -> Result<Vec<u8>, String> {
    let audio = Decoder::new().decode_bytes(bytes, Some(suffix)).map_err(|error| error.to_string())?;
    let spec = hound::WavSpec {
        channels: u16::try_from(audio.channels()).map_err(|_| "too many channels".to_owned())?,
        sample_rate: audio.sample_rate_hz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut stored = Cursor::new(Vec::new());
    let mut write = || -> Result<(), hound::Error> {
        let mut writer = hound::WavWriter::new(&mut stored, spec)?;
        for sample in &audio.samples {
            writer.write_sample(quantise(*sample, BitDepth::Sixteen))?;
        }
        writer.finalize()
    };
    write().map_err(|error| error.to_string())?;
    Ok(stored.into_inner())
}
