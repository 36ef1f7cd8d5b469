//! Cutting a clip out of a file with ffmpeg.

use std::path::{Path, PathBuf};
use std::time::Duration;

use audsem_core::clip_id::ClipId;
use audsem_core::run::ShardError;
use audsem_media::program::{Call, MediaError};
use serde::Serialize;

use super::probe::{Probe, Sound};
use super::{Fault, Job, Miss, Piece};
use crate::scratch::{self, full_disk};

/// How clips are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// Re-encoded, exact to the sample: H.264 and AAC in MP4; audio without video becomes FLAC.
    Exact,
    /// Copied streams, from the preceding key frame; the requested span is at the end.
    Copy,
}

/// Longest time for cutting one clip.
const LIMIT: Duration = Duration::from_secs(600);

/// Extensions of formats without an index, in which ffmpeg estimates positions from the bit rate:
/// an exact cut must be decoded from the beginning. The same holds for ADPCM in any container.
const GUESSED_SEEK: [&str; 2] = ["mp3", "aac"];

/// Cuts `clip` out of a file into `folder`.
///
/// # Errors
/// ffmpeg cannot be run, or the disk is full.
pub(super) fn cut(
    job: &Job<'_>,
    (source, facts): (&Path, Probe),
    clip: &ClipId,
    folder: &Path,
    origin: &'static str,
) -> Result<Result<Piece, Miss>, ShardError> {
    let miss = |fault, detail| Ok(Err(Miss::Media(fault, detail)));
    let Some(duration_ms) = facts.duration_ms else {
        return miss(Fault::Unreadable, source.display().to_string());
    };
    if clip.start_ms() >= duration_ms {
        return miss(Fault::Outside, format!("the media lasts {duration_ms} ms"));
    }
    if let Sound::Lasts(sound_ms) = facts.sound
        && sound_ms.saturating_add(job.config.max_missing_ms) < clip.end_ms().min(duration_ms)
    {
        return miss(Fault::SoundEnds, format!("the sound lasts {sound_ms} of {duration_ms} ms"));
    }
    let ending = source.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let (target, encode): (PathBuf, fn(Call<'_>) -> Call<'_>) = match (job.config.cut, facts.has_video) {
        (Cut::Copy, _) => (target(folder, clip, &ending), copy),
        (Cut::Exact, true) => (target(folder, clip, "mp4"), encode_video),
        (Cut::Exact, false) => (target(folder, clip, "flac"), encode_sound),
    };
    let (start, length) = (seconds(clip.start_ms()), seconds(clip.duration_ms()));
    let late = facts.is_adpcm || job.config.cut == Cut::Exact && GUESSED_SEEK.contains(&&*ending);
    let call = job.tools.ffmpeg.call().args(["-nostdin", "-v", "error", "-y"]);
    let call = if late {
        call.arg("-i").arg(source).args(["-ss", &start])
    } else {
        call.args(["-ss", &start, "-i"]).arg(source)
    };
    let call =
        call.args(["-t", &length, "-map", "0:V:0?", "-map", "0:a:0?", "-map_metadata", "-1", "-map_chapters", "-1"]);
    // No encoder version in the file and one thread: the bytes are the same on every run.
    let call = encode(call).args(["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]);
    match call.arg(&target).timeout(LIMIT).run() {
        Ok(finished) if finished.status.success() => Ok(Ok(Piece { path: target, origin })),
        Ok(finished) if full_disk(&finished.stderr) => Err(scratch::no_space(folder).into()),
        Ok(finished) => miss(Fault::CutFailed, last_line(&finished.stderr)),
        Err(error @ (MediaError::Missing { .. } | MediaError::Start { .. })) => Err(ShardError::fatal(error)),
        Err(error) => miss(Fault::CutFailed, error.to_string()),
    }
}

fn copy(call: Call<'_>) -> Call<'_> {
    call.args(["-c", "copy", "-avoid_negative_ts", "make_zero"])
}

fn encode_video(call: Call<'_>) -> Call<'_> {
    call.args(["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-threads", "1"])
        // Odd sizes cannot be stored in this pixel format.
        .args(["-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2"])
        .args(["-c:a", "aac", "-b:a", "192k", "-movflags", "+faststart"])
}

fn encode_sound(call: Call<'_>) -> Call<'_> {
    call.args(["-c:a", "flac", "-threads", "1"])
}

fn target(folder: &Path, clip: &ClipId, ending: &str) -> PathBuf {
    folder.join(format!("{clip}.{ending}"))
}

fn seconds(ms: u32) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn last_line(stderr: &str) -> String {
    stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no error message").trim().to_owned()
}
