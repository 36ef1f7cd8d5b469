//! The report for people.

use std::fmt::{Formatter, Result};

use super::WorkbenchReport;
use super::distribution::Distribution;
use super::order::Misorder;
use super::report::{GroupReport, RewardReport, TagReport};

pub(super) fn write(report: &WorkbenchReport, f: &mut Formatter<'_>) -> Result {
    writeln!(f, "{} completions of {} questions", report.completions, report.groups.n)?;
    if report.unreadable > 0 {
        writeln!(f, "{} lines are no completions", report.unreadable)?;
        report.unreadable_examples.iter().try_for_each(|example| writeln!(f, "    {example}"))?;
    }
    rewards(report, f)?;
    groups(&report.groups, f)?;
    if let Some(order) = &report.order {
        self::order(order, f)?;
    }
    tags(&report.tags, f)
}

fn rewards(report: &WorkbenchReport, f: &mut Formatter<'_>) -> Result {
    writeln!(
        f,
        "\n{:<16}{:>7}{:>8}{:>8}{:>8}{:>8}{:>8}{:>11}  from min to max",
        "reward", "weight", "mean", "std", "min", "median", "max", "in groups"
    )?;
    for reward in &report.rewards {
        line(f, &reward.name, Some(reward.weight), &reward.values, reward.std_within_groups)?;
        faults(reward, f)?;
    }
    line(f, "sum", None, &report.total, report.groups.std.mean)?;
    if report.without_reward > 0 {
        writeln!(f, "{} completions have no reward at all", report.without_reward)?;
    }
    Ok(())
}

fn line(
    f: &mut Formatter<'_>,
    name: &str,
    weight: Option<f64>,
    values: &Distribution,
    std_within_groups: Option<f64>,
) -> Result {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
    let [weight, mean, min] = [weight, values.mean, values.min].map(number);
    let [median, max, within] = [values.median, values.max, std_within_groups].map(number);
    let std = number(Some(values.std));
    let bars = values.bars();
    writeln!(f, "{name:<16}{weight:>7}{mean:>8}{std:>8}{min:>8}{median:>8}{max:>8}{within:>11}  {bars}")
}

fn faults(reward: &RewardReport, f: &mut Formatter<'_>) -> Result {
    if reward.absent > 0 {
        writeln!(f, "    does not apply to {} completions", reward.absent)?;
    }
    if reward.faults > 0 {
        writeln!(f, "    could not score {} completions", reward.faults)?;
    }
    reward.fault_examples.iter().try_for_each(|example| writeln!(f, "        {example}"))
}

fn groups(groups: &GroupReport, f: &mut Formatter<'_>) -> Result {
    let several = groups.n - groups.single;
    writeln!(
        f,
        "\n{several} questions have several completions, {} have one, from which nothing is learnt",
        groups.single
    )?;
    writeln!(
        f,
        "{} of {several} give no gradient, as all their sums are equal: {} all right, {} all wrong",
        groups.without_gradient, groups.all_right, groups.all_wrong
    )
}

fn order(order: &Misorder, f: &mut Formatter<'_>) -> Result {
    writeln!(
        f,
        "\n{} pairs of a right and a wrong completion of a question; in {} the wrong one has the larger sum",
        order.pairs, order.wrong_first
    )?;
    for (name, count) in order.wrong_first_by_reward.iter().filter(|(_, count)| *count > 0) {
        writeln!(f, "    {count} of these because of `{name}`")?;
    }
    Ok(())
}

fn tags(tags: &TagReport, f: &mut Formatter<'_>) -> Result {
    writeln!(f)?;
    for (problem, count) in &tags.problems {
        writeln!(f, "{count:>8}  {problem}")?;
    }
    for (kind, words) in [("right", &tags.words_if_right), ("wrong", &tags.words_if_wrong)] {
        if let (Some(mean), Some(median)) = (words.mean, words.median) {
            writeln!(
                f,
                "{mean:.1} words of reasoning where the answer is {kind} (median {median:.0}, {} completions)",
                words.n
            )?;
        }
    }
    Ok(())
}
