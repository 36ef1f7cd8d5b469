#![allow(clippy::unwrap_used)]
use super::*;
use crate::audio::probe_flac;
use flac_codec::encode::{FlacSampleWriter, Options};
use std::io::Cursor;

/// All samples of a file, by channel.
fn decode(bytes: &[u8]) -> Result<Vec<Vec<i64>>, AudioError> {
    let info = probe_flac(bytes).unwrap();
    let mut flac = FlacFrames::new(bytes, &info)?;
    let mut all = vec![Vec::new(); usize::from(info.channels)];
    while let Some(channels) = flac.next_block()? {
        all.iter_mut().zip(channels).for_each(|(all, block)| all.extend_from_slice(block));
    }
    assert_eq!(flac.frames(), all[0].len() as u64);
    Ok(all)
}

/// Sound with quiet, loud, constant and noisy parts; channels that are alike and that are not.
fn sound(frames: usize, channels: u8, bits: u32, seed: u64) -> Vec<i32> {
    let full = (1_i64 << (bits - 1)) as f64;
    let mut state = seed * 2 + 1;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    };
    let mut samples = Vec::new();
    for n in 0..frames {
        let t = n as f64;
        let tone = (t * 0.03).sin() * 0.6 + (t * 0.0071).cos() * 0.3;
        for channel in 0..channels {
            let value = match n / 500 % 5 {
                0 => tone,
                1 => tone * 0.5 + noise() * 0.01 * f64::from(channel),
                2 => f64::from(channel) * 0.1,
                3 => noise(),
                // Multiples of four: the lowest bits are wasted.
                _ => (tone * full / 4.0).round() * 4.0 / full,
            };
            samples.push((value * full).clamp(-full, full - 1.0) as i32);
        }
    }
    samples
}

fn encode(samples: &[i32], channels: u8, bits: u32, options: Options) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let count = Some(samples.len() as u64);
    let mut writer = FlacSampleWriter::new(&mut bytes, options, 8000, bits, channels, count).unwrap();
    writer.write(samples).unwrap();
    writer.finalize().unwrap();
    bytes.into_inner()
}

