//! Metrics of some rows with their intervals.

use std::collections::BTreeMap;

use audsem_metrics::interval::{Interval, RatioSums, Resampling, bootstrap, wilson};
use serde::{Deserialize, Serialize};

use super::metrics::MetricKind;
use super::ngrams::NgramCounts;
use crate::score::translations::BleuTokens;
use crate::tables::ItemScore;

/// A number and its uncertainty at 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Questions that it is of.
    pub n: u64,
    /// Wilson's interval, for shares of right answers, as if all questions were independent.
    pub wilson: Option<(f64, f64)>,
    /// Percentile bootstrap over the sounds: all questions about a sound are drawn together.
    pub bootstrap: Option<(f64, f64)>,
}

impl Estimate {
    /// The interval to show: that of the bootstrap, else Wilson's. Where all answers are alike every resample is the same, and
    /// a bootstrap would claim certainty.
    #[must_use]
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.bootstrap.filter(|(low, high)| low < high).or(self.wilson)
    }

    /// The number with its interval, as people read it.
    #[must_use]
    pub fn text(&self, metric: MetricKind) -> String {
        let bare = |value: f64| metric.text(value).trim_end_matches(" %").to_owned();
        let interval = self.interval().map(|(low, high)| format!(" ({}–{})", bare(low), bare(high)));
        metric.text(self.value) + &interval.unwrap_or_default()
    }
}

/// Makes estimates of rows.
#[derive(Debug, Clone, Copy)]
pub struct Estimator<'a> {
    /// What the bootstrap draws.
    pub resampling: Resampling,
    /// How BLEU cuts texts into tokens.
    pub bleu: BleuTokens<'a>,
    /// Whether METEOR had synonyms, by which it is named.
    pub wordnet: bool,
    /// What a mean rating of a judge is multiplied with.
    pub judge_scale: f64,
}

