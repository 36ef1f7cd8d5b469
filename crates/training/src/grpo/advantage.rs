//! Advantages: how much better a completion is than the others of its question.

use serde::{Deserialize, Serialize};

/// Added to the standard deviation, as TRL does.
const STD_OFFSET: f64 = 1e-4;

/// Rewards of a group that lie closer together than this count as equal.
const EQUAL: f64 = 1e-9;

/// By what differences from the group's mean are divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum AdvantageScale {
    /// The standard deviation of the group
    #[default]
    Group,
    /// The standard deviation of all rewards of the batch
    Batch,
    /// Nothing
    None,
}

/// Rewards of the completions of one question; a completion without a reward takes no part.
pub type GroupRewards = [Option<f64>];

/// The mean of some values; nothing of none.
pub fn mean(values: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let n = values.clone().count();
    (n > 0).then(|| values.sum::<f64>() / n as f64)
}

/// The standard deviation of some values, divided by their number less one; 0 of fewer than two.
pub fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count();
    match mean(values.clone()) {
        Some(mean) if n > 1 => (values.map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64).sqrt(),
        _ => 0.0,
    }
}

/// Whether a group teaches nothing, because all its rewards are equal.
pub fn is_flat(group: &GroupRewards) -> bool {
    let rewards = || group.iter().copied().flatten();
    let (low, high) = (rewards().fold(f64::INFINITY, f64::min), rewards().fold(f64::NEG_INFINITY, f64::max));
    high - low <= EQUAL
}

/// The advantage of each completion of each group: its reward less the mean of the group, scaled. A completion without a
/// reward has none.
pub fn advantages(groups: &[Vec<Option<f64>>], scale: AdvantageScale) -> Vec<Vec<Option<f64>>> {
    let of_batch = deviation(groups.iter().flatten().copied().flatten());
    let of_group = |group: &Vec<Option<f64>>| {
        let rewards = || group.iter().copied().flatten();
        let divisor = match scale {
            AdvantageScale::Group => deviation(rewards()) + STD_OFFSET,
            AdvantageScale::Batch => of_batch + STD_OFFSET,
            AdvantageScale::None => 1.0,
        };
        let mean = mean(rewards()).unwrap_or(0.0);
        // Rounding of the mean must not become an advantage.
        let advantage = |reward: f64| if is_flat(group) { 0.0 } else { (reward - mean) / divisor };
        group.iter().map(|reward| reward.map(advantage)).collect()
    };
    groups.iter().map(of_group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(rewards: &[f64]) -> Vec<Option<f64>> {
        rewards.iter().map(|reward| Some(*reward)).collect()
    }

    #[track_caller]
    fn check(got: &[Option<f64>], expected: &[f64]) {
        let near = got.iter().zip(expected).all(|(got, expected)| got.is_some_and(|got| (got - expected).abs() < 1e-6));
        assert!(near && got.len() == expected.len(), "{got:?}");
    }

    /// Mean 0.875, standard deviation 0.75.
    #[test]
    fn advantages_of_a_group_are_those_of_the_published_trainer() {
        let groups = [group(&[1.5, 1.5, 0.5, 0.0]), group(&[0.7; 4])];
        let of_groups = advantages(&groups, AdvantageScale::Group);
        check(&of_groups[0], &[0.833_222, 0.833_222, -0.499_933, -1.166_511]);
        check(&of_groups[1], &[0.0; 4]);
        check(&advantages(&groups, AdvantageScale::None)[0], &[0.625, 0.625, -0.375, -0.875]);
    }

    #[test]
    fn the_batch_has_one_deviation_and_each_group_its_mean() {
        let groups = [group(&[1.0, 0.0]), group(&[3.0, 3.0])];
        let divisor = deviation([1.0, 0.0, 3.0, 3.0].into_iter()) + 1e-4;
        let of_batch = advantages(&groups, AdvantageScale::Batch);
        check(&of_batch[0], &[0.5 / divisor, -0.5 / divisor]);
        check(&of_batch[1], &[0.0, 0.0]);
    }

    #[test]
    fn a_completion_without_a_reward_takes_no_part() {
        let all = advantages(&[vec![Some(1.0), None, Some(0.0)]], AdvantageScale::None);
        assert_eq!(all, [vec![Some(0.5), None, Some(-0.5)]]);
        assert_eq!(advantages(&[vec![None, None]], AdvantageScale::Group), [vec![None, None]]);
        assert_eq!(advantages(&[vec![Some(2.0)]], AdvantageScale::Group), [vec![Some(0.0)]]);
    }

    #[test]
    fn flat_groups_are_told() {
        for (rewards, expected) in
            [(vec![0.1 + 0.2, 0.3], true), (vec![0.0, 1.0], false), (vec![1.0], true), (vec![], true)]
        {
            assert_eq!(is_flat(&group(&rewards)), expected, "{rewards:?}");
        }
        assert!(is_flat(&[Some(1.0), None]));
    }
}
