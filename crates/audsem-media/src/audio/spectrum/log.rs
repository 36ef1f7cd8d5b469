//! Logarithms of power, and what depends on the loudest value of a clip.

use serde::{Deserialize, Serialize};

use super::FrontEndError;
use super::config::check;

/// The logarithm applied to the value x of a band.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LogScale {
    /// x itself.
    Linear,
    /// ln max(x, floor): Kaldi.
    Natural {
        /// The least x.
        floor: f64,
    },
    /// ln (x + offset): YAMNet.
    NaturalOffset {
        /// What is added to x.
        offset: f64,
    },
    /// log₁₀ max(x, floor).
    Log10 {
        /// The least x.
        floor: f64,
    },
    /// Decibels: `factor · (log₁₀ max(x, floor) − log₁₀ max(reference, floor))`.
    Decibels {
        /// 10 for power, 20 for magnitude.
        factor: f64,
        /// The least x; `amin` in torchaudio and librosa.
        floor: f64,
        /// What 0 dB is.
        reference: DbReference,
        /// Values are raised to this much below the loudest of the clip; `None`: they are not.
        top_db: Option<f64>,
    },
    /// log₁₀ max(x, 1e-10), raised to 8 below the largest value of the clip, plus 4, divided by 4: Whisper.
    Whisper,
}

/// What 0 dB is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DbReference {
    /// This power or magnitude.
    Value(f64),
    /// The largest of the clip; `ref=np.max` in librosa.
    Max,
}

/// The floor of power in Whisper's features.
const WHISPER_FLOOR: f64 = 1e-10;

impl LogScale {
    /// Decibels of power with 0 dB at 1 and a floor at −100 dB, the defaults of torchaudio and librosa.
    pub fn decibels(top_db: Option<f64>) -> Self {
        Self::Decibels { factor: 10.0, floor: 1e-10, reference: DbReference::Value(1.0), top_db }
    }

    /// # Errors
    /// [`FrontEndError::Config`] with the value that cannot be.
    pub(super) fn check(&self) -> Result<(), FrontEndError> {
        let positive =
            |field, value: f64| check(value.is_normal() && value > 0.0, field, value, "finite numbers above 0");
        match *self {
            Self::Linear | Self::Whisper => Ok(()),
            Self::Natural { floor } | Self::Log10 { floor } => positive("log.floor", floor),
            Self::NaturalOffset { offset } => positive("log.offset", offset),
            Self::Decibels { factor, floor, reference, top_db } => {
                positive("log.factor", factor)?;
                positive("log.floor", floor)?;
                if let DbReference::Value(value) = reference {
                    positive("log.reference", value)?;
                }
                top_db.map_or(Ok(()), |top_db| positive("log.top_db", top_db))
            }
        }
    }

    /// The part that needs one value only.
    pub(super) fn curve(&self) -> Curve {
        let log10 = |factor: f64| factor * std::f64::consts::LOG10_E;
        match *self {
            Self::Linear => Curve::Linear,
            Self::Natural { floor } => Curve::Log { floor, factor: 1.0, offset: 0.0 },
            Self::NaturalOffset { offset } => Curve::LogSum { addend: offset },
            Self::Log10 { floor } => Curve::Log { floor, factor: log10(1.0), offset: 0.0 },
            Self::Whisper => Curve::Log { floor: WHISPER_FLOOR, factor: log10(1.0), offset: 0.0 },
            Self::Decibels { factor, floor, reference, .. } => {
                let offset = match reference {
                    DbReference::Value(value) => -factor * value.max(floor).log10(),
                    DbReference::Max => 0.0,
                };
                Curve::Log { floor, factor: log10(factor), offset }
            }
        }
    }

    /// The part that needs the largest value of the clip.
    pub(super) fn finish_clip(&self, values: &mut [f32]) {
        let largest = || values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        match *self {
            Self::Whisper => {
                let least = largest() - 8.0;
                values.iter_mut().for_each(|value| *value = (value.max(least) + 4.0) / 4.0);
            }
            Self::Decibels { reference, top_db, .. } => {
                let (subtract, below) = match (reference, top_db) {
                    (DbReference::Value(_), None) => return,
                    (DbReference::Value(_), Some(top_db)) => (0.0, top_db as f32),
                    (DbReference::Max, top_db) => (largest(), top_db.map_or(f32::INFINITY, |top_db| top_db as f32)),
                };
                let least = largest() - below;
                values.iter_mut().for_each(|value| *value = value.max(least) - subtract);
            }
            Self::Linear | Self::Natural { .. } | Self::NaturalOffset { .. } | Self::Log10 { .. } => {}
        }
    }
}

/// A curve from the value of a band to its feature.
#[derive(Debug, Clone, Copy)]
pub(super) enum Curve {
    Linear,
    /// `factor · ln max(x, floor) + offset`
    Log {
        floor: f64,
        factor: f64,
        offset: f64,
    },
    /// `ln (x + addend)`
    LogSum {
        addend: f64,
    },
}

impl Curve {
    pub(super) fn apply(&self, values: &mut [f64]) {
        match *self {
            Curve::Linear => {}
            Curve::Log { floor, factor, offset } => {
                values.iter_mut().for_each(|value| *value = factor * value.max(floor).ln() + offset);
            }
            Curve::LogSum { addend } => values.iter_mut().for_each(|value| *value = (*value + addend).ln()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(scale: LogScale, power: &[f64]) -> Vec<f32> {
        let mut values = power.to_vec();
        scale.curve().apply(&mut values);
        let mut values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        scale.finish_clip(&mut values);
        values
    }

    #[test]
    fn scales_have_the_values_of_their_definitions() {
        let power = [0.0, 1e-6, 1.0, 100.0];
        assert_eq!(features(LogScale::Linear, &power), [0.0, 1e-6, 1.0, 100.0]);
        assert_eq!(features(LogScale::decibels(None), &power), [-100.0, -60.0, 0.0, 20.0]);
        assert_eq!(features(LogScale::decibels(Some(50.0)), &power), [-30.0, -30.0, 0.0, 20.0]);
        let loudest = LogScale::Decibels { factor: 20.0, floor: 1e-5, reference: DbReference::Max, top_db: None };
        assert_eq!(features(loudest, &power), [-140.0, -140.0, -40.0, 0.0]);
        assert_eq!(features(LogScale::Whisper, &power), [-0.5, -0.5, 1.0, 1.5]);
        let natural = features(LogScale::Natural { floor: 0.5 }, &power);
        let sums = features(LogScale::NaturalOffset { offset: 0.5 }, &[0.0, 0.5]);
        assert_eq!(sums, [0.5_f32.ln(), 0.0]);
        assert_eq!(natural, [0.5_f32.ln(), 0.5_f32.ln(), 0.0, 100.0_f32.ln()]);
    }
}
