//! Which reward puts wrong answers before right ones.

use serde::Serialize;

use super::RewardBreakdown;

/// From this value on an answer counts as right.
const RIGHT: f64 = 1.0;

/// How often a reward turns the order of a right and a wrong answer to the same question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Misorder {
    /// Pairs of a right and a wrong completion of a group.
    pub pairs: u64,
    /// Pairs whose wrong completion has the larger sum.
    pub wrong_first: u64,
    /// Of these, pairs that would be in the right order without this reward.
    pub wrong_first_by_reward: Vec<(String, u64)>,
}

impl Misorder {
    /// Compares all pairs within groups. `accuracy` is the place of the reward that tells right from wrong.
    pub(super) fn of(groups: &[Vec<&RewardBreakdown>], weights: &[(String, f64)], accuracy: usize) -> Self {
        let mut found = Self::default();
        let mut by_reward = vec![0; weights.len()];
        for group in groups {
            let judged = |is_right: bool| {
                let of_kind = move |one: &&&RewardBreakdown| {
                    one.values[accuracy].is_some_and(|value| (value >= RIGHT) == is_right) && one.total.is_some()
                };
                group.iter().filter(of_kind)
            };
            for (right, wrong) in judged(true).flat_map(|right| judged(false).map(move |wrong| (right, wrong))) {
                found.pairs += 1;
                let lead = lead(right, wrong, weights);
                if lead.iter().sum::<f64>() >= 0.0 {
                    continue;
                }
                found.wrong_first += 1;
                for (n, count) in by_reward.iter_mut().enumerate() {
                    let without: f64 = lead.iter().enumerate().filter(|(own, _)| *own != n).map(|(_, lead)| lead).sum();
                    *count += u64::from(without > 0.0);
                }
            }
        }
        let names = weights.iter().map(|(name, _)| name.clone()).zip(by_reward).enumerate();
        found.wrong_first_by_reward = names.filter(|(n, _)| *n != accuracy).map(|(_, pair)| pair).collect();
        found
    }
}

/// By how much each reward puts the right completion before the wrong one.
fn lead(right: &RewardBreakdown, wrong: &RewardBreakdown, weights: &[(String, f64)]) -> Vec<f64> {
    let values = right.values.iter().zip(&wrong.values).zip(weights);
    values.map(|((right, wrong), (_, weight))| weight * (right.unwrap_or(0.0) - wrong.unwrap_or(0.0))).collect()
}
