//! Video through ffmpeg: H.264 in MP4 at a fixed height and frame rate, mono sound.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use audsem_core::error::Error as CoreError;
use audsem_core::run::LeftOut;
use audsem_media::program::{MediaError, Program, Tool};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::error::Error;
use crate::reason::{DropReason, Fault};

/// How the sound of a video is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum AudioCodec {
    /// Lossless and compact; the default.
    Flac,
    /// Lossy, understood by every player.
    Aac,
    /// 16-bit PCM; ffmpeg 7.0 writes it into MP4, 5.1 does not.
    Pcm,
}

impl AudioCodec {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flac => "flac",
            Self::Aac => "aac",
            Self::Pcm => "pcm",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            // Before version 7 ffmpeg calls FLAC in MP4 experimental.
            Self::Flac => &["-c:a", "flac", "-strict", "-2"],
            Self::Aac => &["-c:a", "aac", "-b:a", "96k"],
            Self::Pcm => &["-c:a", "pcm_s16le"],
        }
    }
}

/// What a transcoded video looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VideoConfig {
    /// Height in pixels; the width follows, even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// x264 preset.
    pub preset: String,
    /// x264 quality, 0 (lossless) to 51; 23 is its own default.
    pub crf: u8,
    /// How sound is stored.
    pub audio_codec: AudioCodec,
    /// Sample rate of the sound, mono.
    pub sample_rate_hz: u32,
    /// Seconds one clip may take.
    pub timeout_s: u64,
}

impl VideoConfig {
    /// 720 lines at 25 frames per second, as `pack` makes them.
    pub fn packed() -> Self {
        Self {
            height: 720,
            fps: 25,
            preset: "medium".to_owned(),
            crf: 23,
            audio_codec: AudioCodec::Flac,
            sample_rate_hz: 32_000,
            timeout_s: 600,
        }
    }

    /// 360 lines at 2 frames per second, as `transcode` makes them.
    pub fn small() -> Self {
        Self { height: 360, fps: 2, ..Self::packed() }
    }
}

/// Transcodes clips; may be used from several threads, one ffmpeg process each.
#[derive(Debug)]
pub struct VideoEncoder {
    ffmpeg: Program,
    version: String,
    config: VideoConfig,
    temporary: TempDir,
}

/// Why a clip was not transcoded.
#[derive(Debug)]
pub(crate) enum EncodeError {
    /// It is the clip's fault.
    Clip(LeftOut),
    /// It would happen to every clip.
    Fatal(Error),
}

impl VideoEncoder {
    /// Finds ffmpeg and makes sure that it can write what is asked for.
    ///
    /// # Errors
    /// ffmpeg is missing, or cannot write H.264 with this sound codec into MP4.
    pub fn open(config: &VideoConfig, ffmpeg: Option<&Path>, temp_dir: Option<&Path>) -> Result<Self, Error> {
        let ffmpeg = Program::find(Tool::Ffmpeg, ffmpeg)?;
        let version = ffmpeg.version()?;
        let parent = temp_dir.map_or_else(std::env::temp_dir, Path::to_owned);
        let temporary =
            tempfile::Builder::new().prefix("audsem-tarify-").tempdir_in(&parent).map_err(CoreError::write(&parent))?;
        let encoder = Self { ffmpeg, version, config: config.clone(), temporary };
        encoder.probe()?;
        Ok(encoder)
    }

