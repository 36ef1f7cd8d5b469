//! What can go wrong with sound.

use crate::program::MediaError;
use audsem_core::blame::Blame;
use audsem_core::run::ShardError;
use std::path::PathBuf;

/// Why something could not be decoded, resampled or encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No bytes, or a stream without a single frame.
    #[error("it holds no sound at all: 0 frames")]
    Empty,
    /// The container was read and has no audio track.
    #[error("it has no audio track")]
    NoAudioTrack,
    /// The container or codec is not one of the built-in decoders'.
    #[error("the built-in decoders cannot read it: {what}\nhint: with ffmpeg more formats can be read")]
    Unsupported {
        /// What is not supported.
        what: String,
    },
    /// The data end before the container says they should.
    #[error("it is cut short: {what}")]
    Truncated {
        /// What is missing.
        what: String,
    },
    /// The data break the rules of their format.
    #[error("it is damaged: {what}")]
    Malformed {
        /// What was found.
        what: String,
    },
    /// The built-in decoder hit a defect of its own on these bytes.
    #[error("the built-in decoder failed on it: {what}\nhint: with ffmpeg it may still be read")]
    DecoderPanicked {
        /// The message of the panic.
        what: String,
    },
    /// A sample is not a number or infinite.
    #[error("sample {index} is {value}, not a finite number")]
    NotFinite {
        /// Index of the first such sample, channels interleaved.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// The sound is longer than the decoder was told to accept.
    #[error("it is longer than {limit_s} s")]
    TooLong {
        /// The limit.
        limit_s: f64,
    },
    /// The sound stops before the pictures do, so its end is not that of the clip.
    #[error("its sound ends at {sound_s:.3} s, its pictures at {pictures_s:.3} s")]
    EndsEarly {
        /// Where the sound ends.
        sound_s: f64,
        /// Where the pictures end.
        pictures_s: f64,
    },
    /// It is not a media file but refers to other files, which a decoder might open.
    #[error("it refers to other files instead of holding media: {what}")]
    NamesFiles {
        /// The kind of playlist or reference.
        what: &'static str,
    },
    /// ffmpeg was killed, is missing or had no disk space: this says nothing about the sound.
    #[error(transparent)]
    Helper(MediaError),
    /// The built-in decoders could not read it, and ffmpeg could not either.
    #[error("{}; and {ffmpeg}", without_hint(built_in))]
    Undecodable {
        /// The error of the built-in decoders.
        built_in: Box<AudioError>,
        /// The error of ffmpeg.
        ffmpeg: MediaError,
    },
    /// A sample rate no resampler or container is made for.
    #[error("a sample rate of {rate_hz} Hz is outside {} to {} Hz", MIN_RATE_HZ, MAX_RATE_HZ)]
    SampleRate {
        /// The rate.
        rate_hz: u32,
    },
    /// The encoder refused.
    #[error("cannot write FLAC: {what}")]
    Encode {
        /// Why.
        what: String,
    },
}

/// What the built-in decoders said, without the advice to let ffmpeg try: it has.
fn without_hint(error: &AudioError) -> String {
    let text = error.to_string();
    text.split_once("\nhint:").map_or(text.as_str(), |(said, _)| said).to_owned()
}

/// The lowest sample rate that is accepted: half of the lowest rate in use (telephone, old games).
pub(super) const MIN_RATE_HZ: u32 = 1_000;
/// The highest sample rate that is accepted: the highest rate of PCM converters.
pub(super) const MAX_RATE_HZ: u32 = 768_000;

/// `rate_hz`, if it is one that can be worked with.
pub(super) fn checked_rate(rate_hz: u32) -> Result<u32, AudioError> {
    if (MIN_RATE_HZ..=MAX_RATE_HZ).contains(&rate_hz) { Ok(rate_hz) } else { Err(AudioError::SampleRate { rate_hz }) }
}

impl AudioError {
    /// The cause: the sound itself, or the disk or program that should have read it.
    pub fn blame(&self) -> Blame {
        match self {
            AudioError::Read { source, .. } => Blame::of_io(source),
            AudioError::Helper(error) => error.blame(),
            _ => Blame::Record,
        }
    }

    /// Returns the error to be filed as a reject, if the record is the cause.
    ///
    /// # Errors
    /// As [`MediaError::of_record`]: otherwise the shard stays open.
    pub fn of_record(self, record: &str) -> Result<AudioError, ShardError> {
        match self {
            AudioError::Helper(error) => error.of_record(record).map(AudioError::Helper),
            error if error.blame() == Blame::Record => Ok(error),
            error => Err(ShardError::Input(format!("{record}: {error}"))),
        }
    }
}
