//! Many channels to one.
//!
//! The weights are those of ffmpeg's default downmix to integer samples (`libswresample/rematrix.c`,
//! `auto_matrix` with centre and surround mix levels of √½ and no low-frequency channel): front left
//! and right √½, centre 1, back and side ½ (√½ · √½), divided by their sum so that nothing can clip.

use super::{Audio, ChannelLayout};
use std::f64::consts::FRAC_1_SQRT_2;

/// The weight of each channel in the downmix to one channel; they sum to 1.
///
/// Channels of unknown meaning, and layouts of only low-frequency or height channels, are averaged.
pub fn mono_weights(layout: ChannelLayout) -> Vec<f64> {
    let channels = layout.channels();
    let weights: Vec<f64> = match layout {
        ChannelLayout::Speakers(mask) => {
            (0..u32::BITS).filter(|bit| mask >> bit & 1 == 1).map(|bit| weight(1 << bit)).collect()
        }
        ChannelLayout::Discrete(_) => vec![0.0; channels],
    };
    let sum: f64 = weights.iter().sum();
    if channels == 1 || sum == 0.0 {
        return vec![1.0 / channels.max(1) as f64; channels];
    }
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// The weight of one loudspeaker before normalisation.
fn weight(speaker: u32) -> f64 {
    match speaker {
        ChannelLayout::FRONT_CENTRE => 1.0,
        ChannelLayout::FRONT_LEFT | ChannelLayout::FRONT_RIGHT => FRAC_1_SQRT_2,
        ChannelLayout::FRONT_LEFT_OF_CENTRE | ChannelLayout::FRONT_RIGHT_OF_CENTRE => FRAC_1_SQRT_2,
        ChannelLayout::BACK_LEFT | ChannelLayout::BACK_RIGHT | ChannelLayout::BACK_CENTRE => 0.5,
        ChannelLayout::SIDE_LEFT | ChannelLayout::SIDE_RIGHT => 0.5,
        _ => 0.0,
    }
}

impl Audio {
    /// All channels mixed to one, with the weights of [`mono_weights`].
    pub fn to_mono(&self) -> Vec<f32> {
        let channels = self.channels();
        match channels {
            0 | 1 => self.samples.clone(),
            // The common case, kept apart because the compiler vectorises it.
            2 => self.samples.chunks_exact(2).map(|pair| 0.5 * (pair[0] + pair[1])).collect(),
            _ => {
                let weights: Vec<f32> = mono_weights(self.layout).into_iter().map(|weight| weight as f32).collect();
                let mix = |frame: &[f32]| frame.iter().zip(&weights).map(|(sample, weight)| sample * weight).sum();
                self.samples.chunks_exact(channels).map(mix).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by `ffmpeg 5.1.9 -v debug -f lavfi -i anullsrc=cl=LAYOUT -ac 1 -c:a pcm_s16le`.
    #[test]
    fn weights_are_those_of_ffmpeg() {
        let check = |name: &str, mask: u32, expected: &[f64]| {
            let weights = mono_weights(ChannelLayout::Speakers(mask));
            assert_eq!(weights.len(), expected.len(), "{name}");
            for (weight, expected) in weights.iter().zip(expected) {
                assert!((weight - expected).abs() < 1e-6, "{name}: {weights:?}");
            }
        };
        check("mono", 0x4, &[1.0]);
        check("stereo", 0x3, &[0.5, 0.5]);
        check("2.1", 0xb, &[0.5, 0.5, 0.0]);
        check("3.0", 0x7, &[0.292893, 0.292893, 0.414214]);
        check("3.0(back)", 0x103, &[0.369398, 0.369398, 0.261204]);
        check("4.0", 0x107, &[0.242641, 0.242641, 0.343146, 0.171573]);
        check("quad", 0x33, &[0.292893, 0.292893, 0.207107, 0.207107]);
        check("5.1", 0x3f, &[0.207107, 0.207107, 0.292893, 0.0, 0.146447, 0.146447]);
        check("5.1(side)", 0x60f, &[0.207107, 0.207107, 0.292893, 0.0, 0.146447, 0.146447]);
        check("6.0(front)", 0x6c3, &[0.184699, 0.184699, 0.184699, 0.184699, 0.130602, 0.130602]);
        check("6.1", 0x70f, &[0.180651, 0.180651, 0.255479, 0.0, 0.127740, 0.127740, 0.127740]);
        check("7.1", 0x63f, &[0.160189, 0.160189, 0.226541, 0.0, 0.113270, 0.113270, 0.113270, 0.113270]);
        check("7.1(wide)", 0xff, &[0.146447, 0.146447, 0.207107, 0.0, 0.103553, 0.103553, 0.146447, 0.146447]);
    }

    #[test]
    fn channels_without_a_weight_are_averaged() {
        assert_eq!(mono_weights(ChannelLayout::Discrete(4)), [0.25; 4]);
        assert_eq!(mono_weights(ChannelLayout::Speakers(ChannelLayout::LOW_FREQUENCY)), [1.0]);
        assert_eq!(mono_weights(ChannelLayout::Speakers(ChannelLayout::FRONT_LEFT)), [1.0]);
        let sound = Audio {
            sample_rate_hz: 8000,
            layout: ChannelLayout::Discrete(3),
            samples: vec![0.3, 0.6, 0.9, 0.0, 0.0, 0.3],
        };
        let mono = sound.to_mono();
        assert!((mono[0] - 0.6).abs() < 1e-6 && (mono[1] - 0.1).abs() < 1e-6, "{mono:?}");
    }
}
