//! Decoding FLAC (RFC 9639) strictly, to prove that a file is whole.
//!
//! A player conceals damage by resuming at the next valid frame. Here every frame must
//! follow the previous one and pass both of its checksums. No file is needed, no frame is copied, and
//! samples stay integers, so that their MD5 can be made from them.

mod bits;
mod crc;
mod frame;
mod subframe;

use super::flac_info::skip_id3;
use super::{AudioError, FlacInfo};
use bits::Bits;
use frame::Header;

/// Why a frame cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The data end within it.
    Cut,
    /// It breaks a rule.
    Bad(&'static str),
}

/// What the longest frame of a file can take besides its samples, bytes: header, subframe headers, checksum.
const FRAME_OVERHEAD: usize = 256;

/// The frames of a FLAC file, one after the other.
#[derive(Debug)]
pub(super) struct FlacFrames<'a> {
    info: FlacInfo,
    /// From the next frame on.
    rest: &'a [u8],
    /// Samples per channel decoded so far.
    done: u64,
    /// The samples of the frame in hand, by channel.
    channels: Vec<Vec<i64>>,
}

impl<'a> FlacFrames<'a> {
    /// Starts on a file of which [`super::probe_flac`] has given `info`.
    ///
    /// # Errors
    /// [`AudioError::Truncated`] when the data end before the first frame could begin.
    pub(super) fn new(bytes: &'a [u8], info: &FlacInfo) -> Result<Self, AudioError> {
        let cut = || AudioError::Truncated { what: "it ends within its headers".to_owned() };
        let (_, rest) = metadata(skip_id3(bytes)).ok_or_else(cut)?;
        Ok(Self { info: *info, rest, done: 0, channels: vec![Vec::new(); usize::from(info.channels)] })
    }

    /// Samples per channel decoded so far.
    pub(super) fn frames(&self) -> u64 {
        self.done
    }

    /// Decodes the next block: the samples of each channel, in the range of the file's bits. `None` at the end of the
    /// data, at a tag, and at bytes that are not a frame after as many samples as the header promises. The header alone
    /// decides nothing: a file whose streams were copied out of a longer one keeps the count of that one.
    ///
    /// # Errors
    /// [`AudioError::Truncated`], [`AudioError::Malformed`].
    pub(super) fn next_block(&mut self) -> Result<Option<&[Vec<i64>]>, AudioError> {
        if self.is_at_end() {
            return Ok(None);
        }
        match self.decode_block() {
            Ok(()) => Ok(Some(&self.channels)),
            Err(Fault::Bad(what)) => Err(AudioError::Malformed { what: format!("FLAC: {what}") }),
            Err(Fault::Cut) => {
                let seconds = |frames: u64| frames as f64 / f64::from(self.info.sample_rate_hz);
                let promise = self.info.frames.map(|frames| format!(" of {:.3} s", seconds(frames)));
                let (done, promise) = (seconds(self.done), promise.unwrap_or_default());
                Err(AudioError::Truncated { what: format!("the data end within a frame, after {done:.3} s{promise}") })
            }
        }
    }

    fn is_at_end(&self) -> bool {
        let is_tag = self.rest.starts_with(b"TAG") || self.rest.starts_with(b"APETAGEX");
        let is_complete = self.info.frames.is_some_and(|promised| self.done >= promised);
        // Another file behind it is not a tag.
        let goes_on = || self.rest.starts_with(b"fLaC") || Header::parse(self.rest, &self.info).is_ok();
        self.rest.is_empty() || is_tag || is_complete && !goes_on()
    }

    fn decode_block(&mut self) -> Result<(), Fault> {
        let (header, length) = Header::parse(self.rest, &self.info)?;
        self.channels.iter_mut().for_each(|channel| channel.resize(header.block_size, 0));
        let mut bits = Bits::new(&self.rest[length..]);
        for (index, channel) in self.channels.iter_mut().enumerate() {
            let side = header.stereo.is_some_and(|stereo| stereo.side() == index);
            subframe::decode(&mut bits, header.bits_per_sample + u32::from(side), channel)?;
        }
        self.check_sum(length + bits.bytes_begun())?;
        if let (Some(stereo), [first, second]) = (header.stereo, self.channels.as_mut_slice()) {
            stereo.decorrelate(first, second);
        }
        self.check_range(header.bits_per_sample)?;
        self.done += header.block_size as u64;
        Ok(())
    }

