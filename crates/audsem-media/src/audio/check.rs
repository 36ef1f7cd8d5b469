//! Checks whether a sound is usable for training: not empty, finite, of a sensible length, not silent.

use super::flac_decode::FlacFrames;
use super::{Audio, AudioError, Decoder, FlacInfo, probe_flac};

/// Requirements on a sound.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CheckLimits {
    /// Shortest length, in seconds.
    pub min_s: f64,
    /// Greatest length, in seconds.
    pub max_s: f64,
    /// The largest sample of any channel must be at least this, full scale 1.0.
    pub min_peak: f64,
}

impl CheckLimits {
    /// 0.1 to 300 s, peak at least 0.001.
    pub const DEFAULT: CheckLimits = CheckLimits { min_s: 0.1, max_s: 300.0, min_peak: 0.001 };
}

/// How much of a FLAC file is decoded. Other formats are always decoded whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Up to the first sample that is loud enough, and the checksum of the last frame, whose number tells the length.
    Fast,
    /// All of it, once: every frame's checksum, and the MD5 of the samples unless the header is that of a longer file.
    Full,
}

/// Facts about a sound that passed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Checked {
    /// Length in seconds.
    pub duration_s: f64,
    /// Frames per second.
    pub sample_rate_hz: u32,
    /// Number of channels.
    pub channels: usize,
    /// The largest magnitude among the samples that were decoded.
    pub peak: f64,
}

/// Why a sound did not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckFailure {
    /// It cannot be decoded, is cut short, has no samples, or samples that are not finite.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// It is too short.
    #[error("it lasts {duration_s:.3} s, less than {min_s} s")]
    TooShort {
        /// Its length.
        duration_s: f64,
        /// The limit.
        min_s: f64,
    },
    /// It is too long.
    #[error("it lasts {duration_s:.3} s, more than {max_s} s")]
    TooLong {
        /// Its length.
        duration_s: f64,
        /// The limit.
        max_s: f64,
    },
    /// It is silent, or nearly.
    #[error("its loudest sample is {peak:.6}, less than {min_peak}")]
    Quiet {
        /// Its largest magnitude.
        peak: f64,
        /// The limit.
        min_peak: f64,
    },
}

/// Checks a sound held in memory; FLAC is meant, other formats work by decoding them whole.
///
/// # Errors
/// [`CheckFailure`], the first that applies in the order of its variants.
pub fn check_audio(bytes: &[u8], limits: &CheckLimits, verify: Verify) -> Result<Checked, CheckFailure> {
    let Some(info) = probe_flac(bytes) else {
        let audio = Decoder::new().decode_bytes(bytes, None)?;
        return judge(measure(&audio), limits);
    };
    let mut flac = FlacFrames::new(bytes, &info)?;
    let counted = flac.frames_left().filter(|_| verify == Verify::Fast);
    let decoded = measure_flac(&mut flac, &info, counted.map(|_| limits.min_peak))?;
    let frames = counted.unwrap_or(decoded.frames);
    if frames == 0 {
        return Err(AudioError::Empty.into());
    }
    let checked = Checked {
        duration_s: frames as f64 / f64::from(info.sample_rate_hz),
        sample_rate_hz: info.sample_rate_hz,
        channels: usize::from(info.channels),
        peak: decoded.peak,
    };
    judge(checked, limits)
}

/// Applies the limits; samples that are not finite never get here.
fn judge(checked: Checked, limits: &CheckLimits) -> Result<Checked, CheckFailure> {
    let Checked { duration_s, peak, .. } = checked;
    if duration_s < limits.min_s {
        Err(CheckFailure::TooShort { duration_s, min_s: limits.min_s })
    } else if duration_s > limits.max_s {
        Err(CheckFailure::TooLong { duration_s, max_s: limits.max_s })
    } else if peak < limits.min_peak {
        Err(CheckFailure::Quiet { peak, min_peak: limits.min_peak })
    } else {
        Ok(checked)
    }
}

