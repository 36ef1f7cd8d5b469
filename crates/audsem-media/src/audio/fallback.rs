//! Decoding by ffmpeg, for what the built-in decoders cannot read.

use super::{Audio, AudioError, wav};
use crate::program::{MediaError, Program};
use std::path::Path;
use std::time::Duration;

/// Sound decodes hundreds of times faster than it plays; a program that takes this long hangs.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Decodes the first audio track of a file to 32-bit floats.
///
/// # Errors
/// [`AudioError::NoAudioTrack`], [`AudioError::TooLong`], [`AudioError::Empty`], or
/// [`AudioError::Undecodable`] with the reason `built_in` that led here.
pub(super) fn decode(ffmpeg: &Program, file: &Path, max_s: f64, built_in: AudioError) -> Result<Audio, AudioError> {
    // One second more than accepted is enough to see that a file is too long.
    let limit = format!("{:.3}", max_s + 1.0);
    let output = ffmpeg
        .call()
        // One thread: the caller already decodes one file per core.
        .args(["-nostdin", "-v", "error", "-threads", "1", "-i"])
        .arg(file)
        .args(["-map", "0:a:0", "-t", &limit, "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"])
        .timeout(TIMEOUT)
        .output();
    match output {
        Ok(bytes) => wav::decode(&bytes, max_s),
        Err(MediaError::Failed { stderr, .. }) if stderr.contains("matches no streams") => {
            Err(AudioError::NoAudioTrack)
        }
        Err(ffmpeg) => Err(AudioError::Undecodable { built_in: Box::new(built_in), ffmpeg }),
    }
}
