//! Checks whether the audio of a clip is usable for training, and how long it is.

use audsem_core::clip_id::ClipId;
use audsem_core::run::{LeftOut, Outcome, ShardError};
use audsem_media::audio::{
    Audio, AudioError, BitDepth, CheckFailure, Decoder, Verify as Depth, check_audio, encode_flac, probe_flac, resample,
};
use audsem_media::program::{Program, Tool};

use super::Task;
use super::config::{AudioLimits, Config, VerifyMode};
use super::reason::{DropReason, Fault};

/// Sample rate of the models: audio taken from video is stored at this rate.
const VIDEO_AUDIO_HZ: u32 = 16_000;

/// Enough bytes for a FLAC header, even after a short tag.
const HEADER_BYTES: u64 = 4096;

/// A clip that passed.
#[derive(Debug)]
pub(super) struct CheckedAudio {
    /// The FLAC: the input, or the encoded audio of a video. Only its head if no more
    /// was requested.
    pub flac: Vec<u8>,
    /// Length in milliseconds.
    pub ms: u64,
}

/// Checks clips, from any thread.
pub(super) struct AudioChecker {
    task: Task,
    limits: AudioLimits,
    decoder: Decoder,
}

impl AudioChecker {
    /// Finds ffmpeg if the task may need it; without it, fewer formats of video can be read.
    pub(super) fn new(config: &Config) -> Self {
        let mut decoder = Decoder::new();
        if config.task == Task::Video {
            match Program::find(Tool::Ffmpeg, config.ffmpeg.as_deref()) {
                Ok(ffmpeg) => decoder = decoder.with_ffmpeg(ffmpeg),
                Err(error) => tracing::warn!("some videos may not be readable: {error}"),
            }
        }
        Self { task: config.task, limits: config.audio.clone(), decoder }
    }

    /// How many bytes of a clip [`AudioChecker::check`] wants, from its beginning.
    pub(super) fn bytes_wanted(&self) -> u64 {
        if self.limits.verify == VerifyMode::None && self.task != Task::Video { HEADER_BYTES } else { u64::MAX }
    }

    /// Checks the audio of a clip from the source tar.
    ///
    /// # Errors
    /// ffmpeg was killed, is missing, or had no disk space: this says nothing about the clip.
    pub(super) fn check(&self, clip: &ClipId, media: Vec<u8>) -> Result<Outcome<CheckedAudio>, ShardError> {
        let (flac, verify) = match self.task {
            // Audio that was just encoded here is always verified in full.
            Task::Video => match self.sound_of(&media) {
                Ok(flac) => (flac, VerifyMode::Full),
                Err(error) => return Ok(Err(of_audio(error.of_record(&clip.to_string())?))),
            },
            Task::Caption | Task::Qa | Task::McQa | Task::McQaLong => (media, self.limits.verify),
        };
        Ok(self.judge(flac, verify))
    }

    fn judge(&self, flac: Vec<u8>, verify: VerifyMode) -> Outcome<CheckedAudio> {
        let Some(info) = probe_flac(&flac) else {
            return Err(LeftOut::fail(Fault::Undecodable, "it is not a FLAC file".to_owned()));
        };
        let seconds = match (verify, info.duration_s()) {
            (VerifyMode::None, Some(seconds)) => self.in_limits(seconds)?,
            (VerifyMode::None, None) => {
                return Err(LeftOut::fail(Fault::Undecodable, "its header does not state its length".to_owned()));
            }
            (VerifyMode::Full, _) => self.decode(&flac, Depth::Full)?,
            (VerifyMode::Fast, _) => self.decode(&flac, Depth::Fast)?,
        };
        Ok(CheckedAudio { flac, ms: (seconds * 1000.0).round() as u64 })
    }

    fn decode(&self, flac: &[u8], depth: Depth) -> Outcome<f64> {
        let checked = check_audio(flac, &self.limits.limits, depth);
        checked.map(|checked| checked.duration_s).map_err(of_check)
    }

    fn in_limits(&self, seconds: f64) -> Outcome<f64> {
        let limits = &self.limits.limits;
        if seconds < limits.min_s {
            return Err(LeftOut::drop(DropReason::AudioShort, format!("{seconds:.3} s")));
        }
        if seconds > limits.max_s {
            return Err(LeftOut::drop(DropReason::AudioLong, format!("{seconds:.3} s")));
        }
        Ok(seconds)
    }

    fn sound_of(&self, video: &[u8]) -> Result<Vec<u8>, AudioError> {
        let audio: Audio = self.decoder.decode_bytes(video, None)?;
        let mono = resample(&audio.to_mono(), audio.sample_rate_hz, VIDEO_AUDIO_HZ)?;
        encode_flac(&mono, 1, VIDEO_AUDIO_HZ, BitDepth::Sixteen)
    }
}

fn of_check(failure: CheckFailure) -> LeftOut {
    let detail = failure.to_string();
    match failure {
        CheckFailure::TooShort { .. } => LeftOut::drop(DropReason::AudioShort, detail),
        CheckFailure::TooLong { .. } => LeftOut::drop(DropReason::AudioLong, detail),
        CheckFailure::Quiet { .. } => LeftOut::drop(DropReason::Silent, detail),
        CheckFailure::Audio(error) => of_audio(error),
        _ => LeftOut::fail(Fault::Undecodable, detail),
    }
}

fn of_audio(error: AudioError) -> LeftOut {
    let fault = match &error {
        AudioError::NoAudioTrack => Fault::NoAudio,
        AudioError::NotFinite { .. } => Fault::NotFinite,
        _ => Fault::Undecodable,
    };
    LeftOut::fail(fault, error.to_string())
}

/// The counter of `stats.json` a length belongs to.
pub(super) fn duration_class(ms: u64) -> &'static str {
    match ms {
        0..1_000 => "under_1_s",
        1_000..2_000 => "1_to_2_s",
        2_000..5_000 => "2_to_5_s",
        5_000..10_000 => "5_to_10_s",
        10_000..30_000 => "10_to_30_s",
        _ => "30_s_and_more",
    }
}