    /// The first line of ffmpeg's version output, which is hashed because the version affects the bytes of the output.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Encodes two grey frames and silence: builds differ in what they were compiled with, and
    /// versions in what they put into MP4.
    fn probe(&self) -> Result<(), Error> {
        let output = self.temporary.path().join("probe.mp4");
        let result = self
            .call()
            .args(["-f", "rawvideo", "-pix_fmt", "gray", "-s", "64x64", "-r", "5", "-t", "0.4", "-i", "/dev/zero"])
            .args(["-f", "s16le", "-ar", "8000", "-ac", "1", "-t", "0.4", "-i", "/dev/zero"])
            .args(["-map", "0:v:0", "-map", "1:a:0"])
            .args(self.output_arguments())
            .arg(&output)
            .timeout(Duration::from_secs(60))
            .output();
        std::fs::remove_file(&output).ok();
        match result {
            Ok(_) => Ok(()),
            Err(MediaError::Failed { stderr, .. }) => Err(Error::CannotEncode {
                ffmpeg: self.ffmpeg.path().to_owned(),
                version: self.version.clone(),
                codec: self.config.audio_codec.name(),
                detail: stderr.lines().next().unwrap_or_default().trim().to_owned(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Transcodes a file and returns the MP4.
    pub(crate) fn file(&self, source: &Path) -> Result<Vec<u8>, EncodeError> {
        let output = self.temporary_file("mp4", &[])?;
        let result = self
            .call()
            .args(["-analyzeduration", "10000000", "-probesize", "10000000", "-i"])
            .arg(source)
            .args(["-map", "0:v:0", "-map", "0:a:0"])
            .args(self.output_arguments())
            .arg(output.path())
            .timeout(Duration::from_secs(self.config.timeout_s))
            .output();
        if let Err(error) = result {
            return Err(self.explain(error, source, output.path()));
        }
        let bytes = std::fs::read(output.path()).map_err(|error| fatal(CoreError::read(output.path())(error)))?;
        if bytes.is_empty() {
            return Err(EncodeError::Clip(LeftOut::fail(Fault::Undecodable, "ffmpeg wrote nothing".to_owned())));
        }
        Ok(bytes)
    }

    /// Transcodes a clip in memory, through a temporary file because ffmpeg must seek in most MP4s.
    pub(crate) fn bytes(&self, media: &[u8], suffix: &str) -> Result<Vec<u8>, EncodeError> {
        let source = self.temporary_file(suffix, media)?;
        self.file(source.path())
    }

    fn temporary_file(&self, suffix: &str, content: &[u8]) -> Result<tempfile::NamedTempFile, EncodeError> {
        let folder = self.temporary.path();
        let make = || {
            let mut file = tempfile::Builder::new().suffix(&format!(".{suffix}")).tempfile_in(folder)?;
            file.write_all(content)?;
            Ok(file)
        };
        make().map_err(|error| fatal(CoreError::write(folder)(error)))
    }

    /// One thread: as many processes run as there are workers, and x264 gives the same bytes only
    /// for the same number of threads.
    fn call(&self) -> audsem_media::program::Call<'_> {
        self.ffmpeg.call().args(["-nostdin", "-v", "error", "-y", "-filter_threads", "1", "-threads", "1"])
    }

    fn output_arguments(&self) -> Vec<String> {
        let config = &self.config;
        // Frames are dropped before they are scaled; -2 keeps the width even, as H.264 needs.
        let filter = format!("fps={},scale=-2:{},format=yuv420p", config.fps, config.height);
        let mut arguments: Vec<String> = ["-vf", &filter, "-c:v", "libx264", "-threads", "1"].map(Into::into).into();
        arguments.extend(["-preset".to_owned(), config.preset.clone(), "-crf".to_owned(), config.crf.to_string()]);
        arguments.extend(config.audio_codec.arguments().iter().map(ToString::to_string));
        arguments.extend(["-ar".to_owned(), config.sample_rate_hz.to_string()]);
        // No dates, no encoder names, no tags of the source: equal input gives equal bytes.
        let plain =
            "-ac 1 -sn -dn -map_metadata -1 -map_chapters -1 -fflags +bitexact -flags:v +bitexact -flags:a +bitexact";
        arguments.extend(plain.split(' ').map(str::to_owned));
        arguments.extend(["-movflags", "+faststart", "-f", "mp4"].map(str::to_owned));
        arguments
    }

    fn explain(&self, error: MediaError, source: &Path, output: &Path) -> EncodeError {
        if error.is_unavailable() {
            return EncodeError::Fatal(error.into());
        }
        let timed_out = matches!(error, MediaError::TimedOut { .. });
        let text = without_accidents(&error.to_string(), &[(source, "input"), (output, "output")]);
        EncodeError::Clip(match (timed_out, self.missing_track(source)) {
            (true, _) => LeftOut::fail(Fault::TimedOut, text),
            (false, Some(reason)) => LeftOut::drop(reason, String::new()),
            (false, None) => LeftOut::fail(Fault::Undecodable, text),
        })
    }

    /// Asks ffmpeg which tracks a file has that it could not transcode. Its wording for "no such track"
    /// changes between versions, the list of tracks does not.
    fn missing_track(&self, source: &Path) -> Option<DropReason> {
        let call = self.ffmpeg.call().args(["-nostdin", "-hide_banner", "-i"]).arg(source);
        let listed = call.timeout(Duration::from_secs(60)).run().ok()?.stderr;
        let has = |kind: &str| listed.lines().any(|line| line.contains("Stream #") && line.contains(kind));
        match (has(": Video:"), has(": Audio:")) {
            (true, false) => Some(DropReason::NoAudio),
            (false, true) => Some(DropReason::NoVideo),
            _ => None,
        }
    }
}

/// A message without the parts that differ between equal runs: names of temporary files, and the addresses
/// that ffmpeg prints after the names of its components (`[mp4 @ 0x55a504da27c0]`).
fn without_accidents(message: &str, paths: &[(&Path, &str)]) -> String {
    let mut text = message.to_owned();
    for (path, name) in paths {
        text = text.replace(&*path.to_string_lossy(), name);
    }
    let mut parts = text.split(" @ 0x");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    plain
}

fn fatal(error: CoreError) -> EncodeError {
    EncodeError::Fatal(error.into())
}

/// Where ffmpeg is and where it may put what it works on.
#[derive(Debug, Clone, Default)]
pub struct EncoderPaths {
    /// The program; found in PATH if `None`.
    pub ffmpeg: Option<PathBuf>,
    /// Folder for temporary files; the system's if `None`.
    pub temp_dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_equal_runs_are_equal() {
        let check = |message: &str, expected: &str| {
            assert_eq!(without_accidents(message, &[(Path::new("/tmp/x1/a.mp4"), "input")]), expected);
        };
        check("[mov,mp4 @ 0x562cf6b424c0] moov atom not found", "[mov,mp4] moov atom not found");
        check("/tmp/x1/a.mp4: Invalid data", "input: Invalid data");
        check("[a @ 0x1f] [b @ 0x2] c", "[a] [b] c");
        check("nothing of the kind", "nothing of the kind");
    }
}
