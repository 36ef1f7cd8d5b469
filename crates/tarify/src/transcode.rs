//! `transcode`: smaller copies of video tars: 360 lines, 2 frames per second, one pass.
//!
//! The input stays as it is. A sample whose video cannot be transcoded is left out with its JSON;
//! samples without video are copied.

use std::path::PathBuf;

use audsem_core::parallel::ordered_map;
use audsem_core::run::{LeftOut, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Step, Summary};
use audsem_core::suffix::{is_cut, is_video};
use audsem_core::tar::{Sample, SampleReader, ShardOptions, TarError};
use audsem_core::terminal::{by_number, counted};
use serde::Serialize;

use crate::encode::{EncoderPaths, VideoConfig, VideoEncoder};
use crate::error::Error;
use crate::reason::{DropReason, Fault};
use crate::sizes::write_sizes;
use crate::tar_output::TarOutput;
use crate::tars::{TarInput, TarWork, Unit, list_tars, plain_name, plan};

/// What decides the content of the tars.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tars, or folders of them.
    pub inputs: Vec<PathBuf>,
    /// What the videos become.
    pub video: VideoConfig,
    /// Modification time of the members, seconds since 1970.
    pub mtime: u64,
    /// Programs and folders to work with; not part of the hashed configuration.
    pub paths: EncoderPaths,
}

/// What decides the content of the output. The content of the tars is fingerprinted shard by shard, so
/// that a tar that was repaired does not undo the others.
#[derive(Serialize)]
struct HashedConfig<'a> {
    video: &'a VideoConfig,
    mtime: u64,
    ffmpeg: Option<&'a str>,
    tars: Vec<&'a str>,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "transcode";
}

impl<'a> HashedConfig<'a> {
    fn of(config: &'a Config, encoder: Option<&'a VideoEncoder>, tars: &'a [TarInput]) -> Self {
        let Config { inputs: _, video, mtime, paths: _ } = config;
        let tars = tars.iter().map(|tar| tar.name.as_str()).collect();
        Self { video, mtime: *mtime, ffmpeg: encoder.map(VideoEncoder::version), tars }
    }
}

/// Writes the transcoded tars into the output folder, under the names they have.
///
/// # Errors
/// There is no tar, ffmpeg is missing or lacks a codec, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let tars = list_tars(&config.inputs)?;
    let encoder = match options.dry_run {
        true => None,
        false => {
            Some(VideoEncoder::open(&config.video, config.paths.ffmpeg.as_deref(), config.paths.temp_dir.as_deref())?)
        }
    };
    let hashed = HashedConfig::of(config, encoder.as_ref(), &tars);
    let spec = RunSpec::new(&hashed);
    let mut run = Run::open(options, spec)?;
    let step = Step { name: "part", unit: "samples", physical: "MB" };
    let shards = plan(tars, Unit::Samples, options.limit);
    run.must_keep(step).explain(DropReason::ALL).explain(Fault::ALL);
    let done = run.execute(step, &shards, |work, out| transcode(config, encoder.as_ref(), work, out))?;
    write_sizes(&mut run, done)?;
    Ok(run.finish()?)
}

fn transcode(
    config: &Config,
    encoder: Option<&VideoEncoder>,
    work: &TarWork,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let mut reader = SampleReader::open(&work.tar.path).map_err(ShardError::input)?.metered(work.meter(out));
    let mut tar = TarOutput::new(plain_name(&work.tar.name), ShardOptions { mtime: config.mtime });
    let threads = out.inner_workers();
    let mut left = work.budget;
    let samples = std::iter::from_fn(|| {
        left = left.checked_sub(1)?;
        reader.next_sample().transpose()
    });
    ordered_map(
        samples,
        threads,
        2 * threads,
        |sample| made(encoder, sample),
        |made| {
            match made {
                Made::Broken(error) => return Err(ShardError::input(error)),
                Made::Trouble(error) => return Err(error),
                Made::LeftOut { key, reason } => out.file_left_out(key, reason),
                Made::Sample { sample, copied } => {
                    if copied {
                        out.count("copied", 1);
                    }
                    add(&mut tar, out, &sample)?;
                }
            }
            Ok(())
        },
    )?;
    refuse_keyless(work, &reader)?;
    tar.close(out)
}

/// The outcome of a sample.
enum Made {
    Sample {
        sample: Sample,
        copied: bool,
    },
    LeftOut {
        key: String,
        reason: LeftOut,
    },
    /// The tar cannot be read any further.
    Broken(TarError),
    /// The disk or ffmpeg failed.
    Trouble(ShardError),
}

fn made(encoder: Option<&VideoEncoder>, sample: Result<Sample, TarError>) -> Made {
    let mut sample = match sample {
        Ok(sample) => sample,
        Err(error) if error.is_fatal() => return Made::Broken(error),
        Err(error) => {
            let key = match &error {
                TarError::RepeatedSuffix { key, .. } | TarError::TooLarge { key, .. } => key.clone(),
                _ => String::new(),
            };
            return Made::LeftOut { key, reason: LeftOut::fail(Fault::BadSample, error.to_string()) };
        }
    };
    let Some(at) = sample.members.iter().position(|(suffix, _)| is_video(suffix)) else {
        return match cut_name(&sample) {
            Some(detail) => Made::LeftOut { key: sample.key, reason: LeftOut::fail(Fault::BadSample, detail) },
            None => Made::Sample { sample, copied: true },
        };
    };
    // A dry run touches no media.
    let Some(encoder) = encoder else { return Made::Sample { sample, copied: false } };
    let (suffix, media) = &mut sample.members[at];
    match encoder.transcode(&sample.key, media, suffix) {
        Ok(Ok(video)) => {
            *media = video;
            "mp4".clone_into(suffix);
            Made::Sample { sample, copied: false }
        }
        Ok(Err(reason)) => Made::LeftOut { key: sample.key, reason },
        Err(error) => Made::Trouble(error),
    }
}

/// A medium whose name has an early dot has a suffix such as `0-2.5).mp4`.
fn cut_name(sample: &Sample) -> Option<String> {
    let (suffix, _) = sample.members.iter().find(|(suffix, _)| is_cut(suffix))?;
    Some(format!(
        "the name has a dot before its extension: `{}.{suffix}`\nhint: run `audsem-tarify rename` first, with `--unmatched encode` if it names no clip",
        sample.key
    ))
}

fn add(tar: &mut TarOutput, out: &mut ShardOutput, sample: &Sample) -> Result<(), ShardError> {
    let members: Vec<(&str, &[u8])> =
        sample.members.iter().map(|(suffix, bytes)| (suffix.as_str(), bytes.as_slice())).collect();
    out.work(members.iter().map(|(_, bytes)| bytes.len() as f64).sum::<f64>() / 1e6);
    let written = tar.write(out, &sample.key, &members)?;
    out.file(&sample.key, written);
    Ok(())
}

/// Members without a key belong to no sample: continuing would lose them silently.
fn refuse_keyless(work: &TarWork, reader: &SampleReader) -> Result<(), ShardError> {
    match reader.counts().keyless {
        0 => Ok(()),
        n => Err(ShardError::Input(format!(
            "{} without a dot in the name {} to no sample: {}\nhint: run `audsem-tarify rename` first",
            counted(n, "members"),
            by_number(n, "belongs", "belong"),
            work.tar.path.display()
        ))),
    }
}
