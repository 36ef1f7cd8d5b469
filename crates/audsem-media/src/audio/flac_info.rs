//! The header of a FLAC file.

/// The STREAMINFO block (RFC 9639, section 8.2): facts about a FLAC file that cost no decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlacInfo {
    /// Frames per second; not 0.
    pub sample_rate_hz: u32,
    /// Number of channels, 1 to 8.
    pub channels: u8,
    /// Bits per sample, 4 to 32.
    pub bits_per_sample: u8,
    /// Number of frames (samples of one channel), if the writer knew it.
    pub frames: Option<u64>,
    /// MD5 of the samples, if the writer made it.
    pub md5: Option<[u8; 16]>,
}

impl FlacInfo {
    /// Length in seconds, if the number of frames is known.
    pub fn duration_s(&self) -> Option<f64> {
        self.frames.map(|frames| frames as f64 / f64::from(self.sample_rate_hz))
    }
}

/// Reads the header of a FLAC file from its first bytes: 42 are enough, unless an ID3v2 tag is in
/// front. `None` if it is not FLAC or the header is not all there.
pub fn probe_flac(bytes: &[u8]) -> Option<FlacInfo> {
    let bytes = skip_id3(bytes);
    // The magic number, then the first block: its type (0) and length (34).
    let block = bytes.strip_prefix(b"fLaC")?;
    let (head, body) = block.split_at_checked(4)?;
    if head[0] & 0x7f != 0 || head[1..] != [0, 0, 34] {
        return None;
    }
    let info: &[u8; 34] = body.first_chunk()?;
    // After block and frame sizes: rate 20 bits, channels − 1 3 bits, bits − 1 5 bits, frames 36 bits.
    let packed = info[10..18].iter().fold(0_u64, |packed, &byte| packed << 8 | u64::from(byte));
    let (frames, md5) = (packed & 0xf_ffff_ffff, *info.last_chunk::<16>()?);
    let info = FlacInfo {
        sample_rate_hz: (packed >> 44) as u32,
        channels: (packed >> 41 & 7) as u8 + 1,
        bits_per_sample: (packed >> 36 & 31) as u8 + 1,
        frames: (frames > 0).then_some(frames),
        md5: (md5 != [0; 16]).then_some(md5),
    };
    (info.sample_rate_hz > 0).then_some(info)
}

/// What follows an ID3v2 tag, if there is one.
pub(super) fn skip_id3(bytes: &[u8]) -> &[u8] {
    let Some(head) = bytes.strip_prefix(b"ID3").and_then(|rest| rest.first_chunk::<7>()) else { return bytes };
    // Four bytes of seven bits each, without the header of ten bytes.
    let size = head[3..].iter().fold(0, |size, &byte| size << 7 | usize::from(byte & 0x7f));
    bytes.get(10 + size..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{BitDepth, encode_flac};

    #[test]
    fn the_header_is_read_with_and_without_a_tag_in_front() {
        let flac = encode_flac(&vec![0.25; 2 * 12_345], 2, 44_100, BitDepth::TwentyFour).expect("encodes");
        let info = probe_flac(&flac[..42]).expect("a header");
        assert_eq!((info.sample_rate_hz, info.channels, info.bits_per_sample), (44_100, 2, 24));
        assert_eq!((info.frames, info.md5.is_some()), (Some(12_345), true));
        assert!((info.duration_s().expect("known") - 12_345.0 / 44_100.0).abs() < 1e-12);
        let tagged = [b"ID3\x04\0\0\0\0\0\x03abc".as_slice(), &flac].concat();
        assert_eq!(probe_flac(&tagged), Some(info));
    }

    #[test]
    fn anything_else_has_no_header() {
        let flac = encode_flac(&[0.25; 100], 1, 8000, BitDepth::Sixteen).expect("encodes");
        for length in 0..42 {
            assert_eq!(probe_flac(&flac[..length]), None, "{length}");
        }
        assert_eq!(probe_flac(b"RIFF\0\0\0\0WAVEfmt "), None);
        assert_eq!(probe_flac(b"ID3\x04\0\0\x7f\x7f\x7f\x7f"), None);
        let mut no_rate = flac[..42].to_vec();
        no_rate[18..21].fill(0);
        assert_eq!(probe_flac(&no_rate), None);
    }
}