fn measure(audio: &Audio) -> Checked {
    Checked {
        duration_s: audio.duration_s(),
        sample_rate_hz: audio.sample_rate_hz,
        channels: audio.channels(),
        peak: f64::from(audio.peak()),
    }
}

/// Results of decoding.
struct Decoded {
    frames: u64,
    peak: f64,
}

/// Decodes to the end, or to the first block with a sample as loud as `stop_at`.
fn measure_flac(flac: &mut FlacFrames<'_>, info: &FlacInfo, stop_at: Option<f64>) -> Result<Decoded, AudioError> {
    let scale = 1.0 / (1_u64 << (info.bits_per_sample - 1)) as f64;
    let mut promised = info.md5.filter(|_| stop_at.is_none()).map(|md5| (md5, md5::Context::new()));
    let (mut packed, mut largest) = (Vec::new(), 0);
    while let Some(channels) = flac.next_block()? {
        largest = channels.iter().flatten().fold(largest, |largest, sample| sample.unsigned_abs().max(largest));
        if let Some((_, md5)) = &mut promised {
            interleave(channels, usize::from(info.bits_per_sample.div_ceil(8)), &mut packed);
            md5.consume(&packed);
        }
        if stop_at.is_some_and(|enough| largest as f64 * scale >= enough) {
            break;
        }
    }
    let frames = flac.frames();
    // A piece copied out of a longer file keeps that one's count and MD5, which say nothing about the piece.
    let is_a_piece = info.frames.is_some_and(|promised| promised != frames);
    if !is_a_piece && promised.is_some_and(|(promised, md5)| promised != md5.finalize().0) {
        let what = "FLAC: the samples do not have the MD5 of the header".to_owned();
        return Err(AudioError::Malformed { what });
    }
    Ok(Decoded { frames, peak: largest as f64 * scale })
}

/// The lowest bytes of each sample, least first, channel by channel within each frame: what FLAC makes
/// its MD5 of.
fn interleave(channels: &[Vec<i64>], sample_bytes: usize, packed: &mut Vec<u8>) {
    let frames = channels.first().map_or(0, Vec::len);
    packed.resize(frames * channels.len() * sample_bytes, 0);
    match sample_bytes {
        1 => interleave_bytes::<1>(channels, packed),
        2 => interleave_bytes::<2>(channels, packed),
        3 => interleave_bytes::<3>(channels, packed),
        _ => interleave_bytes::<4>(channels, packed),
    }
}

