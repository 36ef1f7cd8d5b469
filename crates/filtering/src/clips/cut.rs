//! One clip: media bytes to the FLAC of its last seconds.

use audsem_media::audio::{Audio, AudioError, BitDepth, encode_flac, resample};
use serde::Serialize;

/// The rate of all sound in audio shards.
pub const SAMPLE_RATE_HZ: u32 = 48_000;

/// Lengths, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limits {
    /// Shorter media are dropped.
    pub min_s: f64,
    /// Longer media are dropped.
    pub max_s: f64,
    /// Kept before the beginning of the cue, where the media have it.
    pub buffer_s: f64,
}

impl Limits {
    /// 1 to 60 s, half a second before the cue.
    pub const DEFAULT: Limits = Limits { min_s: 1.0, max_s: 60.0, buffer_s: 0.5 };
}

/// A clip as it goes into a shard.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cut {
    /// 48 kHz, one channel, 16 bits.
    pub flac: Vec<u8>,
    /// How long the media were.
    pub actual_s: f64,
}

/// Why media do not become a sample.
#[derive(Debug, thiserror::Error)]
pub(super) enum CutFailure {
    /// Shorter than [`Limits::min_s`].
    #[error("it lasts {actual_s:.3} s")]
    TooShort {
        /// Length of the media.
        actual_s: f64,
    },
    /// Longer than [`Limits::max_s`].
    #[error("it lasts {actual_s:.3} s")]
    TooLong {
        /// Length of the media.
        actual_s: f64,
    },
    /// It cannot be resampled or encoded.
    #[error(transparent)]
    Audio(#[from] AudioError),
}

/// Keeps the last `cue_s + buffer_s` seconds, or all if there is less, and makes them 48 kHz mono FLAC.
///
/// # Errors
/// [`CutFailure`].
pub(super) fn cut(mut audio: Audio, cue_s: f64, limits: &Limits) -> Result<Cut, CutFailure> {
    let actual_s = audio.duration_s();
    if actual_s < limits.min_s {
        return Err(CutFailure::TooShort { actual_s });
    }
    if actual_s > limits.max_s {
        return Err(CutFailure::TooLong { actual_s });
    }
    let frames = audio.frames();
    let wanted = ((cue_s + limits.buffer_s) * f64::from(audio.sample_rate_hz)).round() as usize;
    audio.keep_frames(frames.saturating_sub(wanted), frames);
    let mono = resample(&audio.to_mono(), audio.sample_rate_hz, SAMPLE_RATE_HZ)?;
    Ok(Cut { flac: encode_flac(&mono, 1, SAMPLE_RATE_HZ, BitDepth::Sixteen)?, actual_s })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_media::audio::{ChannelLayout, Decoder, probe_flac};

    use super::*;

    /// A ramp, so that a sample tells where it was.
    fn ramp(seconds: f64, rate: u32) -> Audio {
        let frames = (seconds * f64::from(rate)) as usize;
        let samples = (0..frames).map(|n| n as f32 / frames as f32 - 0.5).collect();
        Audio { sample_rate_hz: rate, layout: ChannelLayout::MONO, samples }
    }

    #[test]
    fn the_tail_is_kept_with_half_a_second_before() {
        let check = |media_s: f64, cue_s: f64, kept_s: f64| {
            let made = cut(ramp(media_s, 48_000), cue_s, &Limits::DEFAULT).unwrap();
            let info = probe_flac(&made.flac).unwrap();
            assert_eq!((info.sample_rate_hz, info.channels, info.bits_per_sample), (48_000, 1, 16));
            assert_eq!(info.frames, Some((kept_s * 48_000.0).round() as u64), "{media_s} {cue_s}");
            let kept = Decoder::new().decode_bytes(&made.flac, None).unwrap().samples;
            let whole = ramp(media_s, 48_000).samples;
            let first = whole[whole.len() - kept.len()];
            assert!((kept[0] - first).abs() < 1e-4 && (kept.last().unwrap() - whole.last().unwrap()).abs() < 1e-4);
        };
        check(6.0, 2.0, 2.5);
        check(2.5, 2.0, 2.5);
        check(2.2, 2.0, 2.2);
        check(1.0, 9.0, 1.0);
        check(60.0, 10.0, 10.5);
    }

    #[test]
    fn other_rates_become_48_khz_and_limits_hold() {
        let made = cut(ramp(3.0, 44_100), 1.0, &Limits::DEFAULT).unwrap();
        assert_eq!(probe_flac(&made.flac).unwrap().frames, Some(72_000));
        assert!(matches!(cut(ramp(0.9, 8_000), 1.0, &Limits::DEFAULT), Err(CutFailure::TooShort { .. })));
        assert!(matches!(cut(ramp(60.1, 8_000), 1.0, &Limits::DEFAULT), Err(CutFailure::TooLong { .. })));
    }
}
