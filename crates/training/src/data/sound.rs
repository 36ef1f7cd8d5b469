//! The sound of an example as models hear it: mono, 16 kHz, of a length that they take.

use audsem_core::blame::Blame;
use audsem_core::run::Outcome;
use audsem_media::audio::{AudioError, Decoder, resample};
use serde::{Deserialize, Serialize};

use super::DataFault;
use crate::error::{Error, Result};

/// Sample rate of what models hear.
pub(super) const SAMPLE_RATE_HZ: u32 = 16_000;

/// What becomes of a sound that is longer than the maximum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LongSound {
    /// Its beginning is used, and counted as cropped
    #[default]
    Crop,
    /// The example is left out
    Reject,
}

/// Lengths of sounds that are trained on, in samples at 16 kHz.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundConfig {
    /// Fewest samples; shorter ones are left out.
    pub min_samples: usize,
    /// Most samples.
    pub max_samples: usize,
    /// What becomes of longer ones.
    pub long: LongSound,
}

impl Default for SoundConfig {
    /// 62.5 milliseconds to 30 seconds, the span of Whisper's encoder.
    fn default() -> Self {
        Self { min_samples: 1000, max_samples: 30 * SAMPLE_RATE_HZ as usize, long: LongSound::Crop }
    }
}

/// A sound, and whether its end was cut off.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HeardSound {
    pub(super) samples: Vec<f32>,
    pub(super) cropped: bool,
}

impl SoundConfig {
    /// Decodes a sound.
    ///
    /// # Errors
    /// The disk or a helper program failed, which says nothing about the sound.
    pub(super) fn hear(&self, decoder: &Decoder, bytes: &[u8], suffix: &str) -> Result<Outcome<HeardSound>> {
        let decoded = decoder
            .decode_bytes(bytes, Some(suffix))
            .and_then(|audio| resample(&audio.to_mono(), audio.sample_rate_hz, SAMPLE_RATE_HZ));
        match decoded {
            Ok(samples) => Ok(self.fit(samples)),
            Err(error) if error.blame() == Blame::Surroundings => Err(unreadable(error)),
            Err(error) => Ok(Err(DataFault::Undecodable.left_out(error))),
        }
    }

    fn fit(&self, mut samples: Vec<f32>) -> Outcome<HeardSound> {
        let n = samples.len();
        if n < self.min_samples {
            return Err(DataFault::ShortSound.left_out(format_args!("{n} samples at 16 kHz")));
        }
        if n > self.max_samples && self.long == LongSound::Reject {
            return Err(DataFault::LongSound.left_out(format_args!("{n} samples at 16 kHz")));
        }
        samples.truncate(self.max_samples);
        Ok(HeardSound { cropped: n > self.max_samples, samples })
    }
}

fn unreadable(error: AudioError) -> Error {
    Error::Core(audsem_core::error::Error::Stage(Box::new(error)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_media::audio::{BitDepth, encode_flac};

    use super::*;

    #[test]
    fn short_sounds_are_left_out_and_long_ones_as_is_asked() {
        let hear = |frames: usize, rate: u32, long: LongSound| {
            let config = SoundConfig { min_samples: 1000, max_samples: 4000, long };
            let flac = encode_flac(&vec![0.25; frames], 1, rate, BitDepth::Sixteen).unwrap();
            let heard = config.hear(&Decoder::new(), &flac, "flac").unwrap();
            heard.map(|sound| (sound.samples.len(), sound.cropped)).map_err(|left| left.reason())
        };
        for (frames, rate, long, expected) in [
            (999, 16_000, LongSound::Crop, Err("short_sound")),
            (1000, 16_000, LongSound::Crop, Ok((1000, false))),
            (4000, 16_000, LongSound::Reject, Ok((4000, false))),
            (4001, 16_000, LongSound::Crop, Ok((4000, true))),
            (4001, 16_000, LongSound::Reject, Err("long_sound")),
            (2000, 8_000, LongSound::Reject, Ok((4000, false))),
        ] {
            assert_eq!(hear(frames, rate, long), expected, "{frames} at {rate}");
        }
        let broken = SoundConfig::default().hear(&Decoder::new(), b"fLaC and no more", "flac").unwrap();
        assert_eq!(broken.unwrap_err().reason(), "undecodable");
    }
}
