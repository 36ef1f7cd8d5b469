//! The loss of GRPO and its relatives, and its derivative by each log-probability.
//!
//! Everything here is plain arithmetic on log-probabilities: of the policy that is trained (`log_probs`), of the policy that
//! wrote the completions as the trainer computes it (`old`), as the sampler computed it (`sampler`), and of the reference policy
//! (`reference`). Names and numbers are those of TRL (`fixtures/regen/grpo_objective.py`).

use serde::{Deserialize, Serialize};

use super::mismatch::Mismatch;

/// How the loss is averaged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// Over the tokens of each completion, then over completions
    Grpo,
    /// Over the tokens of a micro-batch
    Bnpo,
    /// Over completions of the maximum length, so that long ones weigh as much as they have tokens
    DrGrpo,
    /// Over the tokens of all completions of an update
    #[default]
    Dapo,
    /// As grpo, with one ratio for each completion instead of one for each token
    Gspo,
}

impl LossKind {
    /// The clipping range that its authors use, below and above 1.
    pub fn usual_clipping(self) -> (f64, f64) {
        match self {
            // Ratios of whole completions move little (Zheng et al., 2025).
            Self::Gspo => (3e-4, 4e-4),
            _ => (0.2, 0.2),
        }
    }
}

/// How the distance to the reference policy is estimated from the tokens that were drawn (Schulman, 2020).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum KlEstimator {
    /// The difference of log-probabilities
    K1,
    /// Half its square
    K2,
    /// The ratio of probabilities less its logarithm less 1: never negative
    #[default]
    K3,
}

impl KlEstimator {
    /// The estimate and its derivative by the policy's log-probability.
    fn of(self, log_prob: f64, reference: f64) -> (f64, f64) {
        let back = reference - log_prob;
        match self {
            Self::K1 => (-back, 1.0),
            Self::K2 => (0.5 * back * back, -back),
            Self::K3 => (back.exp() - back - 1.0, 1.0 - back.exp()),
        }
    }
}

/// Settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// How the loss is averaged.
    pub loss: LossKind,
    /// Ratios are clipped this far below 1.
    pub epsilon_low: f64,
    /// Ratios are clipped this far above 1.
    pub epsilon_high: f64,
    /// Largest ratio that counts where the clipping range does not limit it, above `1 + epsilon_high`.
    pub delta: Option<f64>,
    /// The estimate of the distance to the reference policy.
    pub kl: KlEstimator,
    /// Whether that estimate is multiplied by the ratio, because the tokens were drawn from the old policy.
    pub corrects_kl: bool,
    /// Correction for a sampler whose log-probabilities are not those of the trainer.
    pub mismatch: Option<Mismatch>,
    /// Most tokens of a completion.
    pub max_completion_tokens: usize,
}

/// Log-probabilities of one completion, one for each of its tokens, and its advantage.
#[derive(Debug, Clone, Copy)]
pub struct CompletionRow<'a> {
    /// By the policy that is trained.
    pub log_probs: &'a [f32],
    /// By the policy that wrote it, as the trainer computes them.
    pub old: &'a [f32],
    /// By the reference policy; without it there is no distance to it.
    pub reference: Option<&'a [f32]>,
    /// By the policy that wrote it, as the sampler has computed them.
    pub sampler: Option<&'a [f32]>,
    /// Which tokens count.
    pub mask: &'a [bool],
    /// The advantage.
    pub advantage: f64,
}

/// What an update consists of; the loss of a micro-batch is a part of that of the update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateSize {
    /// Completions.
    pub rows: usize,
    /// Tokens that count.
    pub tokens: usize,
    /// Micro-batches.
    pub micro_batches: usize,
}

