//! WAV files, with sizes of 32 bits or, as RF64 and Sony Wave64, of 64.
//!
//! The chunks are parsed here, because `hound` does not report three things: the loudspeaker
//! mask, whether the data chunk is complete, and sizes left open by programs that write to a pipe.
//! `hound` then reads the samples from a header of just the format and the data.

use audsem_core::terminal::counted;

use super::error::checked_rate;
use super::{Audio, AudioError, ChannelLayout};
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
/// decoders may; [`AudioError::Truncated`], [`AudioError::Malformed`], [`AudioError::TooLong`],
/// [`AudioError::SampleRate`].
pub(super) fn decode(bytes: &[u8], max_s: f64) -> Result<Audio, AudioError> {
    let wav = walk(bytes)?;
    let promised = wav.promised.unwrap_or(wav.data.len());
    if promised > wav.data.len() {
        let what = format!("its data chunk has {} of {}", wav.data.len(), counted(promised, "bytes"));
        return Err(AudioError::Truncated { what });
    }
    let format = Format::read(wav.format)?;
    let sample_rate_hz = checked_rate(format.rate_hz)?;
    let frame_bytes = usize::from(format.block_align);
    let data = wav.data.get(..promised - promised % frame_bytes).unwrap_or_default();
    if (data.len() / frame_bytes) as f64 > max_s * f64::from(sample_rate_hz) {
        return Err(AudioError::TooLong { limit_s: max_s });
    }
    let samples = read_samples(&format, data)?;
    Ok(Audio { sample_rate_hz, layout: ChannelLayout::from_mask(format.mask, format.channels), samples })
}

/// Finds the format and the data chunk.
fn walk(bytes: &[u8]) -> Result<Wav<'_>, AudioError> {
    let is_wave64 = bytes.starts_with(b"riff");
    let (mut format, mut long_size) = (None, None);
    let mut rest = bytes.get(if is_wave64 { 40 } else { 12 }..).unwrap_or_default();
    loop {
        let Some(Chunk { id, size, body }) = Chunk::split(rest, is_wave64) else {
            return Err(AudioError::Truncated { what: "it ends before its data chunk".to_owned() });
        };
        match (id, format) {
            (b"data", Some(format)) => {
                let size = long_size.filter(|_| size == u32::MAX as usize).unwrap_or(size);
                // 0 and the largest numbers are what writers put there that cannot go back.
                let largest = if is_wave64 || long_size.is_some() { isize::MAX as usize } else { 0x7fff_f000 };
                let promised = Some(size).filter(|&size| size < largest && (size > 0 || body.len() < 2));
                let data = promised.and_then(|size| body.get(..size)).unwrap_or(body);
                return Ok(Wav { format, data, promised });
            }
            (b"fmt ", None) => format = body.get(..size),
            // RF64: the size of the file, then that of the data.
            (b"ds64", _) => {
                let size = body.get(8..16).and_then(|size| size.first_chunk()).map(|size| u64::from_le_bytes(*size));
                long_size = size.filter(|&size| size > 0).and_then(|size| usize::try_from(size).ok());
            }
            _ => {}
        }
        let aligned = size.checked_next_multiple_of(if is_wave64 { 8 } else { 2 }).unwrap_or(usize::MAX);
        rest = body.get(aligned..).unwrap_or_default();
    }
}

/// A chunk, and what follows its header.
struct Chunk<'a> {
    id: &'a [u8; 4],
    /// Bytes that belong to it.
    size: usize,
    body: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// Splits the header off. In Sony Wave64 it is a GUID that begins with the four letters, and a size of 64 bits that
    /// counts the header.
    fn split(bytes: &'a [u8], is_wave64: bool) -> Option<Chunk<'a>> {
        let id = bytes.first_chunk()?;
        if is_wave64 {
            let (head, body) = bytes.split_at_checked(24)?;
            let size = u64::from_le_bytes(*head.last_chunk()?).saturating_sub(24);
            return Some(Chunk { id, size: usize::try_from(size).unwrap_or(usize::MAX), body });
        }
        let (head, body) = bytes.split_at_checked(8)?;
        Some(Chunk { id, size: u32::from_le_bytes(*head.last_chunk()?) as usize, body })
    }
}

/// The fields of a format chunk.
#[derive(Debug)]
struct Format {
    /// 1 is integers, 3 floats.
    tag: u16,
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
        if channels == 0 || block_align == 0 {
            let what = format!("{channels} channels in blocks of {block_align} bytes");
            return Err(AudioError::Malformed { what });
        }
        let extensible = tag == 0xfffe;
        // The first two bytes of the GUID of the format are its tag.
        let tag = if extensible { short(24).unwrap_or_default() } else { tag };
        let mask = if extensible { long(20).unwrap_or_default() } else { 0 };
        if ![1, 3].contains(&tag) {
            return Err(AudioError::Unsupported { what: format!("WAV of format {tag:#x}") });
        }
        let container_bits = u32::from(block_align / channels) * 8;
        // Integers of fewer bits lie in the highest ones of their bytes, so the rest is 0 and the scale is that of
        // the whole bytes. Only the extended format may have fewer by whole bytes: ffmpeg gives noise for those.
        if block_align % channels != 0 || u32::from(bits).next_multiple_of(8) != container_bits {
            let what = format!("{bits}-bit samples of {channels} channels in blocks of {block_align} bytes");
            return Err(AudioError::Malformed { what });
        }
        Ok(Format { tag, channels, rate_hz, block_align, mask })
    }
}

/// Reads samples through `hound`, from a plain header: valid bits and loudspeakers are settled here.
fn read_samples(format: &Format, data: &[u8]) -> Result<Vec<f32>, AudioError> {
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let bits = format.block_align / format.channels * 8;
    if bits > 32 {
        return Err(AudioError::Unsupported { what: format!("WAV with {bits}-bit samples") });
    }
    let mut header = [b"RIFF".as_slice(), &[0; 4], b"WAVEfmt ", &size(16)].concat();
    header.extend([format.tag, format.channels].iter().flat_map(|field| field.to_le_bytes()));
    header.extend(format.rate_hz.to_le_bytes());
    header.extend(format.rate_hz.wrapping_mul(u32::from(format.block_align)).to_le_bytes());
    header.extend([format.block_align, bits].iter().flat_map(|field| field.to_le_bytes()));
    header.extend([b"data".as_slice(), &size(data.len())].concat());
    let unsupported = |error: hound::Error| AudioError::Unsupported { what: format!("WAV: {error}") };
    let malformed = |error: hound::Error| AudioError::Malformed { what: format!("WAV: {error}") };
    let reader = hound::WavReader::new(header.as_slice().chain(data)).map_err(unsupported)?;
    match reader.spec().sample_format {
        hound::SampleFormat::Float => reader.into_samples::<f32>().collect::<Result<_, _>>().map_err(malformed),
        hound::SampleFormat::Int => {
            // Full scale is 2^(bits − 1), as in every decoder here. Exact: a power of two.
            let scale = 1.0 / (1_u64 << (bits - 1)) as f32;
            let samples = reader.into_samples::<i32>();
            samples.map(|sample| sample.map(|value| value as f32 * scale)).collect::<Result<_, _>>().map_err(malformed)
        }
    }
}
