//! WAV headers that writers get wrong or leave open.

use audsem_media::audio::{AudioError, Decoder};

const FRAMES: usize = 1000;

/// Sixteen-bit samples, and the same in the highest bytes of `bytes` each.
fn samples(bytes: usize) -> (Vec<i16>, Vec<u8>) {
    let samples: Vec<i16> = (0..FRAMES).map(|n| ((n as f32 * 0.05).sin() * 16_000.0) as i16).collect();
    let data = samples.iter().flat_map(|sample| [&[0, 0][..bytes - 2], &sample.to_le_bytes()].concat()).collect();
    (samples, data)
}

/// A mono file: plain, or in the extended format with `valid` bits.
fn wav(bits: u16, block: u16, valid: Option<u16>, size: u32, data: &[u8]) -> Vec<u8> {
    let tag = if valid.is_some() { 0xfffe_u16 } else { 1 };
    let mut format = [tag, 1].iter().flat_map(|field| field.to_le_bytes()).collect::<Vec<u8>>();
    format.extend([8000, 8000 * u32::from(block)].iter().flat_map(|field| field.to_le_bytes()));
    format.extend([block, bits].iter().flat_map(|field| field.to_le_bytes()));
    if let Some(valid) = valid {
        format.extend([22, valid, 4, 0, 1].iter().flat_map(|field: &u16| field.to_le_bytes()));
        format.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
    }
    let riff = [b"RIFF\xff\xff\xff\xffWAVEfmt ".as_slice(), &(format.len() as u32).to_le_bytes(), &format].concat();
    [&riff[..], b"data", &size.to_le_bytes(), data].concat()
}

fn check(file: &[u8], expected: &[i16]) {
    let audio = Decoder::new().decode_bytes(file, Some("wav")).unwrap();
    assert_eq!(audio.sample_rate_hz, 8000);
    assert!(audio.samples.iter().copied().eq(expected.iter().map(|&sample| f32::from(sample) / 32_768.0)));
}

#[test]
fn samples_of_fewer_bits_than_their_bytes_lie_in_the_highest() {
    for (bytes, valid) in [(2, 16), (2, 12), (3, 24), (3, 20), (3, 16), (4, 32), (4, 24), (4, 20), (4, 16)] {
        let (expected, data) = samples(bytes);
        let (bits, block) = (8 * bytes as u16, bytes as u16);
        check(&wav(bits, block, Some(valid), data.len() as u32, &data), &expected);
    }
    let (expected, data) = samples(2);
    check(&wav(12, 2, None, data.len() as u32, &data), &expected);
    // The plain format knows no 24 bits in four bytes; ffmpeg and libsndfile both give noise.
    let (_, data) = samples(4);
    let error = Decoder::new().decode_bytes(&wav(24, 4, None, data.len() as u32, &data), None).unwrap_err();
    assert!(matches!(error, AudioError::Malformed { .. }), "{error}");
}

#[test]
fn sizes_that_are_odd_open_or_too_large() {
    let (expected, data) = samples(2);
    let length = data.len() as u32;
    for open in [0, u32::MAX, 0x7fff_ffff, 0xffff_f000] {
        check(&wav(16, 2, None, open, &data), &expected);
    }
    check(&wav(16, 2, None, length + 1, &[&data[..], &[7]].concat()), &expected);
    let error = Decoder::new().decode_bytes(&wav(16, 2, None, length + 2, &data), None).unwrap_err();
    assert!(matches!(error, AudioError::Truncated { .. }), "{error}");
}
