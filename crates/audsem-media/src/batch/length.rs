//! The length of a sound, from its header only.

use crate::audio::probe_flac;

/// Number of first bytes of a sound that hold its header, unless a picture precedes it.
pub(super) const HEAD_BYTES: u64 = 256 << 10;

/// The length in milliseconds of a sound that begins with `head` and has `n_bytes` in all; nothing where its header does
/// not tell.
pub(super) fn milliseconds(head: &[u8], n_bytes: u64) -> Option<u64> {
    if let Some(info) = probe_flac(head) {
        return info.frames.map(|frames| of_frames(frames, info.sample_rate_hz));
    }
    let wav = hound::WavReader::new(head).ok()?;
    let (spec, frames) = (wav.spec(), u64::from(wav.duration()));
    let frame_bytes = u64::from(spec.channels) * u64::from(spec.bits_per_sample.div_ceil(8));
    // A WAV written to a pipe states the maximum length.
    (spec.sample_rate > 0 && frames * frame_bytes <= n_bytes).then(|| of_frames(frames, spec.sample_rate))
}

/// The length in milliseconds of a number of samples of one channel.
pub(super) fn of_frames(frames: u64, rate_hz: u32) -> u64 {
    frames.saturating_mul(1000) / u64::from(rate_hz).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::audio::{BitDepth, encode_flac};

    use super::*;

    fn wav(seconds: u32) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        (0..seconds * 16_000).for_each(|_| writer.write_sample(1i16).unwrap());
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn headers_tell_the_length_and_others_do_not() {
        let flac = encode_flac(&vec![0.1; 12_000], 1, 8000, BitDepth::Sixteen).unwrap();
        assert_eq!(milliseconds(&flac[..42], flac.len() as u64), Some(1500));
        let wav = wav(3);
        assert_eq!(milliseconds(&wav[..60], wav.len() as u64), Some(3000));
        assert_eq!(milliseconds(&wav[..60], 1000), None, "more samples than bytes");
        for other in [&b"ID3\x04"[..], b"", b"RIFF"] {
            assert_eq!(milliseconds(other, 1000), None);
        }
    }
}
