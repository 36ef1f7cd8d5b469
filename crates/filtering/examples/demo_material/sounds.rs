//! The table of sounds, and the decoding of sounds and pictures by ffmpeg.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The sample rate of the made videos.
pub(crate) const SAMPLE_RATE_HZ: u32 = 48_000;
/// The picture size of the made videos.
pub(crate) const SIZE: (usize, usize) = (640, 360);

/// One row of `sounds.tsv`.
#[derive(Debug, Clone)]
pub(crate) struct Sound {
    pub(crate) video_id: String,
    pub(crate) path: PathBuf,
    pub(crate) caption: String,
}

/// Reads the rows of the chosen set whose package was fetched.
pub(crate) fn read_table(table: &Path, assets: &Path, quick: bool) -> Result<Vec<Sound>> {
    let text = std::fs::read_to_string(table).with_context(|| format!("cannot read {}", table.display()))?;
    let mut sounds = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [set, video_id, path, caption] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("{}: not four columns: {line}", table.display());
        };
        let path = assets.join(path);
        if (!quick || set == "quick") && path.try_exists()? {
            sounds.push(Sound { video_id: video_id.to_owned(), path, caption: caption.to_owned() });
        }
    }
    if sounds.is_empty() {
        bail!("no sound of {} is below {}\nhint: run `just assets --quick`", table.display(), assets.display());
    }
    Ok(sounds)
}

/// Decodes a sound file to mono samples at [`SAMPLE_RATE_HZ`].
pub(crate) fn decode_mono(path: &Path) -> Result<Vec<f32>> {
    let rate = SAMPLE_RATE_HZ.to_string();
    let bytes = ffmpeg(&["-i".as_ref(), path.as_os_str()], &["-vn", "-ac", "1", "-ar", &rate, "-f", "f32le", "-"])?;
    Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

/// One RGB frame that shows the picture beside a sound, or a plain one if there is no picture.
pub(crate) fn picture(sound: &Path) -> Result<Vec<u8>> {
    let found =
        ["png", "svg"].iter().map(|ext| sound.with_extension(ext)).find(|path| path.try_exists().unwrap_or(true));
    let Some(path) = found else {
        let shade = sound.as_os_str().as_encoded_bytes().iter().fold(7u8, |a, b| a.wrapping_mul(31).wrapping_add(*b));
        return Ok(plain_frame([shade, shade / 2 + 64, 255 - shade]));
    };
    let (width, height) = SIZE;
    let background = format!("color=c=white:s={width}x{height}:d=1");
    let place = format!(
        "[1]scale={}:{}:force_original_aspect_ratio=decrease[p];[0][p]overlay=(W-w)/2:(H-h)/2,format=rgb24",
        width - 40,
        height - 40
    );
    let input: [&std::ffi::OsStr; 6] =
        ["-f".as_ref(), "lavfi".as_ref(), "-i".as_ref(), background.as_ref(), "-i".as_ref(), path.as_os_str()];
    let frame = ffmpeg(&input, &["-filter_complex", &place, "-frames:v", "1", "-f", "rawvideo", "-"])?;
    if frame.len() != width * height * 3 {
        bail!("{}: ffmpeg gave {} bytes for a frame", path.display(), frame.len());
    }
    Ok(frame)
}

/// A frame of one colour.
pub(crate) fn plain_frame(rgb: [u8; 3]) -> Vec<u8> {
    rgb.iter().copied().cycle().take(SIZE.0 * SIZE.1 * 3).collect()
}

fn ffmpeg(input: &[&std::ffi::OsStr], output: &[&str]) -> Result<Vec<u8>> {
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(input)
        .args(output)
        .stdin(Stdio::null())
        .output()
        .context("cannot run ffmpeg\nhint: install it (Debian: apt-get install ffmpeg)")?;
    if !run.status.success() {
        bail!("ffmpeg {input:?}: {}", String::from_utf8_lossy(&run.stderr));
    }
    Ok(run.stdout)
}
