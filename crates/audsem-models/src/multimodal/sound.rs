//! How long a sound is on its way to a language model.

use crate::error::{Error, Result};

/// Sample rate of the sound that the networks hear.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Samples from one frame to the next.
pub const HOP_SAMPLES: usize = 160;

/// The lengths of a sound: log-mel frames, states of the audio tower and vectors that the language model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundLengths {
    /// Frames of 10 ms.
    pub frames: usize,
    /// States of 20 ms, behind the convolution with steps of 2.
    pub states: usize,
    /// Vectors of 40 ms, each the average of two states.
    pub vectors: usize,
}

impl SoundLengths {
    /// The lengths of a sound of so many samples at [`SAMPLE_RATE_HZ`], of which the first `longest` are heard.
    ///
    /// # Errors
    /// The sound is too short for one vector.
    pub fn of(samples: usize, longest: usize) -> Result<Self> {
        let frames = samples.min(longest).div_ceil(HOP_SAMPLES);
        let states = frames.div_ceil(2);
        match states / 2 {
            0 => Err(Error::SoundLength { samples, shortest: 2 * HOP_SAMPLES + 1 }),
            vectors => Ok(Self { frames, states, vectors }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_sound_has_one_vector_for_each_40_milliseconds() {
        for (samples, vectors) in [
            (480_000, 750),
            (960_000, 750),
            (160_000, 250),
            (16_000, 25),
            (16_001, 25),
            (1600, 2),
            (1000, 2),
            (500, 1),
            (321, 1),
        ] {
            assert_eq!(SoundLengths::of(samples, 480_000).unwrap().vectors, vectors, "{samples}");
        }
        assert_eq!(SoundLengths::of(5_000_000, 4_800_000).unwrap().vectors, 7500);
        for samples in [0, 1, 320] {
            let error = SoundLengths::of(samples, 480_000).unwrap_err().to_string();
            assert!(error.contains("at least 321"), "{samples}: {error}");
        }
    }
}
