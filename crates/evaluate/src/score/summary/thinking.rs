//! How much a model thinks before it answers, against what was asked for, and what it gains by it.

use serde::{Deserialize, Serialize};

use super::estimate::{Estimate, Estimator, kinds};
use super::metrics::MetricKind;
use crate::tables::ItemScore;

/// Upper bounds of the numbers of words by which answers are told apart; the last group has no bound.
const BUDGETS: [u32; 6] = [0, 25, 50, 100, 200, 400];

/// The reasoning of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThinkingSummary {
    /// Outputs that were read.
    pub n_outputs: u64,
    /// Outputs with a complete reasoning inside tags.
    pub n_thinking: u64,
    /// Outputs that are exactly a reasoning and an answer inside tags.
    pub n_well_formed: u64,
    /// Outputs that were cut off at the maximum number of tokens.
    pub n_cut_off: u64,
    /// Words that were asked for, where the run says so.
    pub target_words: Option<u32>,
    /// Mean number of words of those with a reasoning.
    pub mean_words: Option<f64>,
    /// Words that half of them do not exceed.
    pub median_words: Option<u32>,
    /// Words that nine tenths of them do not exceed.
    pub ninth_decile_words: Option<u32>,
    /// Mean distance from the target, in words.
    pub mean_distance: Option<f64>,
    /// The main metric by the number of words.
    pub by_budget: Vec<BudgetScore>,
}

/// The main metric of answers with so many words of reasoning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetScore {
    /// Fewest words.
    pub from: u32,
    /// Most words; none for the last group.
    pub to: Option<u32>,
    /// The metric.
    pub estimate: Estimate,
}

impl ThinkingSummary {
    /// Of the rows in one way of asking; `None` if no output has a reasoning and none was asked for.
    pub(super) fn of(rows: &[&ItemScore], target_words: Option<u32>, estimator: &Estimator<'_>) -> Option<Self> {
        let read: Vec<&ItemScore> = rows.iter().copied().filter(|row| row.output.is_some()).collect();
        let mut words: Vec<u32> =
            read.iter().filter(|row| row.thinking.is_some()).map(|row| row.thinking_words).collect();
        if words.is_empty() && target_words.is_none() {
            return None;
        }
        words.sort_unstable();
        let n = words.len();
        let mean = |sum: f64| (n > 0).then(|| sum / n as f64);
        let at = |share: f64| words.get((n as f64 * share).ceil() as usize - usize::from(n > 0)).copied();
        let distance = |target: u32| words.iter().map(|words| f64::from(words.abs_diff(target))).sum();
        let count = |keep: fn(&ItemScore) -> bool| read.iter().filter(|row| keep(row)).count() as u64;
        Some(Self {
            n_outputs: read.len() as u64,
            n_thinking: n as u64,
            n_well_formed: count(|row| row.well_formed),
            n_cut_off: count(|row| row.status == "cut-off"),
            target_words,
            mean_words: mean(words.iter().map(|words| f64::from(*words)).sum()),
            median_words: at(0.5),
            ninth_decile_words: at(0.9),
            mean_distance: target_words.and_then(|target| mean(distance(target))),
            by_budget: by_budget(&read, estimator),
        })
    }
}

fn by_budget(rows: &[&ItemScore], estimator: &Estimator<'_>) -> Vec<BudgetScore> {
    let metric = MetricKind::main(kinds(rows).first().copied().unwrap_or_default());
    let mut from = 0;
    let mut scores = Vec::new();
    for to in BUDGETS.into_iter().map(Some).chain([None]) {
        let within = |row: &&&ItemScore| row.thinking_words >= from && to.is_none_or(|to| row.thinking_words <= to);
        let group: Vec<&ItemScore> = rows.iter().filter(within).copied().collect();
        if let Some(estimate) = estimator.plain(metric, &group) {
            scores.push(BudgetScore { from, to, estimate });
        }
        from = to.map_or(from, |to| to + 1);
    }
    scores
}
