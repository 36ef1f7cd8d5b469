//! `pack`: clips on disk and their table in, tars of videos out.
//!
//! ```text
//! out/00000.tar …   samples `VID (1_0-3_5).mp4`, `VID (1_0-3_5).json`, at most --per-shard each
//! out/sizes.json    how many samples each tar holds
//! ```
//!
//! Files are taken in the order of their names, whichever folder they lie in, and which tar a clip belongs to is decided before
//! anything is read: a clip that fails leaves a gap and moves no other.

mod plan;
mod table;

pub use table::TABLE_HINT;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use audsem_core::blame::Blame;
use audsem_core::parallel::ordered_map;
use audsem_core::run::{
    Fingerprint, LeftOut, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary,
};
use audsem_core::tar::{MAX_MEMBER_BYTES, ShardOptions};
use audsem_media::audio::check_media;
use serde::Serialize;

use crate::encode::{Encoded, EncoderPaths, VideoConfig, VideoEncoder, unusable};
use crate::error::Error;
use crate::reason::{DropReason, Fault};
use crate::sizes::write_sizes;
use crate::tar_output::TarOutput;
use crate::tars::shard_name;
use plan::{Candidate, Packable, Plan};

/// What decides the content of the tars.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folders with the clips.
    pub inputs: Vec<PathBuf>,
    /// Clip table: a CSV file, a Parquet file, or the folder of a `combine` run.
    pub table: PathBuf,
    /// How clips are transcoded; `None` packs them as they are.
    pub video: Option<VideoConfig>,
    /// Maximum number of clips per tar.
    pub per_tar: NonZeroUsize,
    /// Modification time of the members, seconds since 1970.
    pub mtime: u64,
    /// Programs and folders to work with; not part of the hashed configuration.
    pub paths: EncoderPaths,
}

/// What decides the content of the output. The content of the tars is fingerprinted shard by shard, so
/// that a tar that was repaired does not undo the others.
#[derive(Serialize)]
struct HashedConfig<'a> {
    video: Option<&'a VideoConfig>,
    per_tar: NonZeroUsize,
    mtime: u64,
    ffmpeg: Option<&'a str>,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "pack";
}

impl<'a> HashedConfig<'a> {
    fn of(config: &'a Config, encoder: Option<&'a VideoEncoder>) -> Self {
        let Config { inputs: _, table: _, video, per_tar, mtime, paths: _ } = config;
        Self { video: video.as_ref(), per_tar: *per_tar, mtime: *mtime, ffmpeg: encoder.map(VideoEncoder::version) }
    }
}

/// Packs the clips into the output folder.
///
/// # Errors
/// No folder has media, the table cannot be read, ffmpeg is missing or lacks a codec, and what
/// [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let plan = plan::plan(config, options)?;
    let encoder = match &config.video {
        Some(video) if !options.dry_run => {
            Some(VideoEncoder::open(video, config.paths.ffmpeg.as_deref(), config.paths.temp_dir.as_deref())?)
        }
        _ => None,
    };
    let hashed = HashedConfig::of(config, encoder.as_ref());
    let spec = RunSpec::new(&hashed).inputs(&plan.tables);
    let mut run = Run::open(options, spec)?;
    account_for_table(&mut run, &plan)?;
    let shards: Vec<Shard<&[Candidate]>> = (plan.candidates.chunks(config.per_tar.get()).enumerate())
        .map(|(index, work)| Shard { name: shard_name(index), fingerprint: plan::fingerprint(work), work })
        .collect();
    let step = Step { name: "part", unit: "clips", physical: "MB" };
    run.must_keep(step).explain(DropReason::ALL).explain(Fault::ALL);
    let packed = run.execute(step, &shards, |work, out| pack(config, encoder.as_ref(), work, out))?;
    write_sizes(&mut run, packed)?;
    let mut summary = run.finish()?;
    if !plan.columns_without_json.is_empty() {
        let columns: Vec<&String> = plan.columns_without_json.iter().collect();
        let names: Vec<&str> = columns.iter().map(|name| name.as_str()).collect();
        tracing::warn!("columns of bytes are not packed, because JSON cannot represent them: {}", names.join(", "));
        summary = summary.with_result("columns_not_packed", serde_json::json!(columns));
    }
    Ok(if plan.other_files > 0 { summary.with_result("other_files", plan.other_files) } else { summary })
}

