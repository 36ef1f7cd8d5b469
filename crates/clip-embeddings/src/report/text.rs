//! The report as text.

use std::fmt::Write as _;

use audsem_core::terminal::counted;

use super::{HashedConfig, SetSummary, Summaries};
use crate::criterion::label;

/// The quantiles that are reported.
pub(super) const QUANTILES: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

/// Lines of a histogram.
const LINES: usize = 24;

/// Characters of its longest bar.
const WIDTH: f64 = 50.0;

/// Counts of a histogram of `n` equal bins over the range of the scores: where each bin begins, and how
/// many scores lie in it. The last one is closed.
pub(super) fn histogram(set: &SetSummary, n: usize) -> Vec<(f64, u64)> {
    let (low, high) = (f64::from(set.min), f64::from(set.max));
    let width = ((high - low) / n as f64).max(super::BIN);
    let mut bins: Vec<(f64, u64)> = (0..n).map(|i| (low + i as f64 * width, 0)).collect();
    for (bin, count) in &set.bins {
        let value = ((*bin as f64 + 0.5) * super::BIN).clamp(low, high);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of the bins")]
        let i = ((value - low) / width) as usize;
        bins[i.min(n - 1)].1 += count;
    }
    bins
}

pub(super) fn render(settings: &HashedConfig<'_>, summaries: &Summaries) -> String {
    let mut out = String::new();
    write_all(&mut out, settings, summaries).expect("writing to a string does not fail");
    out
}

fn write_all(out: &mut String, settings: &HashedConfig<'_>, summaries: &Summaries) -> std::fmt::Result {
    let (column, side) = (settings.criterion.column, settings.criterion.side.name());
    writeln!(out, "{}\n", settings.title)?;
    for (modality, total) in &summaries.totals {
        let sets = || summaries.sets[modality].iter().map(|(name, set)| (name.as_str(), set));
        writeln!(out, "== {modality}: {} ({}: {})\n", counted(total.count, "scores"), column.name(), column.meaning())?;
        table(out, sets(), total)?;
        draw(out, total)?;
        writeln!(out, "\nyield: what a threshold keeps (a score {side} it is left out)")?;
        thresholds(out, settings, sets(), total)?;
        for (title, extremes) in settings.ends(total) {
            writeln!(out, "\n{}", title.to_lowercase())?;
            for extreme in extremes {
                let text = extreme.text.as_deref().map(one_line).unwrap_or_default();
                let line = format!("  {:7.4}  {}  {text}", extreme.value, extreme.key);
                writeln!(out, "{}", line.trim_end())?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The histogram, a line for each bin.
fn draw(out: &mut String, total: &SetSummary) -> std::fmt::Result {
    writeln!(out, "\nhistogram")?;
    let bins = histogram(total, LINES);
    let most = bins.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1);
    for (from, n) in bins {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most WIDTH")]
        let bar = "#".repeat((n as f64 / most as f64 * WIDTH).ceil() as usize);
        writeln!(out, "{}", format!("  {from:7.4}  {n:>10}  {bar}").trim_end())?;
    }
    Ok(())
}

/// A caption on a single line.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// All sets and, where there are several, their total.
pub(super) fn with_total<'a>(
    sets: impl Iterator<Item = (&'a str, &'a SetSummary)>,
    total: &'a SetSummary,
) -> Vec<(&'a str, &'a SetSummary)> {
    let mut rows: Vec<_> = sets.collect();
    if rows.len() != 1 {
        // A key that is in several sets counts once.
        rows.push(("all, each key once", total));
    }
    rows
}

fn table<'a>(
    out: &mut String,
    sets: impl Iterator<Item = (&'a str, &'a SetSummary)>,
    total: &'a SetSummary,
) -> std::fmt::Result {
    write!(out, "  {:<24} {:>10} {:>8} {:>8}", "set", "count", "mean", "min")?;
    QUANTILES.iter().try_for_each(|q| write!(out, " {:>7}%", q * 100.0))?;
    writeln!(out, " {:>8}", "max")?;
    for (name, set) in with_total(sets, total) {
        write!(out, "  {name:<24} {:>10} {:>8.4} {:>8.4}", set.count, set.mean(), set.min)?;
        QUANTILES.iter().try_for_each(|q| write!(out, " {:>8.4}", set.quantile(*q).unwrap_or(f64::NAN)))?;
        writeln!(out, " {:>8.4}", set.max)?;
    }
    Ok(())
}

fn thresholds<'a>(
    out: &mut String,
    settings: &HashedConfig<'_>,
    sets: impl Iterator<Item = (&'a str, &'a SetSummary)>,
    total: &'a SetSummary,
) -> std::fmt::Result {
    let rows = with_total(sets, total);
    let width = settings.criterion.thresholds.iter().map(|threshold| label(*threshold).len()).max().unwrap_or(0);
    for (i, threshold) in settings.criterion.thresholds.iter().enumerate() {
        for (name, set) in &rows {
            let kept = set.count - set.beyond[i];
            let share = 100.0 * kept as f64 / set.count.max(1) as f64;
            let (label, out_of) = (label(*threshold), set.beyond[i]);
            writeln!(out, "  {label:width$}  {name:<24} {kept:>10} kept {share:>6.2} %  {out_of:>10} left out")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::criterion::{Column, Criterion, Side};
    use crate::report::SummaryConfig;
    use crate::scores::Scored;

    #[test]
    fn no_score_is_lost_in_a_histogram() {
        let criterion = Criterion { column: Column::Dissimilarity, side: Side::Over, thresholds: Vec::new() };
        for n_scores in [1, 2, 500] {
            let mut all = Summaries::default();
            for i in 0..n_scores {
                let value = (i as f32 * 0.37).sin() + 1.0;
                let scored = Scored { key: "k", source: "s", modality: "text", value: Some(value), text: None };
                all.add(scored, value, true, SummaryConfig { criterion: &criterion, extremes: 0 });
            }
            let set = &all.totals["text"];
            for n in [1, 7, 60] {
                let bins = histogram(set, n);
                assert_eq!(bins.len(), n);
                assert_eq!(bins.iter().map(|(_, n)| n).sum::<u64>(), n_scores);
            }
        }
    }

    #[test]
    fn a_caption_stays_on_its_line() {
        assert_eq!(one_line(" a\n dog\tbarks\u{7} "), "a dog barks");
    }
}
