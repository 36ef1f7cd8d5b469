//! FLAC as other programs see it.

use audsem_media::audio::{BitDepth, Decoder, encode_flac, probe_flac, quantise};
use audsem_media::program::{Program, Tool};
use proptest::prelude::*;

/// A tone, noise and silence, of a length that is not a multiple of the block.
fn sound(channels: usize) -> Vec<f32> {
    let sample = |n: u32| match n % 30_000 {
        0..10_000 => 0.9 * (n as f32 * 0.02).sin(),
        10_000..20_000 => (n.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0,
        20_000..25_000 => 0.0,
        _ => 1.5,
    };
    (0..30_011 * channels as u32).map(sample).collect()
}

#[test]
fn ffmpeg_and_our_decoder_give_back_every_bit() {
    let ffmpeg = Program::find(Tool::Ffmpeg, None).unwrap();
    for (depth, format) in [(BitDepth::Sixteen, "s16le"), (BitDepth::TwentyFour, "s24le")] {
        for channels in [1, 2] {
            let samples = sound(usize::from(channels));
            let flac = encode_flac(&samples, channels, 48_000, depth).unwrap();
            let integers: Vec<i32> = samples.iter().map(|&sample| quantise(sample, depth)).collect();
            let width = depth.bits() as usize / 8;
            let raw: Vec<u8> = integers.iter().flat_map(|value| value.to_le_bytes().into_iter().take(width)).collect();
            // A bad frame or checksum makes ffmpeg fail.
            let decode = ["-v", "error", "-xerror", "-err_detect", "crccheck+bitstream+explode", "-i", "pipe:0", "-f"];
            let theirs = ffmpeg.call().args(decode).args([format, "-"]).stdin(flac.clone()).output().unwrap();
            assert!(theirs == raw, "{channels} channels of {depth:?}");
            let ours = Decoder::new().decode_bytes(&flac, None).unwrap();
            let scale = (1 << (depth.bits() - 1)) as f32;
            let exact = ours.samples.iter().map(|sample| (sample * scale) as i32).eq(integers.iter().copied());
            assert!(exact, "{channels} channels of {depth:?}");
            assert_eq!(probe_flac(&flac).unwrap().md5.unwrap(), md5::compute(&raw).0);
            assert_eq!(encode_flac(&samples, channels, 48_000, depth).unwrap(), flac);
        }
    }
}

#[test]
fn it_is_about_as_small_as_ffmpegs() {
    let ffmpeg = Program::find(Tool::Ffmpeg, None).unwrap();
    let tones: Vec<f32> =
        (0..96_000).map(|n| 0.3 * (n as f32 * 0.01).sin() + 0.2 * (n as f32 * n as f32 * 1e-6).sin()).collect();
    let ours = encode_flac(&tones, 1, 48_000, BitDepth::Sixteen).unwrap();
    let theirs =
        ffmpeg.call().args(["-v", "error", "-i", "pipe:0", "-f", "flac", "-"]).stdin(ours.clone()).output().unwrap();
    assert!(ours.len() as f64 <= theirs.len() as f64 * 1.02, "{} bytes against {}", ours.len(), theirs.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_samples_come_back(
        samples in proptest::collection::vec(-1.2_f32..1.2, 1..600),
        stereo: bool,
        rate in prop::sample::select(vec![8_000_u32, 11_025, 44_100, 48_000, 96_000]),
    ) {
        let channels = if stereo { 2 } else { 1 };
        let samples = &samples[..samples.len() / channels * channels];
        prop_assume!(!samples.is_empty());
        let flac = encode_flac(samples, channels as u8, rate, BitDepth::Sixteen).unwrap();
        let audio = Decoder::new().decode_bytes(&flac, None).unwrap();
        prop_assert_eq!((audio.sample_rate_hz, audio.channels()), (rate, channels));
        let expected: Vec<f32> =
            samples.iter().map(|&sample| quantise(sample, BitDepth::Sixteen) as f32 / 32768.0).collect();
        prop_assert_eq!(audio.samples, expected);
    }
}
