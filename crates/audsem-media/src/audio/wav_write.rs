//! Writing WAV.

use std::io::Cursor;

use super::{AudioError, BitDepth, quantise};

/// Encodes samples (full scale 1.0, channels interleaved) as WAV with 16 bits.
///
/// # Errors
/// [`AudioError::Encode`] if there are no whole frames, or more bytes than the format can count.
pub fn encode_wav(samples: &[f32], channels: u16, sample_rate_hz: u32) -> Result<Vec<u8>, AudioError> {
    let spec = hound::WavSpec {
        channels,
        sample_rate: sample_rate_hz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut write = || -> Result<(), hound::Error> {
        let mut writer = hound::WavWriter::new(&mut bytes, spec)?;
        for sample in samples {
            writer.write_sample(quantise(*sample, BitDepth::Sixteen))?;
        }
        writer.finalize()
    };
    write().map_err(|error| AudioError::Encode { what: error.to_string() })?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::audio::Decoder;

    #[test]
    fn what_is_written_is_read_again() {
        let samples = [0.0, 0.5, -1.0, 1.0];
        let audio = Decoder::new().decode_bytes(&encode_wav(&samples, 2, 8000).unwrap(), Some("wav")).unwrap();
        assert_eq!((audio.channels(), audio.sample_rate_hz), (2, 8000));
        assert_eq!(audio.samples, [0.0, 0.5, -1.0, 32_767.0 / 32_768.0]);
    }
}