/// Files the rows of the clip table that cannot be used: rows of the clips' videos, and rows
/// that do not even name their video.
fn account_for_table(run: &mut Run, plan: &Plan) -> Result<(), Error> {
    let fingerprint = run.inputs().iter().fold(Fingerprint::new(), Fingerprint::with_file);
    let fingerprint = plan.videos.iter().fold(fingerprint, Fingerprint::with).finish();
    let shard = [Shard { name: shard_name(0), fingerprint, work: () }];
    let step = Step { name: "table", unit: "rows", physical: "MB" };
    run.execute(step, &shard, |(), out| {
        for file in &plan.tables {
            crate::clip_rows::each(file, |row| match row {
                Ok(row) if plan.videos.contains(&*row.video_id) => out.file_kept(1),
                Err(row) if row.video_id.as_ref().is_none_or(|id| plan.videos.contains(&**id)) => {
                    out.file_left_out(row.place, LeftOut::fail(Fault::BadTableRow, row.problem));
                }
                Ok(_) | Err(_) => {}
            })
            .map_err(ShardError::input)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Fills one tar.
fn pack(
    config: &Config,
    encoder: Option<&VideoEncoder>,
    work: &[Candidate],
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let mut tar = TarOutput::new(format!("{}.tar", out.name()), ShardOptions { mtime: config.mtime });
    let (threads, dry_run) = (out.inner_workers(), out.dry_run());
    out.expect(work.len() as u64);
    let read = |candidate| (candidate, media(encoder, dry_run, candidate));
    ordered_map(work, threads, 2 * threads, read, |(candidate, media): (&Candidate, Encoded)| {
        match (&candidate.outcome, media?) {
            (_, Err(reason)) => out.file_left_out(&candidate.name, reason),
            (Ok(clip), Ok(media)) => {
                out.work(media.len() as f64 / 1e6);
                add(&mut tar, out, clip, &media, &candidate.name)?;
            }
            (Err(reason), Ok(_)) => out.file_left_out(&candidate.name, reason.borrowed()),
        }
        Ok::<(), ShardError>(())
    })?;
    tar.close(out)
}

fn add(
    tar: &mut TarOutput,
    out: &mut ShardOutput,
    clip: &Packable,
    media: &[u8],
    name: &str,
) -> Result<(), ShardError> {
    let written = tar.write(out, &clip.key, &[(&clip.suffix, media), ("json", &clip.json)])?;
    out.file(name, written);
    Ok(())
}

/// The bytes of a clip as they go into the tar; nothing on a dry run.
fn media(encoder: Option<&VideoEncoder>, dry_run: bool, candidate: &Candidate) -> Encoded {
    if dry_run || candidate.outcome.is_err() {
        return Ok(Ok(Vec::new()));
    }
    let bytes = match read_whole(&candidate.path) {
        Ok(bytes) => bytes,
        Err(error) if Blame::of_io(&error) == Blame::Surroundings => {
            return Err(ShardError::Input(format!("{}: {error}", candidate.name)));
        }
        Err(error) => return Ok(Err(LeftOut::fail(Fault::Unreadable, error.to_string()))),
    };
    let suffix = candidate.path.extension().and_then(OsStr::to_str).unwrap_or_default();
    match encoder {
        Some(encoder) => encoder.transcode(&candidate.name, &bytes, suffix),
        None => match check_media(&bytes, Some(suffix)) {
            Ok(()) => Ok(Ok(bytes)),
            Err(error) => Ok(Err(unusable(&error))),
        },
    }
}

/// The bytes of a file that is not larger than what readers of tars take into memory.
fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let (file, mut bytes) = (File::open(path)?, Vec::new());
    if file.take(MAX_MEMBER_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_MEMBER_BYTES {
        return Err(io::Error::other(format!("larger than {} MiB", MAX_MEMBER_BYTES >> 20)));
    }
    Ok(bytes)
}
