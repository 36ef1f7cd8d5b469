//! The proof that a model hears: answers are more or less probable with their sound than with silence.

use audsem_core::terminal::counted;
use audsem_models::train::{TargetScores, TrainableModel, TrainingSequence};

use crate::error::{Error, Result};
use crate::metrics::MetricRecord;

/// Mean log-probabilities of the tokens of some answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HearingProof {
    /// Answers that were compared.
    pub answers: usize,
    /// Tokens of all answers.
    pub tokens: usize,
    /// With their sounds.
    pub with_sound: f64,
    /// With silence of the same length.
    pub with_silence: f64,
    /// The largest difference of a token's log-probability.
    pub largest: f64,
}

/// Compares what a model says of answers with their sounds and with silence of the same length in their place.
///
/// # Errors
/// [`Error::Deaf`] when there is no difference at all; memory, device.
pub fn prove_hearing(model: &dyn TrainableModel, sequences: &[TrainingSequence]) -> Result<HearingProof> {
    let silent = |sequence: &TrainingSequence| TrainingSequence {
        sounds: sequence.sounds.iter().map(|sound| vec![0.0; sound.len()].into()).collect(),
        ..sequence.clone()
    };
    let silent: Vec<TrainingSequence> = sequences.iter().map(silent).collect();
    let score = |sequences: &[TrainingSequence]| -> Result<Vec<f64>> {
        let scores: Vec<TargetScores> = model.score(sequences, 1.0, true)?;
        Ok(scores.into_iter().flat_map(|score| score.log_probs).map(f64::from).collect())
    };
    let (heard, unheard) = (score(sequences)?, score(&silent)?);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let largest = heard.iter().zip(&unheard).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    if largest == 0.0 {
        return Err(Error::Deaf { n: sequences.len() });
    }
    Ok(HearingProof {
        answers: sequences.len(),
        tokens: heard.len(),
        with_sound: mean(&heard),
        with_silence: mean(&unheard),
        largest,
    })
}

impl HearingProof {
    /// The record of a training's metrics, before the first update.
    #[must_use]
    pub fn record(&self) -> MetricRecord {
        MetricRecord::new(0)
            .with("log_prob_with_sound", self.with_sound)
            .with("log_prob_with_silence", self.with_silence)
            .with("largest_log_prob_difference", self.largest)
    }
}

impl std::fmt::Display for HearingProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answers, tokens, with_sound, with_silence, largest } = self;
        let difference = with_sound - with_silence;
        write!(
            f,
            "the model hears: mean log-probability of {} of {} {with_sound:.4} with the sound, \
             {with_silence:.4} with silence (difference {difference:+.4}, of one token up to {largest:.4})",
            counted(*tokens, "tokens"),
            counted(*answers, "answers")
        )
    }
}
