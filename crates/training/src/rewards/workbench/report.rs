//! What the completions show.

use std::collections::BTreeMap;

use audsem_core::answers::{TagProblem, TaggedAnswer};
use serde::Serialize;

use super::completions::{CompletionRecord, UnreadableLine};
use super::distribution::Distribution;
use super::order::Misorder;
use super::{RewardBreakdown, text};
use crate::grpo::advantage::{deviation, is_flat, mean};

/// One reward over all completions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RewardReport {
    /// The reward.
    pub name: String,
    /// Its weight in the sum.
    pub weight: f64,
    /// Its values, after gates and before weights.
    pub values: Distribution,
    /// Completions to which it does not apply.
    pub absent: u64,
    /// Completions that it could not score.
    pub faults: u64,
    /// The first reasons: place and words.
    pub fault_examples: Vec<String>,
    /// Mean of the standard deviations of its weighted values within groups: how much of the gradient is its own.
    pub std_within_groups: Option<f64>,
}

/// What groups have in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupReport {
    /// Groups.
    pub n: u64,
    /// Groups of one completion, from which nothing is learnt.
    pub single: u64,
    /// Groups of several completions whose rewards are all equal: they give no gradient.
    pub without_gradient: u64,
    /// Of these, groups whose completions are all right.
    pub all_right: u64,
    /// Of these, groups whose completions are all wrong.
    pub all_wrong: u64,
    /// Standard deviations of the sum within groups.
    pub std: Distribution,
}

/// What the tags of completions look like.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TagReport {
    /// Each problem with the number of completions that have it.
    pub problems: BTreeMap<String, u64>,
    /// Words of reasoning of right answers.
    pub words_if_right: Distribution,
    /// Words of reasoning of wrong answers.
    pub words_if_wrong: Distribution,
}

/// The result of `rewards`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkbenchReport {
    /// Completions.
    pub completions: u64,
    /// Lines that are no completions.
    pub unreadable: u64,
    /// The first of them: place and reason.
    pub unreadable_examples: Vec<String>,
    /// The sum of all rewards.
    pub total: Distribution,
    /// Completions without any reward.
    pub without_reward: u64,
    /// Each reward.
    pub rewards: Vec<RewardReport>,
    /// The groups.
    pub groups: GroupReport,
    /// Right and wrong answers out of order; absent without the reward `accuracy`.
    pub order: Option<Misorder>,
    /// The tags.
    pub tags: TagReport,
}

impl WorkbenchReport {
    pub(super) fn new(
        records: &[CompletionRecord],
        scored: &[RewardBreakdown],
        weights: &[(String, f64)],
        unreadable: Vec<UnreadableLine>,
        examples: usize,
    ) -> Self {
        let groups = grouped(records, scored);
        let accuracy = weights.iter().position(|(name, _)| name == "accuracy");
        let shown = unreadable.iter().take(examples).map(|(place, why)| format!("{place}: {why}"));
        let all = Scored { records, scored, groups: &groups, weights, examples };
        let rewards = (0..weights.len()).map(|n| all.reward(n));
        Self {
            completions: records.len() as u64,
            unreadable: unreadable.len() as u64,
            unreadable_examples: shown.collect(),
            total: Distribution::of(scored.iter().filter_map(|scored| scored.total)),
            without_reward: scored.iter().filter(|scored| scored.total.is_none()).count() as u64,
            rewards: rewards.collect(),
            groups: of_groups(&groups, accuracy),
            order: accuracy.map(|accuracy| Misorder::of(&groups, weights, accuracy)),
            tags: of_tags(records, scored, accuracy),
        }
    }

    /// The report as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

impl std::fmt::Display for WorkbenchReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        text::write(self, f)
    }
}

/// Completions by group, in order of first occurrence.
fn grouped<'a>(records: &[CompletionRecord], scored: &'a [RewardBreakdown]) -> Vec<Vec<&'a RewardBreakdown>> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<&RewardBreakdown>> = Vec::new();
    for (record, scored) in records.iter().zip(scored) {
        let place = *places.entry(&record.group).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(scored);
    }
    groups
}

/// All completions with what they have earned.
struct Scored<'a> {
    records: &'a [CompletionRecord],
    scored: &'a [RewardBreakdown],
    groups: &'a [Vec<&'a RewardBreakdown>],
    weights: &'a [(String, f64)],
    examples: usize,
}

impl Scored<'_> {
    fn reward(&self, n: usize) -> RewardReport {
        let Self { records, scored, groups, weights, examples } = *self;
        let faults = || {
            let of_item = move |(record, scored): (&'_ CompletionRecord, &'_ RewardBreakdown)| {
                let fault = scored.faults.iter().find(|(reward, _)| *reward == n);
                fault.map(|(_, why)| format!("{}: {why}", record.place))
            };
            records.iter().zip(scored).filter_map(of_item)
        };
        let (name, weight) = weights[n].clone();
        let n_faults = faults().count() as u64;
        let absent = scored.iter().filter(|scored| scored.values[n].is_none()).count() as u64;
        let std =
            |group: &Vec<&RewardBreakdown>| deviation(group.iter().filter_map(|one| Some(weight * one.values[n]?)));
        let several = || groups.iter().filter(|group| group.len() > 1);
        RewardReport {
            name,
            weight,
            values: Distribution::of(scored.iter().filter_map(|scored| scored.values[n])),
            absent: absent - n_faults.min(absent),
            faults: n_faults,
            fault_examples: faults().take(examples).collect(),
            std_within_groups: mean(several().map(std)),
        }
    }
}

fn of_groups(groups: &[Vec<&RewardBreakdown>], accuracy: Option<usize>) -> GroupReport {
    let totals = |group: &[&RewardBreakdown]| group.iter().map(|one| one.total).collect::<Vec<_>>();
    let several: Vec<&Vec<&RewardBreakdown>> = groups.iter().filter(|group| group.len() > 1).collect();
    let flat: Vec<&&Vec<&RewardBreakdown>> = several.iter().filter(|group| is_flat(&totals(group))).collect();
    let all = |is_right: bool| {
        let of_kind = |one: &&RewardBreakdown| {
            accuracy.and_then(|place| one.values[place]).is_some_and(|value| (value >= 1.0) == is_right)
        };
        flat.iter().filter(|group| group.iter().all(of_kind)).count() as u64
    };
    let std = |group: &&Vec<&RewardBreakdown>| deviation(group.iter().filter_map(|one| one.total));
    GroupReport {
        n: groups.len() as u64,
        single: (groups.len() - several.len()) as u64,
        without_gradient: flat.len() as u64,
        all_right: all(true),
        all_wrong: all(false),
        std: Distribution::of(several.iter().map(std)),
    }
}

fn of_tags(records: &[CompletionRecord], scored: &[RewardBreakdown], accuracy: Option<usize>) -> TagReport {
    let mut report = TagReport::default();
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for (record, scored) in records.iter().zip(scored) {
        let read = TaggedAnswer::read(&record.completion);
        for problem in &read.problems {
            *report.problems.entry(TagProblem::to_string(problem)).or_default() += 1;
        }
        let words = read.thinking_words() as f64;
        match accuracy.and_then(|place| scored.values[place]) {
            Some(value) if value >= 1.0 => right.push(words),
            Some(_) => wrong.push(words),
            None => {}
        }
    }
    report.words_if_right = Distribution::of(right.into_iter());
    report.words_if_wrong = Distribution::of(wrong.into_iter());
    report
}