impl UpdateSize {
    /// An update of one micro-batch.
    pub fn of(rows: &[CompletionRow<'_>]) -> Self {
        Self { rows: rows.len(), tokens: rows.iter().map(CompletionRow::tokens).sum(), micro_batches: 1 }
    }
}

/// Sums from which metrics are made; those of several micro-batches add up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ObjectiveSums {
    /// Tokens that count; completions for ratios of whole completions.
    pub ratios: f64,
    /// Those whose ratio is clipped below, at a negative advantage.
    pub clipped_low: f64,
    /// Those whose ratio is clipped above, at a positive advantage.
    pub clipped_high: f64,
    /// Tokens that count.
    pub tokens: f64,
    /// Estimates of the distance to the reference policy.
    pub kl: f64,
    /// Factors that correct for the sampler, by token.
    pub correction: f64,
}

/// The loss of a micro-batch.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectiveValue {
    /// The loss.
    pub loss: f64,
    /// Its derivative by each log-probability.
    pub gradients: Vec<Vec<f64>>,
    /// What metrics are made from.
    pub sums: ObjectiveSums,
}

impl CompletionRow<'_> {
    /// Tokens that count.
    pub fn tokens(&self) -> usize {
        self.mask.iter().filter(|counts| **counts).count()
    }

    /// Places of the tokens that count.
    fn places(&self) -> impl Iterator<Item = usize> + '_ {
        self.mask.iter().enumerate().filter_map(|(place, counts)| counts.then_some(place))
    }

    /// The ratio of probabilities of each token, or of the whole completion for each.
    fn ratios(&self, of_completion: bool) -> Vec<f64> {
        let logs: Vec<f64> =
            self.log_probs.iter().zip(self.old).map(|(new, old)| f64::from(*new) - f64::from(*old)).collect();
        if !of_completion {
            return logs.into_iter().map(f64::exp).collect();
        }
        let mean = self.places().map(|place| logs[place]).sum::<f64>() / self.tokens().max(1) as f64;
        vec![mean.exp(); logs.len()]
    }
}