    /// Number of samples per channel from here to the end, computed from the numbers of the next and of the last frame.
    /// `None` if the file does not end with a whole frame.
    pub(super) fn frames_left(&self) -> Option<u64> {
        let (first, _) = Header::parse(self.rest, &self.info).ok()?;
        let last = self.last_frame(&first)?;
        let blocks = last.number.checked_sub(first.number)?;
        let before = if first.is_variable { blocks } else { blocks.checked_mul(first.block_size as u64)? };
        before.checked_add(last.block_size as u64)
    }

    /// Looks from the end backwards for a frame whose checksum is right.
    fn last_frame(&self, first: &Header) -> Option<Header> {
        let block_size = if first.is_variable { 1 << 16 } else { first.block_size };
        let sample_bits = usize::from(self.info.channels) * (usize::from(self.info.bits_per_sample) + 1);
        let longest = block_size * sample_bits / 8 + FRAME_OVERHEAD;
        let (frames, sum) = self.rest.split_last_chunk()?;
        let sum = u16::from_be_bytes(*sum);
        (frames.len().saturating_sub(longest)..frames.len()).rev().find_map(|at| {
            let frame = frames.get(at..).filter(|frame| frame.starts_with(&[0xff]))?;
            let (header, _) = Header::parse(frame, &self.info).ok()?;
            (header.is_variable == first.is_variable && crc::crc16(frame) == sum).then_some(header)
        })
    }

    /// Checks the CRC-16 behind a frame of `length` bytes and moves past it.
    fn check_sum(&mut self, length: usize) -> Result<(), Fault> {
        let (frame, rest) = self.rest.split_at_checked(length).ok_or(Fault::Cut)?;
        let (sum, rest) = rest.split_first_chunk().ok_or(Fault::Cut)?;
        if crc::crc16(frame) != u16::from_be_bytes(*sum) {
            return Err(Fault::Bad("a frame does not have its checksum"));
        }
        self.rest = rest;
        Ok(())
    }

    fn check_range(&self, bits_per_sample: u32) -> Result<(), Fault> {
        // Of a sample in range, all bits from the sign on are equal.
        let differing = |all: i64, &sample: &i64| all | (sample ^ sample >> 63);
        let used = self.channels.iter().flatten().fold(0, differing);
        if used >> (bits_per_sample - 1) == 0 { Ok(()) } else { Err(Fault::Bad("a sample is outside its range")) }
    }
}

/// A metadata block: its kind and content.
type Block<'a> = (u8, &'a [u8]);

/// The metadata blocks, and what follows the last.
fn metadata(bytes: &[u8]) -> Option<(Vec<Block<'_>>, &[u8])> {
    let mut rest = bytes.strip_prefix(b"fLaC")?;
    let mut blocks = Vec::new();
    loop {
        let (&[kind, high, middle, low], body) = rest.split_first_chunk()?;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let (block, after) = body.split_at_checked(length)?;
        blocks.push((kind & 0x7f, block));
        rest = after;
        if kind & 0x80 != 0 {
            return Some((blocks, rest));
        }
    }
}

/// Which loudspeakers the channels are for, as bits of the WAVE mask, if a comment of the file tells.
pub(super) fn speaker_mask(bytes: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x";
    const COMMENTS: u8 = 4;
    let (blocks, _) = metadata(skip_id3(bytes))?;
    let comments = blocks.into_iter().find(|(kind, _)| *kind == COMMENTS)?.1;
    let at = comments.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME))? + NAME.len();
    let digits: String =
        comments[at..].iter().map(|&byte| char::from(byte)).take_while(char::is_ascii_hexdigit).collect();
    u32::from_str_radix(&digits, 16).ok()
}

#[cfg(test)]
mod tests;
