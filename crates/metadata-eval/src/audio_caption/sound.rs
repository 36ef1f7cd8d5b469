//! Sounds as servers take them.

use std::sync::Arc;

use audsem_core::clips::MediaBytes;
use audsem_core::run::ShardError;
use audsem_media::audio::{Audio, Decoder, encode_wav, resample};
use audsem_media::batch::{ClipError, MediaFault};

/// Rate of the samples that are sent: that of the audio encoders of the common models.
const SAMPLE_RATE_HZ: u32 = 16_000;

/// A decoded clip and what is sent of it.
pub(super) struct HeardClip {
    pub key: String,
    pub place: String,
    pub text: Option<String>,
    pub duration_ms: u32,
    /// The sound: WAV, one channel, 16 bits.
    pub wav: Arc<[u8]>,
}

impl HeardClip {
    /// Decodes a sound; inside is why this sound cannot be used.
    pub(super) fn decode(sound: MediaBytes, decoder: &Decoder) -> Result<Result<Self, ClipError>, ShardError> {
        let MediaBytes { key, place, text, extension, bytes, .. } = sound;
        let audio = match decoder.decode_bytes(&bytes, Some(&extension)) {
            Ok(audio) => audio,
            Err(error) => return Ok(Err(ClipError::from(&error.of_record(&key)?))),
        };
        if audio.peak() == 0.0 {
            return Ok(Err(ClipError::new(MediaFault::Silent, "all samples are 0")));
        }
        let ms = (audio.frames() as u64).saturating_mul(1000) / u64::from(audio.sample_rate_hz).max(1);
        let duration_ms = u32::try_from(ms).unwrap_or(u32::MAX);
        Ok(wav(&audio).map(|wav| Self { key, place, text, duration_ms, wav: wav.into() }))
    }
}

/// A sound as WAV, all channels mixed to one.
fn wav(audio: &Audio) -> Result<Vec<u8>, ClipError> {
    let samples = resample(&audio.to_mono(), audio.sample_rate_hz, SAMPLE_RATE_HZ)?;
    Ok(encode_wav(&samples, 1, SAMPLE_RATE_HZ)?)
}
