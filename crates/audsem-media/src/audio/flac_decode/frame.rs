//! The header of a frame (RFC 9639, section 9.1).

use super::Fault;
use super::crc::crc8;
use crate::audio::FlacInfo;

/// Two channels of which one is stored as their difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stereo {
    /// Left, left − right.
    LeftSide,
    /// Left − right, right.
    SideRight,
    /// Half of left + right, left − right.
    MidSide,
}

impl Stereo {
    /// Which channel is the difference: it has one bit more.
    pub(super) fn side(self) -> usize {
        match self {
            Stereo::SideRight => 0,
            Stereo::LeftSide | Stereo::MidSide => 1,
        }
    }

    /// Makes left and right of what is stored.
    pub(super) fn decorrelate(self, first: &mut [i64], second: &mut [i64]) {
        for (first, second) in first.iter_mut().zip(second) {
            let (a, b) = (*first, *second);
            (*first, *second) = match self {
                Stereo::LeftSide => (a, a.wrapping_sub(b)),
                Stereo::SideRight => (a.wrapping_add(b), b),
                Stereo::MidSide => {
                    // The bit lost in halving the sum is the lowest of the difference.
                    let sum = a << 1 | b & 1;
                    (sum.wrapping_add(b) >> 1, sum.wrapping_sub(b) >> 1)
                }
            };
        }
    }
}

/// What is needed to decode a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether blocks differ in size: then `number` is that of the first sample, else that of the frame.
    pub is_variable: bool,
    /// Where the frame stands in the file for which it was made.
    pub number: u64,
    /// Samples of each channel.
    pub block_size: usize,
    /// Bits per sample.
    pub bits_per_sample: u32,
    /// How two channels depend on each other, if they do.
    pub stereo: Option<Stereo>,
}

impl Header {
    /// Reads a header and gives its length in bytes.
    pub(super) fn parse(bytes: &[u8], info: &FlacInfo) -> Result<(Self, usize), Fault> {
        let (&[sync, kind, sizes, format], rest) = bytes.split_first_chunk().ok_or(Fault::Cut)?;
        if sync != 0xff || kind & 0xfe != 0xf8 {
            return Err(Fault::Bad("no frame begins where one must"));
        }
        let (number, mut rest) = coded_number(rest)?;
        let block_size = block_size(sizes >> 4, &mut rest)?;
        let sample_rate_hz = sample_rate_hz(sizes & 0xf, &mut rest)?;
        let length = bytes.len() - rest.len();
        if crc8(&bytes[..length]) != *rest.first().ok_or(Fault::Cut)? {
            return Err(Fault::Bad("a frame header does not have its checksum"));
        }
        let (channels, stereo) = channels(format >> 4)?;
        let bits_per_sample = bits_per_sample(format >> 1 & 7)?.unwrap_or(info.bits_per_sample);
        let is_variable = kind & 1 == 1;
        let bits_per_sample = u32::from(bits_per_sample);
        let header = Self { is_variable, number, block_size, bits_per_sample, stereo };
        if format & 1 != 0 {
            return Err(Fault::Bad("a reserved bit of a frame header is set"));
        }
        if sample_rate_hz.is_some_and(|rate| rate != info.sample_rate_hz) {
            return Err(Fault::Bad("a frame has another sample rate than the file"));
        }
        if channels != info.channels || bits_per_sample != u32::from(info.bits_per_sample) {
            return Err(Fault::Bad("a frame has another format than the file"));
        }
        Ok((header, length + 1))
    }
}

/// The number of the frame or of its first sample, coded as UTF-8 codes characters but with up to 36 bits, and what
/// follows it. Pieces cut from a longer file keep their numbers.
fn coded_number(bytes: &[u8]) -> Result<(u64, &[u8]), Fault> {
    let first = *bytes.first().ok_or(Fault::Cut)?;
    let length = match first.leading_ones() {
        0 => 1,
        n @ 2..=7 => n as usize,
        _ => return Err(Fault::Bad("the number of a frame is not valid")),
    };
    let (number, rest) = bytes.split_at_checked(length).ok_or(Fault::Cut)?;
    if number[1..].iter().any(|byte| byte & 0xc0 != 0x80) {
        return Err(Fault::Bad("the number of a frame is not valid"));
    }
    let head = u64::from(first) & (0xff_u64 >> first.leading_ones());
    Ok((number[1..].iter().fold(head, |number, &byte| number << 6 | u64::from(byte & 0x3f)), rest))
}

fn block_size(code: u8, rest: &mut &[u8]) -> Result<usize, Fault> {
    Ok(match code {
        0 => return Err(Fault::Bad("a frame has a reserved block size")),
        1 => 192,
        2..=5 => 144 << code,
        6 => number::<1>(rest)? + 1,
        7 => number::<2>(rest)? + 1,
        _ => 1 << code,
    })
}

/// `None` where the file's own rate holds.
fn sample_rate_hz(code: u8, rest: &mut &[u8]) -> Result<Option<u32>, Fault> {
    /// Of the codes 1 to 11.
    const RATES_HZ: [u32; 11] =
        [88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];
    Ok(match code {
        0 => None,
        1..=11 => Some(RATES_HZ[usize::from(code) - 1]),
        12 => Some(number::<1>(rest)? as u32 * 1000),
        13 => Some(number::<2>(rest)? as u32),
        14 => Some(number::<2>(rest)? as u32 * 10),
        _ => return Err(Fault::Bad("a frame has a forbidden sample rate")),
    })
}

fn channels(code: u8) -> Result<(u8, Option<Stereo>), Fault> {
    Ok(match code {
        0..=7 => (code + 1, None),
        8 => (2, Some(Stereo::LeftSide)),
        9 => (2, Some(Stereo::SideRight)),
        10 => (2, Some(Stereo::MidSide)),
        _ => return Err(Fault::Bad("a frame has a reserved channel layout")),
    })
}

/// `None` where the file's own number holds.
fn bits_per_sample(code: u8) -> Result<Option<u8>, Fault> {
    Ok(match code {
        0 => None,
        1 => Some(8),
        2 => Some(12),
        4 => Some(16),
        5 => Some(20),
        6 => Some(24),
        7 => Some(32),
        _ => return Err(Fault::Bad("a frame has a reserved sample size")),
    })
}

/// Takes a number of `N` bytes.
fn number<const N: usize>(rest: &mut &[u8]) -> Result<usize, Fault> {
    let (bytes, after) = rest.split_first_chunk::<N>().ok_or(Fault::Cut)?;
    *rest = after;
    Ok(bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
}
