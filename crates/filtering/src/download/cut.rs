//! Cutting a clip out of a file with ffmpeg.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use audsem_core::clip_id::ClipId;
use audsem_core::run::ShardError;
use audsem_media::audio::{AudioError, Decoder, check_media};
use audsem_media::program::Call;
use serde::Serialize;

use super::probe::{Probe, Sound};
use super::{Fault, Job, Miss, Piece};

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

/// A file that clips are cut from, with its measured properties.
pub(super) type Source<'a> = (&'a Path, Probe);

/// Cuts `clip` out of a file into `folder`.
///
/// # Errors
/// ffmpeg cannot be run or was killed, or a disk is full or cannot be read.
pub(super) fn cut(
    job: &Job<'_>,
    source: Source<'_>,
    clip: &ClipId,
    folder: &Path,
    origin: &'static str,
) -> Result<Result<Piece, Miss>, ShardError> {
    if let Some(miss) = beyond(job, source, clip) {
        return Ok(Err(miss));
    }
    let target = target(job.config.cut, source, clip, folder);
    // What the machine lacks for a moment does not fail twice; media that cannot be cut do.
    let cut = match attempt(job, source, clip, &target)? {
        Ok(media_ms) => Ok(media_ms),
        Err(_) => attempt(job, source, clip, &target)?,
    };
    Ok(cut.map(|media_ms| Piece { path: target, origin, media_ms: Some(media_ms) }))
}

/// Calls ffmpeg, and checks what it has written. Returns how long that plays, in milliseconds.
fn attempt(job: &Job<'_>, source: Source<'_>, clip: &ClipId, target: &Path) -> Result<Result<u32, Miss>, ShardError> {
    match written(job, source, clip, target)? {
        Some(detail) => Ok(Err(Miss::Media(Fault::CutFailed, detail))),
        None => job.check(clip, target),
    }
}

/// Calls ffmpeg and returns what is wrong with the media, if anything.
fn written(job: &Job<'_>, source: Source<'_>, clip: &ClipId, target: &Path) -> Result<Option<String>, ShardError> {
    match call(job, source, clip).arg(target).timeout(LIMIT).run() {
        // ffmpeg leaves out what it could not read.
        Ok(finished) if finished.stderr.contains("Input/output error") => {
            Err(ShardError::Input(format!("{clip}: {}", last_line(&finished.stderr))))
        }
        Ok(finished) if finished.status.success() => damage(job.config.cut, target),
        Ok(finished) => Ok(Some(last_line(&finished.stderr))),
        Err(error) => Ok(Some(error.of_record(&clip.to_string())?.to_string())),
    }
}

/// The reason why there is nothing to cut, if so.
fn beyond(job: &Job<'_>, (source, facts): Source<'_>, clip: &ClipId) -> Option<Miss> {
    let Some(duration_ms) = facts.duration_ms else {
        return Some(Miss::Media(Fault::Unreadable, source.display().to_string()));
    };
    if clip.start_ms() >= duration_ms {
        return Some(Miss::Media(Fault::Outside, format!("the media lasts {duration_ms} ms")));
    }
    match facts.sound {
        Sound::Lasts(sound_ms)
            if sound_ms.saturating_add(job.config.max_missing_ms) < clip.end_ms().min(duration_ms) =>
        {
            Some(Miss::Media(Fault::SoundEnds, format!("the sound lasts {sound_ms} of {duration_ms} ms")))
        }
        _ => None,
    }
}

/// The call that cuts, without the name of the output file.
fn call<'a>(job: &Job<'a>, (source, facts): Source<'_>, clip: &ClipId) -> Call<'a> {
    let (start, length) = (seconds(clip.start_ms()), seconds(clip.duration_ms()));
    let late = facts.is_adpcm || job.config.cut == Cut::Exact && GUESSED_SEEK.contains(&&*ending(source));
    let call = job.tools.ffmpeg.call().args(["-nostdin", "-v", "error", "-y"]);
    let call = if late { call.input(source).args(["-ss", &start]) } else { call.args(["-ss", &start]).input(source) };
    // No -map: ffmpeg selects the same tracks as the decoders here. A cover picture is not a video.
    let call = call.args(["-t", &length, "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"]);
    let call = if facts.has_video { call } else { call.arg("-vn") };
    let call = match (job.config.cut, facts.has_video) {
        (Cut::Copy, _) => copy(call),
        (Cut::Exact, true) => encode_video(call),
        (Cut::Exact, false) => encode_sound(call),
    };
    // No encoder version in the file and one thread: the bytes are the same on every run.
    call.args(["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"])
}

/// The damage of a file that ffmpeg has written, if any: exit code 0 does not exclude a disk that became full.
fn damage(cut: Cut, made: &Path) -> Result<Option<String>, ShardError> {
    let unreadable = |error| ShardError::Input(format!("{}: {error}", made.display()));
    let bytes = std::fs::read(made).map_err(unreadable)?;
    if bytes.is_empty() {
        return Ok(Some("ffmpeg has written nothing".to_owned()));
    }
    match check_media(&bytes, made.extension().and_then(OsStr::to_str)) {
        // Copied streams may be damaged as they were in the source.
        Ok(()) | Err(AudioError::Empty) if cut == Cut::Copy => return Ok(None),
        Ok(()) | Err(AudioError::Empty) => {}
        Err(error) => return Ok(Some(error.to_string())),
    }
    match Decoder::new().max_seconds(f64::MAX).decode_file(made) {
        // Sound that only ffmpeg decodes, or none in this span, which the lengths decide; the container has been checked.
        Ok(_) | Err(AudioError::NoAudioTrack | AudioError::Unsupported { .. } | AudioError::Empty) => Ok(None),
        Err(error) => Ok(Some(error.of_record(&made.display().to_string())?.to_string())),
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

fn target(cut: Cut, (source, facts): Source<'_>, clip: &ClipId, folder: &Path) -> PathBuf {
    match (cut, facts.has_video) {
        (Cut::Copy, _) => folder.join(format!("{clip}.{}", ending(source))),
        (Cut::Exact, true) => folder.join(format!("{clip}.mp4")),
        (Cut::Exact, false) => folder.join(format!("{clip}.flac")),
    }
}

fn ending(source: &Path) -> String {
    source.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

fn seconds(ms: u32) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn last_line(stderr: &str) -> String {
    stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no error message").trim().to_owned()
}