impl Objective {
    /// The loss of the completions of a micro-batch with the weight `beta` of the distance to the reference policy.
    pub fn value(&self, rows: &[CompletionRow<'_>], beta: f64, update: UpdateSize) -> ObjectiveValue {
        let own_tokens: usize = rows.iter().map(CompletionRow::tokens).sum();
        let mut value = ObjectiveValue { loss: 0.0, gradients: Vec::new(), sums: ObjectiveSums::default() };
        for row in rows {
            let weight = self.token_weight(row, own_tokens, update);
            let (loss, gradient) = self.row(row, beta, weight, &mut value.sums);
            value.loss += loss;
            value.gradients.push(gradient);
        }
        value
    }

    /// The share of each token of a completion in the loss.
    fn token_weight(&self, row: &CompletionRow<'_>, own_tokens: usize, update: UpdateSize) -> f64 {
        let tokens = match self.loss {
            LossKind::Grpo | LossKind::Gspo => update.rows * row.tokens().max(1),
            LossKind::Bnpo => own_tokens.max(1) * update.micro_batches,
            LossKind::DrGrpo => update.rows * self.max_completion_tokens,
            LossKind::Dapo => update.tokens.max(1),
        };
        1.0 / tokens.max(1) as f64
    }

    /// The loss of a completion and its derivative by each of its log-probabilities.
    fn row(&self, row: &CompletionRow<'_>, beta: f64, weight: f64, sums: &mut ObjectiveSums) -> (f64, Vec<f64>) {
        let of_completion = self.loss == LossKind::Gspo;
        let ratios = row.ratios(of_completion);
        let factors = match (&self.mismatch, row.sampler) {
            (Some(mismatch), Some(sampler)) => mismatch.factors(row.old, sampler, row.mask),
            _ => vec![1.0; ratios.len()],
        };
        let (mut loss, mut by_ratio) = (0.0, vec![0.0; ratios.len()]);
        let mut gradient = vec![0.0; ratios.len()];
        for place in row.places() {
            let (term, slope) = self.policy(ratios[place], row.advantage);
            loss += weight * factors[place] * term;
            by_ratio[place] = weight * factors[place] * slope;
            sums.tokens += 1.0;
            sums.correction += factors[place];
            if let Some(reference) = row.reference {
                let (kl, slope) = self.kl.of(row.log_probs[place].into(), reference[place].into());
                let scale = if self.corrects_kl { ratios[place] } else { 1.0 };
                loss += weight * beta * scale * kl;
                gradient[place] += weight * beta * scale * slope;
                by_ratio[place] += if self.corrects_kl { weight * beta * kl } else { 0.0 };
                sums.kl += kl;
            }
        }
        self.count_clipped(row, &ratios, sums);
        chain(row, &ratios, &by_ratio, of_completion, &mut gradient);
        (loss, gradient)
    }

    /// The policy's part of a token's loss and its derivative by the ratio. Where both parts of the minimum are equal, each
    /// counts half, as in torch; where the ratio is not clipped they are the same.
    fn policy(&self, ratio: f64, advantage: f64) -> (f64, f64) {
        let limit = self.delta.unwrap_or(f64::INFINITY);
        let (low, high) = (1.0 - self.epsilon_low, 1.0 + self.epsilon_high);
        let (free, clipped) = (ratio.min(limit) * advantage, ratio.clamp(low, high) * advantage);
        let free_slope = if ratio <= limit { advantage } else { 0.0 };
        let clipped_slope = if (low..=high).contains(&ratio) { advantage } else { 0.0 };
        let slope = match free.total_cmp(&clipped) {
            std::cmp::Ordering::Less => free_slope,
            std::cmp::Ordering::Greater => clipped_slope,
            std::cmp::Ordering::Equal => 0.5 * (free_slope + clipped_slope),
        };
        (-free.min(clipped), -slope)
    }

    fn count_clipped(&self, row: &CompletionRow<'_>, ratios: &[f64], sums: &mut ObjectiveSums) {
        // A ratio of a whole completion counts once.
        let counted = if self.loss == LossKind::Gspo { 1 } else { usize::MAX };
        for place in row.places().take(counted) {
            let (ratio, advantage) = (ratios[place], row.advantage);
            sums.ratios += 1.0;
            sums.clipped_low += f64::from(ratio < 1.0 - self.epsilon_low && advantage < 0.0);
            sums.clipped_high += f64::from(ratio > 1.0 + self.epsilon_high && advantage > 0.0);
        }
    }
}

/// Adds what the derivative by ratios gives for log-probabilities.
fn chain(row: &CompletionRow<'_>, ratios: &[f64], by_ratio: &[f64], of_completion: bool, gradient: &mut [f64]) {
    let all: f64 = by_ratio.iter().sum();
    let n = row.tokens().max(1) as f64;
    for place in row.places() {
        let share = if of_completion { all / n } else { by_ratio[place] };
        gradient[place] += share * ratios[place];
    }
}

impl std::ops::AddAssign for ObjectiveSums {
    fn add_assign(&mut self, other: Self) {
        self.ratios += other.ratios;
        self.clipped_low += other.clipped_low;
        self.clipped_high += other.clipped_high;
        self.tokens += other.tokens;
        self.kl += other.kl;
        self.correction += other.correction;
    }
}

impl ObjectiveSums {
    /// Share of ratios that are clipped below, above, and in all.
    pub fn clip_ratios(&self) -> [f64; 3] {
        let share = |n: f64| n / self.ratios.max(1.0);
        [share(self.clipped_low), share(self.clipped_high), share(self.clipped_low + self.clipped_high)]
    }

    /// Mean estimate of the distance to the reference policy.
    pub fn mean_kl(&self) -> f64 {
        self.kl / self.tokens.max(1.0)
    }

    /// Mean factor that corrects for the sampler.
    pub fn mean_correction(&self) -> f64 {
        self.correction / self.tokens.max(1.0)
    }
}

#[cfg(test)]
mod tests;
