//! The report as text.

use std::fmt::Write as _;

use super::{Config, SetSummary, Summaries};

/// Shares whose quantiles are told.
pub(super) const QUANTILES: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

/// Lines of a histogram.
const LINES: usize = 24;

/// Signs of its longest bar.
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

pub(super) fn render(config: &Config, summaries: &Summaries) -> String {
    let mut out = String::new();
    let write = |out: &mut String| -> std::fmt::Result {
        writeln!(out, "{}\n", config.title)?;
        for (modality, sets) in &summaries.sets {
            let total = summaries.total(modality, config.noted());
            writeln!(out, "== {modality}: {} scores (dissimilarity: 1 - mean cosine to the reference)\n", total.count)?;
            table(out, sets.iter().map(|(name, set)| (name.as_str(), set)), &total)?;
            writeln!(out, "\nhistogram")?;
            let bins = histogram(&total, LINES);
            let most = bins.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1);
            for (from, n) in bins {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most WIDTH")]
                let bar = "#".repeat((n as f64 / most as f64 * WIDTH).ceil() as usize);
                writeln!(out, "  {from:7.4}  {n:>10}  {bar}")?;
            }
            writeln!(out, "\nyield: what a threshold keeps (a score over it is left out)")?;
            thresholds(out, config, sets.iter().map(|(name, set)| (name.as_str(), set)), &total)?;
            for (title, extremes) in [("most dissimilar", &total.highest), ("most similar", &total.lowest)] {
                writeln!(out, "\n{title}")?;
                extremes
                    .iter()
                    .try_for_each(|extreme| writeln!(out, "  {:7.4}  {}", extreme.dissimilarity, extreme.key))?;
            }
            writeln!(out)?;
        }
        Ok(())
    };
    write(&mut out).expect("writing to a string does not fail");
    out
}

/// All sets and, where there are several, their total.
pub(super) fn with_total<'a>(
    sets: impl Iterator<Item = (&'a str, &'a SetSummary)>,
    total: &'a SetSummary,
) -> Vec<(&'a str, &'a SetSummary)> {
    let mut rows: Vec<_> = sets.collect();
    if rows.len() != 1 {
        rows.push(("all", total));
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
    config: &Config,
    sets: impl Iterator<Item = (&'a str, &'a SetSummary)>,
    total: &'a SetSummary,
) -> std::fmt::Result {
    let rows = with_total(sets, total);
    for (i, threshold) in config.thresholds.iter().enumerate() {
        for (name, set) in &rows {
            let kept = set.count - set.over[i];
            let share = 100.0 * kept as f64 / set.count.max(1) as f64;
            writeln!(out, "  {threshold:.2}  {name:<24} {kept:>10} kept {share:>6.2} %  {:>10} left out", set.over[i])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use audsem_core::tables::ScoreRef;

    use super::*;
    use crate::report::Noted;

    #[test]
    fn no_score_is_lost_in_a_histogram() {
        for n_scores in [1, 2, 500] {
            let mut all = Summaries::default();
            for i in 0..n_scores {
                let dissimilarity = (i as f32 * 0.37).sin() + 1.0;
                let score = ScoreRef {
                    key: "k",
                    source: "s",
                    modality: "text",
                    dissimilarity,
                    nearest: None,
                    mean_top_k: None,
                };
                all.add(score, Noted { thresholds: &[], extremes: 0 });
            }
            let set = &all.sets["text"]["s"];
            for n in [1, 7, 60] {
                let bins = histogram(set, n);
                assert_eq!(bins.len(), n);
                assert_eq!(bins.iter().map(|(_, n)| n).sum::<u64>(), n_scores);
            }
        }
    }
}
