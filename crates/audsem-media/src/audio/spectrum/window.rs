//! Window functions.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

/// The shape of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowShape {
    /// 0.5 − 0.5 cos.
    Hann,
    /// 0.54 − 0.46 cos.
    Hamming,
    /// 0.42 − 0.5 cos + 0.08 cos 2x, as Kaldi has it.
    Blackman,
    /// Hann to the power of 0.85, Kaldi's default.
    Povey,
    /// 1 everywhere.
    Rectangular,
}

/// A window over the samples of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// Its shape.
    pub shape: WindowShape,
    /// Length in samples. A window shorter than the frame lies in its middle, with zeros on both sides.
    pub length: usize,
    /// Whether the period is `length` (as torch, librosa and scipy do for spectra) or `length − 1` (symmetric, as Kaldi).
    pub periodic: bool,
}

impl WindowConfig {
    /// A periodic Hann window.
    pub fn hann(length: usize) -> Self {
        Self { shape: WindowShape::Hann, length, periodic: true }
    }

    /// A symmetric window, as Kaldi uses them.
    pub fn symmetric(shape: WindowShape, length: usize) -> Self {
        Self { shape, length, periodic: false }
    }

    /// The weights of all samples of a frame, in f64.
    pub(super) fn weights(&self, frame_length: usize) -> Vec<f64> {
        let mut weights = vec![0.0; frame_length];
        let before = (frame_length - self.length) / 2;
        let period = if self.periodic { self.length } else { self.length - 1 };
        for (n, weight) in weights[before..before + self.length].iter_mut().enumerate() {
            *weight = if period == 0 { 1.0 } else { self.shape.at(TAU * n as f64 / period as f64) };
        }
        weights
    }
}

impl WindowShape {
    /// The weight at an angle, where a period is 2π.
    fn at(self, angle: f64) -> f64 {
        match self {
            Self::Hann => 0.5 - 0.5 * angle.cos(),
            Self::Hamming => 0.54 - 0.46 * angle.cos(),
            Self::Blackman => 0.42 - 0.5 * angle.cos() + 0.08 * (2.0 * angle).cos(),
            Self::Povey => (0.5 - 0.5 * angle.cos()).powf(0.85),
            Self::Rectangular => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_window_lies_in_the_middle_of_its_frame() {
        let window = WindowConfig::symmetric(WindowShape::Rectangular, 3);
        assert_eq!(window.weights(6), [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]);

        assert_eq!(WindowConfig::symmetric(WindowShape::Povey, 1).weights(1), [1.0]);
    }

    #[test]
    fn periodic_and_symmetric_windows_differ_in_their_period() {
        let (periodic, symmetric) = (WindowConfig::hann(4), WindowConfig::symmetric(WindowShape::Hann, 5));
        let close = |got: &[f64], wanted: &[f64]| {
            assert!(got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-15), "{got:?}");
        };
        close(&periodic.weights(4), &[0.0, 0.5, 1.0, 0.5]);
        close(&symmetric.weights(5), &[0.0, 0.5, 1.0, 0.5, 0.0]);
    }
}
