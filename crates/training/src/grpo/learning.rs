//! One update from experience: log-probabilities, the loss, its gradient.

use audsem_models::nn::Mode;
use audsem_models::train::{Accumulated, TargetScores, TrainableModel, TrainingSequence};

use super::advantage::mean;
use super::experience::{ScoredCompletion, ScoredGroup};
use super::objective::{CompletionRow, Objective, ObjectiveSums, UpdateSize};
use super::reference::ReferencePolicy;
use super::rollout::Finish;
use crate::error::Result;

/// Bits of the number of a micro-batch in the counter of dropout.
const MICRO_BATCH_BITS: u32 = 20;

/// Which completions are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RowFilter {
    /// Whether groups without differing rewards are left out; else they count in the mean, with an advantage of zero.
    pub skip_flat_groups: bool,
    /// Whether completions that were cut at their maximum length do not count.
    pub mask_truncated: bool,
}

/// A completion with all that the loss needs of it.
pub(super) struct LearningRow<'a> {
    completion: &'a ScoredCompletion,
    sequence: TrainingSequence,
    mask: Vec<bool>,
    /// As the trainer computes them before the first update of this experience; absent where there is only one.
    old: Option<Vec<f32>>,
    reference: Option<Vec<f32>>,
}

/// What is known of one update.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct UpdateReport {
    pub(super) loss: f64,
    pub(super) sums: ObjectiveSums,
    /// How far the sampler's log-probabilities lie from the trainer's, where another program draws.
    pub(super) mismatch: Option<SamplerMismatch>,
    /// Smallest share of ratios clipped below, and largest share clipped above, over micro-batches.
    pub(super) clipped: Option<(f64, f64)>,
}

/// Differences between the log-probabilities of sampler and trainer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct SamplerMismatch {
    pub(super) mean: f64,
    pub(super) largest: f64,
}

/// How an update is computed.
#[derive(Clone, Copy)]
pub(super) struct Learning<'a> {
    pub(super) model: &'a dyn TrainableModel,
    pub(super) objective: &'a Objective,
    pub(super) temperature: f64,
    /// Completions in one forward pass.
    pub(super) batch_rows: usize,
    pub(super) seed: u64,
}

impl<'a> LearningRow<'a> {
    /// The completions of groups that are learned from.
    pub(super) fn of_groups(groups: &'a [ScoredGroup], filter: RowFilter) -> Vec<Self> {
        let kept = groups.iter().filter(|group| !(filter.skip_flat_groups && group.is_flat()));
        let rows = kept.flat_map(|group| group.completions.iter().map(move |completion| (group, completion)));
        let scored = rows.filter(|(_, completion)| completion.advantage.is_some());
        scored.map(|(group, completion)| Self::new(group, completion, filter)).collect()
    }

    fn new(group: &ScoredGroup, completion: &'a ScoredCompletion, filter: RowFilter) -> Self {
        let counts = !(filter.mask_truncated && completion.rollout.finish == Finish::Length);
        let mask = vec![counts; completion.rollout.tokens.len()];
        Self { completion, sequence: group.sequence(completion), mask, old: None, reference: None }
    }

    /// Whether any of its tokens counts.
    pub(super) fn counts(&self) -> bool {
        self.mask.contains(&true)
    }

    /// Whether a completion can change anything by its advantage.
    pub(super) fn has_signal(&self) -> bool {
        self.completion.advantage.is_some_and(|advantage| advantage != 0.0) && self.counts()
    }

    fn row<'b>(&'b self, log_probs: &'b [f32], is_foreign: bool) -> CompletionRow<'b> {
        CompletionRow {
            log_probs,
            old: self.old.as_deref().unwrap_or(log_probs),
            reference: self.reference.as_deref(),
            sampler: is_foreign.then_some(&self.completion.rollout.log_probs),
            mask: &self.mask,
            advantage: self.completion.advantage.unwrap_or(0.0),
        }
    }
}

