//! WAV files.
//!
//! The chunks are walked here, because three things matter that `hound` does not tell: the loudspeaker
//! mask, whether the data chunk is all there, and sizes left open by programs that write to a pipe.
//! `hound` then reads the samples from a header of just the format and the data.

use super::error::checked_rate;
use super::{Audio, AudioError, Layout};
use std::io::Read as _;

/// What the headers of a WAV file say.
#[derive(Debug)]
struct Wav<'a> {
    /// The format chunk, without its header.
    format: &'a [u8],
    /// The sample bytes that are there.
    data: &'a [u8],
    /// The sample bytes that should be there; `None` if the writer left the size open.
    promised: Option<usize>,
}

/// Decodes a WAV file.
///
/// # Errors
/// [`AudioError::Unsupported`] for what `hound` does not read (compressed, 64-bit), which other
/// decoders may; [`AudioError::Truncated`], [`AudioError::TooLong`], [`AudioError::SampleRate`].
pub(super) fn decode(bytes: &[u8], max_s: f64) -> Result<Audio, AudioError> {
    let wav = walk(bytes)?;
    let promised = wav.promised.unwrap_or(wav.data.len());
    if promised > wav.data.len() {
        let what = format!("its data chunk has {} of {promised} bytes", wav.data.len());
        return Err(AudioError::Truncated { what });
    }
    let format = Format::read(wav.format)?;
    let sample_rate_hz = checked_rate(format.rate_hz)?;
    let frame_bytes = usize::from(format.block_align);
    let data = wav.data.get(..promised - promised % frame_bytes).unwrap_or_default();
    if (data.len() / frame_bytes) as f64 > max_s * f64::from(sample_rate_hz) {
        return Err(AudioError::TooLong { limit_s: max_s });
    }
    let samples = read_samples(wav.format, data)?;
    Ok(Audio { sample_rate_hz, layout: Layout::from_mask(format.mask, format.channels), samples })
}

/// Finds the format and the data chunk.
fn walk(bytes: &[u8]) -> Result<Wav<'_>, AudioError> {
    let mut format = None;
    let mut rest = bytes.get(12..).unwrap_or_default();
    loop {
        let Some((head, body)) = rest.split_at_checked(8) else {
            return Err(AudioError::Truncated { what: "it ends before its data chunk".to_owned() });
        };
        let size = u32::from_le_bytes(*head.last_chunk::<4>().expect("8 bytes")) as usize;
        match (&head[..4], format) {
            (b"data", Some(format)) => {
                // 0 and the largest numbers are what writers put there that cannot go back.
                let open = size == 0 && body.len() > 1 || size >= 0x7fff_f000;
                let data = if open { body } else { body.get(..size).unwrap_or(body) };
                return Ok(Wav { format, data, promised: (!open).then_some(size) });
            }
            (b"fmt ", None) => format = body.get(..size),
            _ => {}
        }
        // Chunks are padded to even sizes.
        rest = body.get(size.saturating_add(size % 2)..).unwrap_or_default();
    }
}

/// The fields of a format chunk.
#[derive(Debug)]
struct Format {
    channels: u16,
    rate_hz: u32,
    block_align: u16,
    mask: u32,
}

impl Format {
    fn read(chunk: &[u8]) -> Result<Format, AudioError> {
        let short = |at: usize| chunk.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let long = |at: usize| chunk.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let fields = (|| Some((short(0)?, short(2)?, long(4)?, short(12)?, short(14)?)))();
        let Some((tag, channels, rate_hz, block_align, bits)) = fields else {
            return Err(AudioError::Malformed { what: "its format chunk is too short".to_owned() });
        };
        if channels == 0 || block_align == 0 || block_align % channels != 0 {
            let what = format!("{channels} channels in blocks of {block_align} bytes");
            return Err(AudioError::Malformed { what });
        }
        let extensible = tag == 0xfffe;
        let valid_bits = if extensible { short(18).unwrap_or(bits) } else { bits };
        if u32::from(valid_bits) != u32::from(block_align / channels) * 8 {
            let what = format!("{valid_bits}-bit samples in {} bytes", block_align / channels);
            return Err(AudioError::Unsupported { what });
        }
        let mask = if extensible { long(20).unwrap_or_default() } else { 0 };
        Ok(Format { channels, rate_hz, block_align, mask })
    }
}

fn read_samples(format: &[u8], data: &[u8]) -> Result<Vec<f32>, AudioError> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut header = Vec::with_capacity(format.len() + 28);
    let parts: [&[u8]; 7] = [b"RIFF", &[0; 4], b"WAVEfmt ", &size(format), format, b"data", &size(data)];
    for part in parts {
        header.extend_from_slice(part);
    }
    let unsupported = |error: hound::Error| AudioError::Unsupported { what: format!("WAV: {error}") };
    let malformed = |error: hound::Error| AudioError::Malformed { what: format!("WAV: {error}") };
    let reader = hound::WavReader::new(header.as_slice().chain(data)).map_err(unsupported)?;
    let spec = reader.spec();
    if spec.bits_per_sample > 32 {
        return Err(AudioError::Unsupported { what: format!("WAV with {}-bit samples", spec.bits_per_sample) });
    }
    match spec.sample_format {
        hound::SampleFormat::Float => reader.into_samples::<f32>().collect::<Result<_, _>>().map_err(malformed),
        hound::SampleFormat::Int => {
            // Full scale is 2^(bits − 1), as in every decoder here. Exact: a power of two.
            let scale = 1.0 / (1_u64 << (spec.bits_per_sample - 1)) as f32;
            let samples = reader.into_samples::<i32>();
            samples.map(|sample| sample.map(|value| value as f32 * scale)).collect::<Result<_, _>>().map_err(malformed)
        }
    }
}
