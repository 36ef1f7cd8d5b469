//! Two runs on the same questions.

use std::collections::BTreeMap;

use audsem_metrics::interval::{RatioSums, Resampling, mcnemar_exact};
use serde::Serialize;

use super::scored::ScoredRun;
use crate::score::MetricKind;
use crate::score::summary::{by_sound, sums};
use crate::tables::ItemScore;

/// How two runs differ on the same questions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first run.
    pub first: String,
    /// The second run.
    pub second: String,
    /// The metric.
    pub metric: MetricKind,
    /// Questions that both were asked.
    pub n: u64,
    /// The first less the second.
    pub difference: f64,
    /// Its interval at 95 %, by a paired bootstrap over the sounds.
    pub interval: Option<(f64, f64)>,
    /// Questions that the first alone has answered right, and the second alone.
    pub only: Option<(u64, u64)>,
    /// Exact p-value of McNemar's test on these.
    pub p_value: Option<f64>,
}

/// Why two runs cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotComparable {
    /// The questions, options or right answers differ.
    OtherData,
    /// The ratings are by other judges or other rubrics.
    OtherJudge,
    /// The metric is of all answers together.
    NotPaired,
    /// Both have no question in common.
    NothingInCommon,
}

impl Comparison {
    /// Whether the first is better by more than chance explains: the interval of the difference lies on its side.
    #[must_use]
    pub fn first_is_better(&self) -> bool {
        let is_less_better = self.metric.about().2;
        self.interval.is_some_and(|(low, high)| if is_less_better { high < 0.0 } else { low > 0.0 })
    }
}

impl NotComparable {
    /// The reason, for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::OtherData => "not compared: the data sets differ in questions, options or right answers",
            Self::OtherJudge => "not compared: other judges or other rubrics, whose ratings have nothing in common",
            Self::NotPaired => "not compared: the metric is of all answers together, and has no pairs",
            Self::NothingInCommon => "not compared: no question in common",
        }
    }
}

/// Compares two runs on a data set by its main metric.
///
/// # Errors
/// The runs cannot be compared.
pub fn compare(
    first: &ScoredRun,
    second: &ScoredRun,
    benchmark: &str,
    resampling: Resampling,
) -> Result<Comparison, NotComparable> {
    let data = |run: &ScoredRun| run.summary.benchmarks.get(benchmark).map(|found| found.data_sha256.clone());
    if data(first).is_none() || data(first) != data(second) {
        return Err(NotComparable::OtherData);
    }
    let rows = first.heard(benchmark);
    let found = first.summary.benchmarks.get(benchmark).filter(|_| !rows.is_empty());
    let metric = found.map(|found| MetricKind::main(&found.kind)).ok_or(NotComparable::NothingInCommon)?;
    let judges = [first, second].map(|run| run.summary.judge.as_ref());
    if metric.is_of_judge() && judges[0] != judges[1] {
        return Err(NotComparable::OtherJudge);
    }
    let names = [first, second].map(|run| run.name.clone());
    paired(names, metric, [rows, second.heard(benchmark)], scale(first, metric), resampling)
}

/// Compares the answers of a run with its answers to the same questions without the sounds: what is not gained by hearing is no
/// evidence of it.
///
/// # Errors
/// The run has no such answers, or its metric has no pairs.
pub fn compare_hearing(
    run: &ScoredRun,
    benchmark: &str,
    heard: &str,
    resampling: Resampling,
) -> Result<Comparison, NotComparable> {
    let found = run.summary.benchmarks.get(benchmark).ok_or(NotComparable::NothingInCommon)?;
    let metric = MetricKind::main(&found.kind);
    let rows = [run.heard(benchmark), run.heard_as(benchmark, heard)];
    if rows.iter().any(Vec::is_empty) {
        return Err(NotComparable::NothingInCommon);
    }
    let without = if heard == "silence" { "with silence" } else { "without sound" };
    let names = [format!("{} with sound", run.name), format!("{} {without}", run.name)];
    paired(names, metric, rows, scale(run, metric), resampling)
}

/// What a mean of the metric is multiplied with.
fn scale(run: &ScoredRun, metric: MetricKind) -> f64 {
    let judge = run.summary.judge.as_ref().filter(|_| metric.is_of_judge());
    judge.map_or(1.0, |judge| judge.scale.scale)
}

/// Compares answers to the same questions, by the names of these.
fn paired(
    [first, second]: [String; 2],
    metric: MetricKind,
    [rows, others]: [Vec<&ItemScore>; 2],
    scale: f64,
    resampling: Resampling,
) -> Result<Comparison, NotComparable> {
    if metric == MetricKind::Bleu {
        return Err(NotComparable::NotPaired);
    }
    let others: BTreeMap<&str, &ItemScore> = others.into_iter().map(|row| (row.id.as_str(), row)).collect();
    let shares = |row: &ItemScore| Some((metric.share(row)?, metric.share(others.get(row.id.as_str())?)?));
    let common: Vec<&ItemScore> = rows.into_iter().filter(|row| shares(row).is_some()).collect();
    let clusters = by_sound(&common);
    let second_rows =
        |rows: &[&ItemScore]| rows.iter().filter_map(|row| others.get(row.id.as_str()).copied()).collect::<Vec<_>>();
    let ours: Vec<RatioSums> = clusters.iter().map(|rows| sums(metric, rows)).collect();
    let theirs: Vec<RatioSums> = clusters.iter().map(|rows| sums(metric, &second_rows(rows))).collect();
    let whole = |all: &[RatioSums]| RatioSums::ratio(all, 0..all.len());
    let difference = whole(&ours).zip(whole(&theirs)).map(|(first, second)| (first - second) * scale);
    let interval = RatioSums::paired_difference(&ours, &theirs, resampling);
    let only = metric.is_accuracy().then(|| {
        let count = |one: f64, other: f64| {
            let is = |row: &&&ItemScore| shares(row).is_some_and(|(a, b)| (a.0, b.0) == (one, other));
            common.iter().filter(is).count() as u64
        };
        (count(1.0, 0.0), count(0.0, 1.0))
    });
    Ok(Comparison {
        first,
        second,
        metric,
        n: common.len() as u64,
        difference: difference.ok_or(NotComparable::NothingInCommon)?,
        interval: interval.map(|interval| (interval.low * scale, interval.high * scale)),
        only,
        p_value: only.map(|(first, second)| mcnemar_exact(first, second)),
    })
}