impl Learning<'_> {
    /// Log-probabilities of all completions as the policy stands, for several updates or a foreign sampler.
    pub(super) fn remember_old(&self, rows: &mut [LearningRow<'_>]) -> Result<()> {
        let scores = self.scores(rows, |sequences| Ok(self.model.score(sequences, self.temperature, true)?))?;
        rows.iter_mut().zip(scores).for_each(|(row, score)| row.old = Some(score.log_probs));
        Ok(())
    }

    /// Log-probabilities of all completions by the reference policy.
    pub(super) fn ask_reference(&self, rows: &mut [LearningRow<'_>], reference: &ReferencePolicy) -> Result<()> {
        let scores = reference.with(self.model, |model| {
            self.scores(rows, |sequences| Ok(model.score(sequences, self.temperature, true)?))
        })?;
        rows.iter_mut().zip(scores).for_each(|(row, score)| row.reference = Some(score.log_probs));
        Ok(())
    }

    fn scores(
        &self,
        rows: &[LearningRow<'_>],
        score: impl Fn(&[TrainingSequence]) -> Result<Vec<TargetScores>>,
    ) -> Result<Vec<TargetScores>> {
        let mut all = Vec::with_capacity(rows.len());
        for rows in rows.chunks(self.batch_rows.max(1)) {
            all.extend(score(&sequences(rows))?);
        }
        Ok(all)
    }

    /// The gradient of the loss; `number` is that of the update, counted from 0.
    pub(super) fn gradient(
        &self,
        rows: &[LearningRow<'_>],
        beta: f64,
        is_foreign: bool,
        number: usize,
    ) -> Result<(Accumulated, UpdateReport)> {
        let batches = rows.chunks(self.batch_rows.max(1));
        let tokens = rows.iter().flat_map(|row| &row.mask).filter(|counts| **counts).count();
        let size = UpdateSize { rows: rows.len(), tokens, micro_batches: batches.len() };
        let mismatch = is_foreign.then(|| SamplerMismatch::of(rows));
        let (mut sum, mut report) = (Accumulated::default(), UpdateReport { mismatch, ..UpdateReport::default() });
        for (n, rows) in batches.enumerate() {
            // Each micro-batch of each update drops something else.
            let mode = Mode::Train { seed: self.seed, step: ((number as u64) << MICRO_BATCH_BITS) + n as u64 };
            let mut loss = |scores: &[TargetScores]| -> audsem_models::Result<Vec<Vec<f32>>> {
                let rows: Vec<CompletionRow<'_>> =
                    rows.iter().zip(scores).map(|(row, score)| row.row(&score.log_probs, is_foreign)).collect();
                let value = self.objective.value(&rows, beta, size);
                report.add(value.loss, value.sums);
                Ok(value.gradients.into_iter().map(as_f32).collect())
            };
            self.model.backward(&sequences(rows), self.temperature, mode, &mut loss, &mut sum)?;
        }
        Ok((sum, report))
    }
}

impl UpdateReport {
    fn add(&mut self, loss: f64, sums: ObjectiveSums) {
        let [low, high, _] = sums.clip_ratios();
        let (least, most) = self.clipped.unwrap_or((low, high));
        self.clipped = Some((least.min(low), most.max(high)));
        self.loss += loss;
        self.sums += sums;
    }
}

impl SamplerMismatch {
    fn of(rows: &[LearningRow<'_>]) -> Self {
        let of_row = |row: &LearningRow<'_>| -> Vec<f64> {
            let trainer = row.old.iter().flatten();
            let both = trainer.zip(&row.completion.rollout.log_probs).zip(&row.mask);
            both.filter(|(_, counts)| **counts).map(|((a, b), _)| f64::from((a - b).abs())).collect()
        };
        let all: Vec<f64> = rows.iter().flat_map(of_row).collect();
        Self { mean: mean(all.iter().copied()).unwrap_or(0.0), largest: all.iter().copied().fold(0.0, f64::max) }
    }
}

fn sequences(rows: &[LearningRow<'_>]) -> Vec<TrainingSequence> {
    rows.iter().map(|row| row.sequence.clone()).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "networks compute with 32 bits")]
fn as_f32(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|value| value as f32).collect()
}

#[cfg(test)]
mod tests;
