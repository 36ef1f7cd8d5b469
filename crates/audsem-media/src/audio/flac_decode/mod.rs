//! Decoding FLAC (RFC 9639) strictly, to prove that a file is whole.
//!
//! A player makes the best of damaged data: it looks for the next frame that fits. Here every frame must
//! follow the one before it and pass both of its checksums. No file is needed, no frame is copied, and
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

impl From<Fault> for AudioError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Cut => AudioError::Truncated { what: "the data end within a frame".to_owned() },
            Fault::Bad(what) => AudioError::Malformed { what: format!("FLAC: {what}") },
        }
    }
}

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
        let rest = after_metadata(skip_id3(bytes)).ok_or_else(cut)?;
        Ok(Self { info: *info, rest, done: 0, channels: vec![Vec::new(); usize::from(info.channels)] })
    }

    /// Samples per channel decoded so far.
    pub(super) fn frames(&self) -> u64 {
        self.done
    }

    /// Decodes the next block: the samples of each channel, in the range of the file's bits. `None` after
    /// as many samples as the header promises, or at the end of the data.
    ///
    /// # Errors
    /// [`AudioError::Truncated`], [`AudioError::Malformed`].
    pub(super) fn next_block(&mut self) -> Result<Option<&[Vec<i64>]>, AudioError> {
        if self.rest.is_empty() || self.info.frames.is_some_and(|promised| self.done >= promised) {
            return Ok(None);
        }
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
        Ok(Some(&self.channels))
    }

    /// Checks the CRC-16 behind a frame of `length` bytes and goes on behind it.
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

/// What follows the metadata blocks.
fn after_metadata(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"fLaC")?;
    loop {
        let (&[kind, high, middle, low], body) = rest.split_first_chunk()?;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        rest = body.get(length..)?;
        if kind & 0x80 != 0 {
            return Some(rest);
        }
    }
}

#[cfg(test)]
mod tests;
