//! Correction for a sampler whose log-probabilities are not those of the trainer.
//!
//! A server computes with other kernels and another precision than the trainer, so that its completions come from a slightly
//! different policy. Their part of the loss is multiplied by the ratio of both probabilities, which is limited.

use serde::{Deserialize, Serialize};

/// What the ratio is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RatioLevel {
    /// Each token
    Token,
    /// The whole completion
    #[default]
    Sequence,
}

/// What happens to a ratio above the limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RatioLimit {
    /// The limit takes its place
    Truncate,
    /// What it is of does not count
    #[default]
    Mask,
}

/// The correction; its default is that of TRL 1.16.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mismatch {
    /// What the ratio is of.
    pub level: RatioLevel,
    /// What happens above the limit.
    pub limit: RatioLimit,
    /// The limit.
    pub cap: f64,
}

impl Default for Mismatch {
    fn default() -> Self {
        Self { level: RatioLevel::default(), limit: RatioLimit::default(), cap: 3.0 }
    }
}

impl Mismatch {
    /// A factor for each token, from its log-probabilities by trainer and sampler.
    pub fn factors(&self, trainer: &[f32], sampler: &[f32], mask: &[bool]) -> Vec<f64> {
        let logs = trainer.iter().zip(sampler).zip(mask);
        let logs: Vec<f64> =
            logs.map(|((a, b), counts)| if *counts { f64::from(*a) - f64::from(*b) } else { 0.0 }).collect();
        match self.level {
            RatioLevel::Token => logs.into_iter().map(|log| self.limited(log.exp())).collect(),
            RatioLevel::Sequence => vec![self.limited(logs.iter().sum::<f64>().exp()); logs.len()],
        }
    }

    fn limited(&self, ratio: f64) -> f64 {
        match self.limit {
            RatioLimit::Truncate => ratio.min(self.cap),
            RatioLimit::Mask if ratio > self.cap => 0.0,
            RatioLimit::Mask => ratio,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_limited_by_token_or_by_completion() {
        let (trainer, sampler, mask) = ([-1.0, -1.0, -9.0], [-1.5, -3.0, -1.0], [true, true, false]);
        let half = f64::exp(0.5);
        for (level, limit, expected) in [
            (RatioLevel::Token, RatioLimit::Truncate, [half, 3.0, 1.0]),
            (RatioLevel::Token, RatioLimit::Mask, [half, 0.0, 1.0]),
            (RatioLevel::Sequence, RatioLimit::Truncate, [3.0; 3]),
            (RatioLevel::Sequence, RatioLimit::Mask, [0.0; 3]),
        ] {
            let factors = Mismatch { level, limit, cap: 3.0 }.factors(&trainer, &sampler, &mask);
            assert!(factors.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12), "{factors:?}");
        }
        assert_eq!(Mismatch::default().factors(&trainer, &trainer, &mask), [1.0; 3]);
    }
}