impl Estimator<'_> {
    /// Every metric that the rows have, the main one first, with both intervals.
    pub(super) fn all(&self, rows: &[&ItemScore]) -> Vec<(MetricKind, Estimate)> {
        self.kinds(rows).into_iter().filter_map(|kind| Some((kind, self.full(kind, rows)?))).collect()
    }

    /// Every metric that the rows have, the main one with both intervals, the others with Wilson's alone.
    pub(super) fn brief(&self, rows: &[&ItemScore]) -> Vec<(MetricKind, Estimate)> {
        let estimate = |(i, kind)| Some((kind, if i == 0 { self.full(kind, rows)? } else { self.plain(kind, rows)? }));
        self.kinds(rows).into_iter().enumerate().filter_map(estimate).collect()
    }

    /// A metric of rows with both intervals; `None` where no row has it, or nothing is left to divide by.
    pub(super) fn full(&self, kind: MetricKind, rows: &[&ItemScore]) -> Option<Estimate> {
        let mut estimate = self.plain(kind, rows)?;
        if NgramCounts::empty(kind).is_some() {
            estimate.bootstrap = self.ngram_interval(kind, rows).map(|interval| (interval.low, interval.high));
            return Some(estimate);
        }
        let clusters: Vec<RatioSums> = by_sound(rows).iter().map(|rows| sums(kind, rows)).collect();
        let clusters: Vec<RatioSums> = clusters.into_iter().filter(|sums| sums.denominator > 0.0).collect();
        let scale = self.scale(kind);
        let interval = RatioSums::interval(&clusters, self.resampling);
        estimate.bootstrap = interval.map(|interval| (interval.low * scale, interval.high * scale));
        Some(estimate)
    }

    /// An accuracy of questions that were asked several times, each of which counts once by the mean over its answers.
    pub(super) fn mean_of_questions(&self, kind: MetricKind, rows: &[&ItemScore]) -> Option<Estimate> {
        let mut by_question: BTreeMap<&str, Vec<&ItemScore>> = BTreeMap::new();
        for row in rows.iter().filter(|row| kind.share(row).is_some()) {
            by_question.entry(&row.id).or_default().push(row);
        }
        let first: Vec<&ItemScore> = by_question.values().map(|rows| rows[0]).collect();
        let mean = |row: &&ItemScore| {
            let RatioSums { numerator, denominator } = sums(kind, &by_question[row.id.as_str()]);
            numerator / denominator
        };
        let cluster = |rows: &Vec<&ItemScore>| RatioSums {
            numerator: rows.iter().map(mean).sum(),
            denominator: rows.len() as f64,
        };
        let clusters: Vec<RatioSums> = by_sound(&first).iter().map(cluster).collect();
        let n = first.len() as u64;
        let right: f64 = first.iter().map(mean).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the number of questions")]
        let whole = right.round() as u64;
        let range = |interval: Interval| (interval.low, interval.high);
        (n > 0).then(|| Estimate {
            value: right / n as f64,
            n,
            wilson: Some(range(wilson(whole, n))),
            bootstrap: RatioSums::interval(&clusters, self.resampling).map(range),
        })
    }

    /// A metric of rows with Wilson's interval at most.
    #[must_use]
    pub fn plain(&self, kind: MetricKind, rows: &[&ItemScore]) -> Option<Estimate> {
        if let Some(empty) = NgramCounts::empty(kind) {
            let n = rows.iter().filter(|row| empty.counts(row)).count() as u64;
            let value = empty.with_rows(rows, self.bleu).score(kind);
            return (n > 0).then_some(Estimate { value, n, wilson: None, bootstrap: None });
        }
        let n = rows.iter().filter(|row| kind.share(row).is_some()).count() as u64;
        let all = sums(kind, rows);
        if n == 0 || all.denominator == 0.0 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of right answers")]
        let right = all.numerator as u64;
        let interval = kind.is_accuracy().then(|| wilson(right, n));
        Some(Estimate {
            value: all.numerator / all.denominator * self.scale(kind),
            n,
            wilson: interval.map(|interval| (interval.low, interval.high)),
            bootstrap: None,
        })
    }

    fn kinds(&self, rows: &[&ItemScore]) -> Vec<MetricKind> {
        let mut metrics: Vec<MetricKind> = Vec::new();
        for metric in kinds(rows).into_iter().flat_map(|kind| MetricKind::of_kind(kind, self.wordnet)) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        // That of all kinds follows those of each.
        metrics.sort_by_key(|metric| *metric == MetricKind::Overall);
        metrics
    }

    /// The interval of a metric of all texts together: counts of the texts about a sound are drawn together.
    fn ngram_interval(&self, kind: MetricKind, rows: &[&ItemScore]) -> Option<Interval> {
        let empty = NgramCounts::empty(kind)?;
        let counts: Vec<NgramCounts> = by_sound(rows).iter().map(|rows| empty.with_rows(rows, self.bleu)).collect();
        bootstrap(counts.len(), self.resampling, |drawn| {
            let mut all = empty;
            drawn.iter().for_each(|place| all.add(&counts[*place]));
            Some(all.score(kind))
        })
    }

    /// What a mean is multiplied with.
    fn scale(&self, kind: MetricKind) -> f64 {
        if kind.is_of_judge() { self.judge_scale } else { 1.0 }
    }
}

/// The kinds of answers among the rows, that of most rows first.
pub(super) fn kinds<'a>(rows: &[&'a ItemScore]) -> Vec<&'a str> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for row in rows {
        match counts.iter_mut().find(|(kind, _)| *kind == row.kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((&row.kind, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(kind, _)| kind).collect()
}

/// What rows add to a metric.
#[must_use]
pub fn sums(kind: MetricKind, rows: &[&ItemScore]) -> RatioSums {
    let mut sums = RatioSums::default();
    for (numerator, denominator) in rows.iter().filter_map(|row| kind.share(row)) {
        sums.numerator += numerator;
        sums.denominator += denominator;
    }
    sums
}

/// The rows about each sound, or set of sounds; a row without sounds is alone.
pub fn by_sound<'a>(rows: &[&'a ItemScore]) -> Vec<Vec<&'a ItemScore>> {
    let mut clusters: BTreeMap<(&[String], &str), Vec<&ItemScore>> = BTreeMap::new();
    for row in rows {
        let alone = if row.sounds.is_empty() { row.id.as_str() } else { "" };
        clusters.entry((&row.sounds, alone)).or_default().push(row);
    }
    clusters.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_answers_are_no_certainty() {
        let estimate = |bootstrap, wilson| Estimate { value: 0.0, n: 20, wilson, bootstrap };
        assert_eq!(estimate(Some((0.0, 0.0)), Some((0.0, 0.16))).interval(), Some((0.0, 0.16)));
        assert_eq!(estimate(Some((0.1, 0.3)), Some((0.0, 0.4))).interval(), Some((0.1, 0.3)));
        assert_eq!(estimate(Some((1.0, 1.0)), None).interval(), None);
    }
}
