//! Decoding by ffmpeg, for what the built-in decoders cannot read.

use super::packets::{self, Packets};
use super::{Audio, AudioError, wav};
use crate::program::progress::{lost, temporary};
use crate::program::{MediaError, Program, Progress, address_of};
use audsem_core::blame::Blame;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::time::Duration;

/// Timeout of ffmpeg: sound decodes hundreds of times faster than it plays, so a program that takes this long hangs.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Decodes the default audio track of media held in memory to 32-bit floats: the first of those with the default flag, or
/// else of all, that have the most channels.
///
/// # Errors
/// [`AudioError::NoAudioTrack`], [`AudioError::TooLong`], [`AudioError::Empty`], [`AudioError::Helper`], or
/// [`AudioError::Undecodable`] with the reason `built_in` that led here.
pub(super) fn decode(ffmpeg: &Program, media: &[u8], max_s: f64, built_in: AudioError) -> Result<Audio, AudioError> {
    match run(ffmpeg, media, max_s, None) {
        Ok(bytes) => wav::decode(&bytes, max_s),
        Err(AudioError::Helper(MediaError::Failed { stderr, .. }))
            if stderr.contains("does not contain any stream") =>
        {
            Err(AudioError::NoAudioTrack)
        }
        Err(AudioError::Helper(ffmpeg)) if ffmpeg.blame() != Blame::Surroundings => {
            Err(AudioError::Undecodable { built_in: Box::new(built_in), ffmpeg })
        }
        Err(error) => Err(error),
    }
}

/// As [`decode`], with the packets of sound and pictures, in one run of ffmpeg: starting it takes as long as decoding a
/// clip.
///
/// # Errors
/// [`AudioError::Helper`] with whatever ffmpeg stumbled over, be it sound or pictures, or that of decoding.
pub(super) fn decode_with_packets(ffmpeg: &Program, media: &[u8], max_s: f64) -> Result<(Audio, Packets), AudioError> {
    let mut packets = temporary().map_err(AudioError::Helper)?;
    let bytes = run(ffmpeg, media, max_s, Some(&packets))?;
    let mut text = Vec::new();
    let read = packets.rewind().and_then(|()| packets.read_to_end(&mut text));
    read.map_err(|error| AudioError::Helper(lost(error)))?;
    Ok((wav::decode(&bytes, max_s)?, Packets::parse(&String::from_utf8_lossy(&text))))
}

/// A WAV file of the sound, and the list of packets in `packets`. Any failure of ffmpeg is an [`AudioError::Helper`].
fn run(ffmpeg: &Program, media: &[u8], max_s: f64, packets: Option<&File>) -> Result<Vec<u8>, AudioError> {
    // One second more than the limit is enough to detect that a file is too long.
    let limit = format!("{:.3}", max_s + 1.0);
    let progress = Progress::start().map_err(AudioError::Helper)?;
    let mut call = ffmpeg
        .call()
        // One thread: the caller already decodes one file per core.
        .args(["-nostdin", "-v", "error", "-threads", "1"])
        // A packet that cannot be decoded would be left out, and what follows would be early; a change of rate or
        // channels midway would be resampled. Both are faults.
        .args(["-xerror", "-reinit_filter", "0"])
        .input_bytes(media, &std::env::temp_dir())
        .map_err(AudioError::Helper)?
        .args(progress.arguments())
        // Times are counted again: those of chained streams go back, which would be an error too.
        .args(["-vn", "-sn", "-dn", "-af", "asetpts=N/SR/TB", "-t", &limit])
        .args(["-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]);
    if let Some(packets) = packets {
        call = call.args(packets::LISTED).arg(address_of(packets));
    }
    let bytes = call.timeout(TIMEOUT).output().map_err(AudioError::Helper)?;
    progress.check().map_err(AudioError::Helper)?;
    Ok(bytes)
}
