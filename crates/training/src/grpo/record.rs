//! The numbers of a step, by the names of TRL.

use super::advantage::{deviation, mean};
use super::experience::{ScoredCompletion, ScoredGroup};
use super::learning::UpdateReport;
use super::rollout::Finish;
use crate::metrics::MetricRecord;

/// Adds what completions and rewards look like.
pub(super) fn with_experience(
    mut record: MetricRecord,
    groups: &[ScoredGroup],
    names: &[String],
    prefix: &str,
) -> MetricRecord {
    let all: Vec<&ScoredCompletion> = groups.iter().flat_map(|group| &group.completions).collect();
    record = with_lengths(record, &all, prefix);
    for (n, name) in names.iter().enumerate() {
        let values = all.iter().filter_map(|one| one.reward.values[n]);
        record = record
            .with(format!("{prefix}rewards/{name}/mean"), mean(values.clone()).unwrap_or(f64::NAN))
            .with(format!("{prefix}rewards/{name}/std"), deviation(values));
    }
    let totals = all.iter().filter_map(|one| one.reward.total);
    let within = groups.iter().map(|group| deviation(group.rewards().into_iter().flatten()));
    let flat = groups.iter().filter(|group| group.is_flat()).count();
    record
        .with(format!("{prefix}reward"), mean(totals).unwrap_or(f64::NAN))
        .with(format!("{prefix}reward_std"), mean(within).unwrap_or(f64::NAN))
        .with(format!("{prefix}frac_reward_zero_std"), flat as f64 / groups.len().max(1) as f64)
        .with(format!("{prefix}reward_faults"), all.iter().map(|one| one.reward.faults.len()).sum::<usize>() as f64)
}

fn with_lengths(record: MetricRecord, all: &[&ScoredCompletion], prefix: &str) -> MetricRecord {
    let lengths = |wanted: &dyn Fn(&ScoredCompletion) -> bool| -> Vec<f64> {
        all.iter().filter(|one| wanted(one)).map(|one| one.rollout.tokens.len() as f64).collect()
    };
    let ended = lengths(&|one| one.rollout.finish == Finish::Stop);
    let clipped = 1.0 - ended.len() as f64 / all.len().max(1) as f64;
    let mut record = record;
    for (kind, lengths) in [("length", lengths(&|_| true)), ("terminated_length", ended)] {
        let fold = |from: f64, pick: fn(f64, f64) -> f64| match lengths.is_empty() {
            true => 0.0,
            false => lengths.iter().copied().fold(from, pick),
        };
        record = record
            .with(format!("{prefix}completions/mean_{kind}"), mean(lengths.iter().copied()).unwrap_or(0.0))
            .with(format!("{prefix}completions/min_{kind}"), fold(f64::INFINITY, f64::min))
            .with(format!("{prefix}completions/max_{kind}"), fold(0.0, f64::max));
    }
    record.with(format!("{prefix}completions/clipped_ratio"), clipped)
}

/// Adds what an update was like.
pub(super) fn with_update(record: MetricRecord, report: &UpdateReport, beta: f64) -> MetricRecord {
    let [low, high, region] = report.sums.clip_ratios();
    let (low_min, high_max) = report.clipped.unwrap_or_default();
    let record = record
        .with("loss", report.loss)
        .with("clip_ratio/low_mean", low)
        .with("clip_ratio/low_min", low_min)
        .with("clip_ratio/high_mean", high)
        .with("clip_ratio/high_max", high_max)
        .with("clip_ratio/region_mean", region);
    let record = if beta == 0.0 { record } else { record.with("kl", report.sums.mean_kl()).with("beta", beta) };
    match report.mismatch {
        Some(mismatch) => record
            .with("sampling/importance_sampling_ratio/mean", report.sums.mean_correction())
            .with("sampling/sampling_logp_difference/mean", mismatch.mean)
            .with("sampling/sampling_logp_difference/max", mismatch.largest),
        None => record,
    }
}
