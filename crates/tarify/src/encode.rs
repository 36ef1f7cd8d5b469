//! Video through ffmpeg: H.264 in MP4 at a fixed height and frame rate, mono sound.

use std::path::{Path, PathBuf};
use std::time::Duration;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{LeftOut, Outcome, ShardError};
use audsem_media::audio::{AudioError, Decoder};
use audsem_media::program::{MediaError, Program, Tool};
use audsem_media::video::VideoFacts;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::reason::{DropReason, Fault};
use crate::working_folder::WorkingFolder;

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

/// Longest clip in seconds; its sound is held in memory while it is measured.
const LONGEST_S: f64 = 6.0 * 3600.0;

/// Transcodes clips; may be used from several threads, one ffmpeg process each.
#[derive(Debug)]
pub struct VideoEncoder {
    ffmpeg: Program,
    decoder: Decoder,
    version: String,
    config: VideoConfig,
    temporary: WorkingFolder,
}

/// A transcoded clip, or the reason why it is left out. The error means that the disk or ffmpeg failed, and the shard
/// stays open.
pub(crate) type Encoded = Result<Outcome<Vec<u8>>, ShardError>;

impl VideoEncoder {
    /// Finds ffmpeg and makes sure that it can write what is asked for.
    ///
    /// # Errors
    /// ffmpeg is missing, or cannot write H.264 with this sound codec into MP4.
    pub fn open(config: &VideoConfig, ffmpeg: Option<&Path>, temp_dir: Option<&Path>) -> Result<Self, Error> {
        let ffmpeg = Program::find(Tool::Ffmpeg, ffmpeg)?;
        let version = ffmpeg.version()?;
        let parent = temp_dir.map_or_else(std::env::temp_dir, Path::to_owned);
        let temporary = WorkingFolder::new(&parent).map_err(CoreError::write(&parent))?;
        let decoder = Decoder::new().with_ffmpeg(ffmpeg.clone()).max_seconds(LONGEST_S);
        let encoder = Self { ffmpeg, decoder, version, config: config.clone(), temporary };
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

    /// Transcodes a clip in memory, which messages call `name`.
    ///
    /// The clip is measured before, and the MP4 after: neither a truncated clip nor a truncated MP4 is accepted, whatever
    /// the exit code of ffmpeg is.
    pub(crate) fn transcode(&self, name: &str, media: &[u8], suffix: &str) -> Encoded {
        // What the machine lacks for a moment does not fail twice; a damaged clip does. The same holds for the copy.
        let measure = || VideoFacts::measure(&self.decoder, &self.ffmpeg, media, suffix);
        let facts = match measure().or_else(|_| measure()) {
            Ok(facts) => facts,
            Err(error) => return Ok(Err(unusable(&error.of_record(name)?))),
        };
        match (facts.sound_s, facts.pictures) {
            (None, None) => {
                return Ok(Err(LeftOut::fail(Fault::Undecodable, "it has neither pictures nor sound".to_owned())));
            }
            (None, Some(_)) => return Ok(Err(LeftOut::drop(DropReason::NoAudio, String::new()))),
            (Some(_), None) => return Ok(Err(LeftOut::drop(DropReason::NoVideo, String::new()))),
            (Some(_), Some(_)) => {}
        }
        match self.attempt(name, media, &facts)? {
            Ok(copy) => Ok(Ok(copy)),
            Err(_) => self.attempt(name, media, &facts),
        }
    }

    fn attempt(&self, name: &str, media: &[u8], facts: &VideoFacts) -> Encoded {
        let copy = match self.run(media)? {
            Ok(copy) => copy,
            Err(error) => return Ok(Err(failed(error.of_record(name)?))),
        };
        let whole = VideoFacts::measure(&self.decoder, &self.ffmpeg, &copy, "mp4")
            .and_then(|copied| facts.check_copy(&copied, self.config.fps));
        match whole {
            Ok(()) => Ok(Ok(copy)),
            Err(error) => Ok(Err(LeftOut::fail(Fault::Incomplete, error.of_record(name)?.to_string()))),
        }
    }

    /// Runs ffmpeg on a clip, with the tracks that it selects by default, which are also those of [`Decoder`].
    fn run(&self, media: &[u8]) -> Result<Result<Vec<u8>, MediaError>, ShardError> {
        let folder = self.temporary.path();
        let output = tempfile::Builder::new().suffix(".mp4").tempfile_in(folder).map_err(CoreError::write(folder))?;
        let call = self.call().args(["-analyzeduration", "10000000", "-probesize", "10000000"]);
        let call = match call.input_bytes(media, folder) {
            Ok(call) => call.args(self.output_arguments()).arg(output.path()),
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = call.timeout(Duration::from_secs(self.config.timeout_s)).output() {
            return Ok(Err(error));
        }
        Ok(Ok(std::fs::read(output.path()).map_err(CoreError::read(output.path()))?))
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
}

/// The reject of a clip that ffmpeg failed on.
fn failed(error: MediaError) -> LeftOut {
    let fault = if matches!(error, MediaError::TimedOut { .. }) { Fault::TimedOut } else { Fault::Undecodable };
    LeftOut::fail(fault, error.to_string())
}

/// The reject of a clip that cannot be read to its end.
pub(crate) fn unusable(error: &AudioError) -> LeftOut {
    let fault = if matches!(error, AudioError::Truncated { .. }) { Fault::Truncated } else { Fault::Undecodable };
    LeftOut::fail(fault, error.to_string())
}

/// Where ffmpeg is and where it may put what it works on.
#[derive(Debug, Clone, Default)]
pub struct EncoderPaths {
    /// The program; found in PATH if `None`.
    pub ffmpeg: Option<PathBuf>,
    /// Folder for temporary files; the system's if `None`.
    pub temp_dir: Option<PathBuf>,
}
