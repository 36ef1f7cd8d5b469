//! The same questions with their options in other orders.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::estimate::{Estimate, Estimator};
use super::metrics::MetricKind;
use crate::tables::ItemScore;

/// What the order of the options changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PermutationSummary {
    /// Number of orders, the published one among them.
    pub n_orders: u64,
    /// The official rule in each order, the published one first.
    pub by_order: Vec<Estimate>,
    /// The official rule, each question by the mean over its orders: those with few options have fewer.
    pub mean: Estimate,
    /// `parsed` in the same way.
    pub mean_parsed: Estimate,
    /// Questions that were asked in every order.
    pub n_questions: u64,
    /// Share of these to which the same option was chosen in every order.
    pub consistency: f64,
    /// Share of these that were answered right by the official rule in every order.
    pub always_right: f64,
}

impl PermutationSummary {
    /// Of the choices among `rows`, which are asked in one way, in any order; `None` if there is one order alone.
    pub(super) fn of(rows: &[&ItemScore], estimator: &Estimator<'_>) -> Option<Self> {
        let scored: Vec<&ItemScore> = rows.iter().copied().filter(|row| row.official.is_some()).collect();
        let mut by_order: BTreeMap<u32, Vec<&ItemScore>> = BTreeMap::new();
        let mut by_question: BTreeMap<&str, Vec<&ItemScore>> = BTreeMap::new();
        for row in &scored {
            by_order.entry(row.permutation).or_default().push(row);
            by_question.entry(&row.id).or_default().push(row);
        }
        if by_order.len() < 2 {
            return None;
        }
        by_question.retain(|_, rows| rows.len() == by_order.len());
        let share = |keep: fn(&[&ItemScore]) -> bool| {
            let kept = by_question.values().filter(|rows| keep(rows)).count();
            kept as f64 / by_question.len().max(1) as f64
        };
        Some(Self {
            n_orders: by_order.len() as u64,
            by_order: by_order.values().filter_map(|rows| estimator.plain(MetricKind::Official, rows)).collect(),
            mean: estimator.mean_of_questions(MetricKind::Official, &scored)?,
            mean_parsed: estimator.mean_of_questions(MetricKind::Parsed, &scored)?,
            n_questions: by_question.len() as u64,
            consistency: share(|rows| {
                let first = rows.first().and_then(|row| row.chosen.as_ref());
                first.is_some() && rows.iter().all(|row| row.chosen.as_ref() == first)
            }),
            always_right: share(|rows| rows.iter().all(|row| row.official == Some(1.0))),
        })
    }
}
