//! The report for people.

use std::fmt::{Formatter, Result};

use audsem_core::terminal::{by_number, counted};

use super::WorkbenchReport;
use super::distribution::Distribution;
use super::order::Misorder;
use super::report::{GroupReport, RewardReport, TagReport};

pub(super) fn write(report: &WorkbenchReport, f: &mut Formatter<'_>) -> Result {
    writeln!(f, "{} of {}", counted(report.completions, "completions"), counted(report.groups.n, "questions"))?;
    if report.unreadable > 0 {
        let (is, one) =
            (by_number(report.unreadable, "is", "are"), by_number(report.unreadable, "completion", "completions"));
        writeln!(f, "{} {is} no {one}", counted(report.unreadable, "lines"))?;
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
        let has = by_number(report.without_reward, "has", "have");
        writeln!(f, "{} {has} no reward at all", counted(report.without_reward, "completions"))?;
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
        writeln!(f, "    does not apply to {}", counted(reward.absent, "completions"))?;
    }
    if reward.faults > 0 {
        writeln!(f, "    could not score {}", counted(reward.faults, "completions"))?;
    }
    reward.fault_examples.iter().try_for_each(|example| writeln!(f, "        {example}"))
}

fn groups(groups: &GroupReport, f: &mut Formatter<'_>) -> Result {
    let several = groups.n - groups.single;
    writeln!(
        f,
        "\n{} with several completions, {} with one, from which nothing is learnt",
        counted(several, "questions"),
        groups.single
    )?;
    writeln!(
        f,
        "{} of {several} without a gradient, as all their sums are equal: {} all right, {} all wrong",
        groups.without_gradient, groups.all_right, groups.all_wrong
    )
}

fn order(order: &Misorder, f: &mut Formatter<'_>) -> Result {
    writeln!(
        f,
        "\n{} of a right and a wrong completion of a question; in {} the wrong one has the larger sum",
        counted(order.pairs, "pairs"),
        order.wrong_first
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
                "{mean:.1} words of reasoning where the answer is {kind} (median {median:.0}, {})",
                counted(words.n, "completions")
            )?;
        }
    }
    Ok(())
}