fn interleave_bytes<const N: usize>(channels: &[Vec<i64>], packed: &mut [u8]) {
    let (places, _) = packed.as_chunks_mut::<N>();
    for (index, channel) in channels.iter().enumerate() {
        for (place, sample) in places[index..].iter_mut().step_by(channels.len()).zip(channel) {
            place.copy_from_slice(&sample.to_le_bytes()[..N]);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audio::{BitDepth, encode_flac};

    /// `seconds` of a quiet and then a louder tone at 2 kHz.
    fn tone(seconds: f64, quiet: f32, loud: f32) -> Vec<f32> {
        let frames = (seconds * 2000.0).round() as usize;
        let level = |n: usize| if n < frames / 2 { quiet } else { loud };
        (0..frames).map(|n| level(n) * (n as f32 * 0.7).sin()).collect()
    }

    fn flac(samples: &[f32]) -> Vec<u8> {
        encode_flac(samples, 1, 2000, BitDepth::Sixteen).unwrap()
    }

    /// Both ways of checking, with the start of the expected message or none.
    fn check(bytes: &[u8], expected: Result<(), &str>) {
        for verify in [Verify::Fast, Verify::Full] {
            match (check_audio(bytes, &CheckLimits::DEFAULT, verify), expected) {
                (Ok(_), Ok(())) => {}
                (Err(failure), Err(start)) => assert!(failure.to_string().starts_with(start), "{failure}"),
                (found, expected) => panic!("{verify:?}: {found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn limits_are_applied() {
        check(&flac(&tone(1.0, 0.5, 0.5)), Ok(()));
        check(&flac(&tone(1.0, 0.0, 0.5)), Ok(()));
        check(&flac(&tone(0.1, 0.5, 0.5)), Ok(()));
        check(&flac(&tone(300.0, 0.5, 0.5)), Ok(()));
        check(&flac(&tone(0.05, 0.5, 0.5)), Err("it lasts 0.050 s, less than 0.1 s"));
        check(&flac(&tone(300.1, 0.5, 0.5)), Err("it lasts 300.100 s, more than 300 s"));
        check(&flac(&tone(1.0, 0.0, 0.0)), Err("its loudest sample is 0.000000, less than 0.001"));
        check(&flac(&tone(1.0, 0.0005, 0.0009)), Err("its loudest sample is 0.000885"));
        check(&flac(&tone(1.0, 0.0, 0.0011)), Ok(()));
    }

    #[test]
    fn bytes_that_are_no_sound_fail() {
        check(&[], Err("it holds no sound"));
        check(b"not a sound at all, only text", Err("the built-in decoders cannot read it"));
        let quiet_then_loud = flac(&tone(2.0, 0.0, 0.5));
        check(&quiet_then_loud[..60], Err("it is cut short"));
    }

    #[test]
    fn other_formats_are_decoded_whole() {
        let mut wav = std::io::Cursor::new(Vec::new());
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::new(&mut wav, spec).unwrap();
        for n in 0..8000 {
            writer.write_sample(if n == 77 { f32::NAN } else { 0.5 }).unwrap();
        }
        writer.finalize().unwrap();
        check(&wav.into_inner(), Err("sample 77 is NaN"));
    }

    #[test]
    fn only_full_verification_sees_damage_after_a_loud_start() {
        let good = flac(&tone(10.0, 0.5, 0.4));
        let (fast, full) = (Verify::Fast, Verify::Full);
        let limits = CheckLimits::DEFAULT;
        let cut = &good[..good.len() - 100];
        for verify in [fast, full] {
            let failure = check_audio(cut, &limits, verify).unwrap_err();
            assert!(matches!(failure, CheckFailure::Audio(AudioError::Truncated { .. })), "{failure}");
        }
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x40;
        assert!(check_audio(&flipped, &limits, fast).is_ok());
        let failure = check_audio(&flipped, &limits, full).unwrap_err();
        assert!(matches!(failure, CheckFailure::Audio(AudioError::Malformed { .. })), "{failure}");
        let mut wrong_md5 = good.clone();
        wrong_md5[30] ^= 1;
        assert!(check_audio(&wrong_md5, &limits, full).unwrap_err().to_string().contains("MD5"));
    }

    #[test]
    fn a_flipped_byte_in_the_middle_is_noticed_even_without_an_md5() {
        let mut good = flac(&tone(3.0, 0.5, 0.4));
        for with_md5 in [true, false] {
            if !with_md5 {
                good[26..42].fill(0);
            }
            check_audio(&good, &CheckLimits::DEFAULT, Verify::Full).unwrap();
            for at in good.len() / 2..good.len() / 2 + 40 {
                let mut flipped = good.clone();
                flipped[at] = !flipped[at];
                let failure = check_audio(&flipped, &CheckLimits::DEFAULT, Verify::Full).unwrap_err();
                assert!(matches!(failure, CheckFailure::Audio(_)), "byte {at}: {failure}");
            }
        }
    }

    #[test]
    fn a_header_without_length_or_md5_is_no_fault() {
        let mut streamed = flac(&tone(1.0, 0.5, 0.5));
        streamed[21] &= 0xf0;
        streamed[22..42].fill(0);
        check(&streamed, Ok(()));
        let checked = check_audio(&streamed, &CheckLimits::DEFAULT, Verify::Fast).unwrap();
        assert_eq!((checked.duration_s, checked.channels), (1.0, 1));
    }
}