#[test]
fn what_another_encoder_wrote_comes_back() {
    let options =
        |block: u16, order: Option<u8>| Options::default().block_size(block).unwrap().max_lpc_order(order).unwrap();
    for (bits, channels) in [(16, 1), (16, 2), (24, 2), (8, 1), (4, 3), (20, 6), (32, 2), (32, 1), (12, 8), (17, 2)] {
        for (block, order) in [(4096, Some(8)), (500, None), (192, Some(3)), (1152, Some(12)), (3333, Some(32))] {
            let samples = sound(5_003, channels, bits, u64::from(block));
            let bytes = encode(&samples, channels, bits, options(block, order));
            let decoded = decode(&bytes).unwrap();
            for (index, channel) in decoded.iter().enumerate() {
                let expected =
                    samples.iter().skip(index).step_by(usize::from(channels)).map(|&sample| i64::from(sample));
                assert!(
                    channel.iter().copied().eq(expected),
                    "{bits} bits, channel {index} of {channels}, {block}, {order:?}"
                );
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_a_frame_is_noticed() {
    let bytes = encode(&sound(1_500, 2, 16, 1), 2, 16, Options::default().block_size(576).unwrap());
    let start = bytes.len() - metadata(&bytes).unwrap().1.len();
    for at in start..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let error = decode(&damaged).expect_err("a flipped bit");
            assert!(matches!(error, AudioError::Malformed { .. } | AudioError::Truncated { .. }), "byte {at}: {error}");
        }
    }
}

#[test]
fn every_cut_is_noticed_or_leaves_fewer_samples() {
    let samples = sound(1_500, 1, 16, 2);
    let bytes = encode(&samples, 1, 16, Options::default().block_size(500).unwrap());
    let mut whole_frames = 0;
    for length in 42..bytes.len() {
        match decode(&bytes[..length]) {
            Ok(channels) => {
                assert!(channels[0].len() < samples.len() && channels[0].len() % 500 == 0);
                whole_frames += 1;
            }
            Err(error) => assert!(matches!(error, AudioError::Truncated { .. }), "{length}: {error}"),
        }
    }
    assert_eq!(whole_frames, 3, "cuts behind 0, 1 and 2 frames");
}

#[test]
fn what_follows_the_last_sample_does_not_count() {
    let samples = sound(700, 1, 16, 3);
    let mut bytes = encode(&samples, 1, 16, Options::default());
    bytes.extend_from_slice(b"TAG and more");
    assert_eq!(decode(&bytes).unwrap()[0].len(), 700);
}

/// The first and the third example of RFC 9639, appendix D: made by no encoder we use.
#[test]
fn the_examples_of_the_standard_come_out() {
    let hex = |text: &str| -> Vec<u8> {
        let digits: Vec<u8> =
            text.bytes().filter_map(|byte| (byte as char).to_digit(16)).map(|digit| digit as u8).collect();
        digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
    };
    let stereo = hex("664c6143 80000022 10001000 00000f00 000f0ac4 42f00000 00013e84 b41807dc 69030758 6a3dad1a 2e0f
        fff86918 0000bf03 58fd0312 8baa9a");
    assert_eq!(decode(&stereo).unwrap(), [[25_588], [10_416]]);
    let predicted =
        hex("664c6143 80000022 10001000 00001f00 001f07d0 00700000 0018f8f9 e396f5cb cfc6dc80 7f997790 6b32
        fff86802 0017e944 004f6f31 3d1047d2 27cb6d09 0831452b dc282222 8057a3");
    let samples = [0, 79, 111, 78, 8, -61, -90, -68, -13, 42, 67, 53, 13, -27, -46, -38, -12, 14, 24, 19, 6, -4, -5, 0];
    assert_eq!(decode(&predicted).unwrap(), [samples]);
}

/// Bits in the order a file has them.
#[derive(Default)]
struct BitWriter {
    bits: Vec<bool>,
}

impl BitWriter {
    fn put(&mut self, value: i64, width: u32) -> &mut Self {
        (0..width).rev().for_each(|bit| self.bits.push(value.checked_shr(bit).unwrap_or(0) & 1 == 1));
        self
    }

    fn rice(&mut self, value: i64, parameter: u32) -> &mut Self {
        let folded = value << 1 ^ value >> 63;
        (0..folded >> parameter).for_each(|_| self.bits.push(false));
        self.put(1, 1).put(folded, parameter)
    }

    fn bytes(&self) -> Vec<u8> {
        self.bits
            .chunks(8)
            .map(|bits| (0..8).fold(0, |byte, n| byte << 1 | u8::from(bits.get(n) == Some(&true))))
            .collect()
    }
}

/// A file of one frame: 16 bits, one channel, 8 samples, the subframe as given.
fn file(subframe: &BitWriter) -> Vec<u8> {
    let mut bytes = [b"fLaC\x80\0\0\x22".as_slice(), &[0; 34]].concat();
    // 8000 Hz, one channel, 16 bits.
    bytes[18..21].copy_from_slice(&[0x01, 0xf4, 0x00]);
    bytes[21] = 0xf0;
    // Fixed block size, 8 samples, rate and number of bits as the file has them, frame 300.
    let mut frame = vec![0xff, 0xf8, 0x60, 0x00, 0xc4, 0xac, 7];
    frame.push(crc::crc8(&frame));
    frame.extend(subframe.bytes());
    frame.extend(crc::crc16(&frame).to_be_bytes());
    [bytes, frame].concat()
}

#[test]
fn parts_encoders_seldom_write_are_understood() {
    let mut subframe = BitWriter::default();
    // First order, one wasted bit, then two partitions of parameters with 5 bits: one raw, one Rice.
    subframe.put(0b0001_0011, 8).put(1, 1).put(100, 15).put(1, 2).put(1, 4);
    subframe.put(31, 5).put(7, 5).put(-64, 7).put(63, 7).put(0, 7);
    subframe.put(17, 5).rice(-5, 17).rice(10_000, 17).rice(-10_010, 17).rice(0, 17);
    assert_eq!(decode(&file(&subframe)).unwrap(), [[200, 72, 198, 198, 188, 20_188, 168, 168]]);
}

#[test]
fn broken_rules_are_named() {
    let check = |build: fn(&mut BitWriter) -> &mut BitWriter, expected: &str| {
        let mut subframe = BitWriter::default();
        build(&mut subframe);
        let error = decode(&file(&subframe)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} instead of {expected}");
    };
    check(|bits| bits.put(0x80, 8).put(0, 16), "reserved bit of a subframe");
    check(|bits| bits.put(2 << 1, 8).put(0, 16), "reserved kind");
    check(|bits| bits.put(13 << 1, 8).put(0, 16), "reserved kind");
    check(|bits| bits.put(1, 8).put(1, 16).put(0, 16), "wastes all bits");
    check(|bits| bits.put(63 << 1, 8).put(0, 200), "shorter than its predictor");
    check(|bits| bits.put(32 << 1, 8).put(0, 16).put(15, 4).put(0, 40), "forbidden precision");
    check(|bits| bits.put(32 << 1, 8).put(0, 16).put(0, 4).put(-1, 5).put(0, 40), "forbidden precision");
    check(|bits| bits.put(8 << 1, 8).put(2, 2).put(0, 40), "reserved way");
    check(|bits| bits.put(8 << 1, 8).put(0, 2).put(4, 4).put(0, 40), "cannot be divided");
    check(|bits| bits.put(10 << 1, 8).put(0, 32).put(0, 2).put(3, 4).put(0, 40), "cannot be divided");
    // Seven times 32767 more than the sample before.
    check(
        |bits| {
            bits.put(9 << 1, 8).put(1, 16).put(0, 2).put(0, 4).put(14, 4);
            (0..7).fold(bits, |bits, _| bits.rice(32_767, 14))
        },
        "outside its range",
    );
}

#[test]
fn a_frame_of_another_format_than_the_file_is_refused() {
    let bytes = encode(&sound(600, 1, 16, 4), 1, 16, Options::default());
    for (bits, channels) in [(16, 2), (24, 1)] {
        let mut mixed = bytes.clone();
        let other = encode(&sound(600, channels, bits, 4), channels, bits, Options::default());
        mixed.truncate(bytes.len() - metadata(&bytes).unwrap().1.len());
        mixed.extend_from_slice(metadata(&other).unwrap().1);
        assert!(decode(&mixed).unwrap_err().to_string().contains("another format than the file"));
    }
}
