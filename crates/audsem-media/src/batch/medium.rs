//! What is decoded of a clip: its sound, or its pictures.

use audsem_core::clips::{ClipContent, MediaBytes};
use audsem_core::run::{ShardError, ShardOutput, Stats, Summary};

use super::length::{HEAD_BYTES, milliseconds, of_frames};
use super::{ClipError, ClipSound};
use crate::audio::Decoder;

/// Counter of the length of all clips.
pub const MILLISECONDS: &str = "milliseconds";

/// Counter of clips whose length is known only after decoding.
const UNKNOWN_LENGTH: &str = "unknown_length";

/// What decodes each clip of a run, once for all networks.
pub trait ClipDecoder: Sync {
    /// What networks read of a decoded clip.
    type Media;

    /// The part of a clip that is decoded.
    const CONTENT: ClipContent;
    /// What progress counts, such as `s of sound`.
    const UNIT: &'static str;
    /// Bytes of a file that [`ClipDecoder::count_unread`] wants to see.
    const HEAD_BYTES: u64;

    /// Decodes a clip; the inner error is a fault of the clip.
    ///
    /// # Errors
    /// It is not the clip's fault that it could not be decoded, and its shard stays open.
    fn decode(&self, clip: &MediaBytes) -> Result<Result<DecodedClip<Self::Media>, ClipError>, ShardError>;

    /// Counts what the first bytes of a clip tell, for a dry run.
    fn count_unread(clip: &MediaBytes, out: &mut ShardOutput);

    /// Adds the amount of what was decoded to a summary.
    fn describe(summary: Summary, stats: &Stats) -> Summary;
}

/// A decoded clip and how much of it there is.
#[derive(Debug)]
pub struct DecodedClip<M> {
    /// What networks read.
    pub media: M,
    /// Length of the sound, or the time of the last frame that is looked at, in milliseconds.
    pub milliseconds: u64,
    /// A counter, and what a clip with a row adds to it.
    pub count: (&'static str, u64),
    /// What progress counts of it, in [`ClipDecoder::UNIT`].
    pub work: f64,
}

impl ClipDecoder for Decoder {
    type Media = ClipSound;

    const CONTENT: ClipContent = ClipContent::Sound;
    const UNIT: &'static str = "s of sound";
    const HEAD_BYTES: u64 = HEAD_BYTES;

    fn decode(&self, clip: &MediaBytes) -> Result<Result<DecodedClip<ClipSound>, ClipError>, ShardError> {
        Ok(match self.decode_bytes(&clip.bytes, Some(&clip.extension)) {
            Err(error) => Err(ClipError::from(&error.of_record(&clip.key)?)),
            Ok(audio) => {
                let milliseconds = of_frames(audio.frames() as u64, audio.sample_rate_hz);
                let work = audio.duration_s();
                let count = (MILLISECONDS, milliseconds);
                Ok(DecodedClip { media: ClipSound::new(audio), milliseconds, count, work })
            }
        })
    }

    fn count_unread(clip: &MediaBytes, out: &mut ShardOutput) {
        match milliseconds(&clip.bytes, clip.n_bytes) {
            Some(ms) => out.count(MILLISECONDS, ms),
            None => out.count(UNKNOWN_LENGTH, 1),
        }
    }

    fn describe(summary: Summary, stats: &Stats) -> Summary {
        let count = |name| stats.counts.get(name).copied().unwrap_or(0);
        let summary = summary.with_result("seconds_of_sound", count(MILLISECONDS) as f64 / 1000.0);
        match count(UNKNOWN_LENGTH) {
            0 => summary,
            n => summary.with_result("sounds_not_in_these_seconds", n),
        }
    }
}
