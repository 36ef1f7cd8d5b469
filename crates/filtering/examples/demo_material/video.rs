//! Made videos: sounds at known times with silence between them, each with its picture.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::sounds::{SAMPLE_RATE_HZ, Sound, decode_mono, picture, plain_frame};

/// Frames per second: the pictures stand still.
const FPS: u32 = 5;
/// Silence before the first sound and between two sounds.
const GAP_MS: u32 = 2_000;
/// A caption appears this long before its sound.
const LEAD_MS: u32 = 100;
/// Captions stay at least this long and at most this long.
const CUE_MS: (u32, u32) = (1_200, 10_600);

/// A caption of a made video: when, and of what.
#[derive(Debug, Clone)]
pub(crate) struct Cue {
    pub(crate) start_ms: u32,
    pub(crate) duration_ms: u32,
    pub(crate) text: String,
}

/// A video to be made, with everything that ffmpeg is given.
struct Timeline {
    samples: Vec<f32>,
    /// Picture and the time at which it leaves the screen.
    pictures: Vec<(Vec<u8>, u32)>,
    cues: Vec<Cue>,
}

/// Makes one video in `folder` and tells its captions. `container` is `mp4`, `mkv` or `webm`.
pub(crate) fn make(folder: &Path, sounds: &[Sound], container: &str) -> Result<Vec<Cue>> {
    let timeline = lay_out(sounds)?;
    let output = folder.join(format!("{}.{container}", sounds[0].video_id));
    encode(&timeline, container, &output).with_context(|| format!("cannot make {}", output.display()))?;
    Ok(timeline.cues)
}

fn lay_out(sounds: &[Sound]) -> Result<Timeline> {
    let mut timeline = Timeline { samples: Vec::new(), pictures: Vec::new(), cues: Vec::new() };
    for sound in sounds {
        let decoded = decode_mono(&sound.path)?;
        let cue_start_ms = to_ms(timeline.samples.len()) + GAP_MS;
        let duration_ms = (to_ms(decoded.len()) + 3 * LEAD_MS).clamp(CUE_MS.0, CUE_MS.1);
        timeline.samples.resize(to_samples(cue_start_ms + LEAD_MS), 0.0);
        timeline.samples.extend_from_slice(&decoded);
        let end = to_samples(cue_start_ms + duration_ms).max(timeline.samples.len());
        timeline.samples.resize(end, 0.0);
        timeline.pictures.push((plain_frame([32, 32, 32]), cue_start_ms));
        timeline.pictures.push((picture(&sound.path)?, to_ms(end)));
        timeline.cues.push(Cue { start_ms: cue_start_ms, duration_ms, text: sound.caption.clone() });
    }
    let end = timeline.samples.len() + to_samples(GAP_MS);
    timeline.samples.resize(end, 0.0);
    timeline.pictures.push((plain_frame([32, 32, 32]), to_ms(end)));
    Ok(timeline)
}

/// Encodes with codecs that are met in the wild: H.264 with AAC or FLAC, VP8 with Opus.
fn encode(timeline: &Timeline, container: &str, output: &Path) -> Result<()> {
    let wav = tempfile::Builder::new().suffix(".f32").tempfile().context("no room for a temporary file")?;
    let mut writer = std::io::BufWriter::new(wav.as_file());
    for sample in &timeline.samples {
        writer.write_all(&sample.to_le_bytes())?;
    }
    writer.flush()?;

    let codecs: &[&str] = match container {
        "mp4" => &["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-ac", "2"],
        "mkv" => &["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac"],
        "webm" => &["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"],
        other => bail!("no codecs known for .{other}"),
    };
    let (rate, fps) = (SAMPLE_RATE_HZ.to_string(), FPS.to_string());
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "640x360", "-r", &fps, "-i", "-"])
        .args(["-f", "f32le", "-ar", &rate, "-ac", "1", "-i"])
        .arg(wav.path())
        .args(codecs)
        .args(["-pix_fmt", "yuv420p", "-threads", "1", "-fflags", "+bitexact", "-flags", "+bitexact"])
        .arg(output)
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run ffmpeg\nhint: install it (Debian: apt-get install ffmpeg)")?;
    let mut stdin = ffmpeg.stdin.take().expect("stdin was asked for");
    let mut shown: u32 = 0;
    for (frame, until_ms) in &timeline.pictures {
        while shown * 1000 / FPS < *until_ms {
            stdin.write_all(frame)?;
            shown += 1;
        }
    }
    drop(stdin);
    let status = ffmpeg.wait()?;
    if !status.success() {
        bail!("ffmpeg ended with {status}");
    }
    Ok(())
}

fn to_ms(samples: usize) -> u32 {
    (samples as u64 * 1000 / u64::from(SAMPLE_RATE_HZ)) as u32
}

fn to_samples(ms: u32) -> usize {
    ms as usize * SAMPLE_RATE_HZ as usize / 1000
}
