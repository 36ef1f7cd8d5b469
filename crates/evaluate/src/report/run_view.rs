//! One run on one data set, as the page shows it.

use audsem_report::{IntervalBar, IntervalChart, Markup};
use serde::Serialize;

use crate::error::Error;
use crate::score::summary::{CaptionStatistics, Estimate, GroupsSummary, ThinkingSummary, all_audits};
use crate::score::{BenchmarkSummary, HeardSummary, MetricKind};

/// What stands where a score would stand without which another one must not be read.
pub(super) const NOT_RUN: &str = "not run";

/// An estimate with its interval.
pub(super) fn shown(metric: MetricKind, estimate: &Estimate) -> String {
    estimate.text(metric)
}

/// One run.
#[derive(Debug, Serialize)]
pub(super) struct RunView<'a> {
    name: &'a str,
    metrics: Vec<MetricRow>,
    hearings: Vec<&'a str>,
    controls: Vec<String>,
    counts: Vec<CountRow>,
    groups: Vec<GroupView<'a>>,
    orders: Vec<String>,
    always_right: Option<String>,
    thinking: Option<ThinkingView>,
    audit: Vec<(&'static str, &'static str, u64)>,
    /// Whether the model has not got the sounds as they are.
    audit_alarm: bool,
    n_shortened: u64,
    captions: Option<&'a CaptionStatistics>,
}

/// A metric, and its value for each way of hearing.
#[derive(Debug, Serialize)]
struct MetricRow {
    name: &'static str,
    about: &'static str,
    values: Vec<String>,
    wilson: String,
}

/// A number of questions for each way of hearing.
#[derive(Debug, Serialize)]
struct CountRow {
    what: String,
    values: Vec<u64>,
}

/// Scores by the values of one property.
#[derive(Debug, Serialize)]
struct GroupView<'a> {
    name: &'a str,
    macro_mean: Option<String>,
    chart: Markup,
    rows: Vec<(String, u64, String)>,
}

/// The reasoning.
#[derive(Debug, Serialize)]
struct ThinkingView {
    facts: Vec<(&'static str, String)>,
    chart: Markup,
    rows: Vec<(String, u64, String)>,
}

impl<'a> RunView<'a> {
    pub(super) fn of(name: &'a str, found: &'a BenchmarkSummary) -> Result<Self, Error> {
        let metric = MetricKind::main(&found.kind);
        let heard: Vec<(&str, &HeardSummary)> = ["sound", "silence", "nothing"]
            .into_iter()
            .filter_map(|heard| Some((heard, found.heard.get(heard)?)))
            .collect();
        let with_sound = found.heard.get("sound");
        let permutations = with_sound.and_then(|heard| heard.permutations.as_ref());
        // One value tells nothing apart.
        let groups = with_sound.iter().flat_map(|heard| &heard.groups).filter(|(_, group)| group.values.len() > 1);
        let thinking = with_sound.and_then(|heard| heard.thinking.as_ref());
        Ok(Self {
            name,
            metrics: metric_rows(&heard),
            hearings: heard.iter().map(|(heard, _)| *heard).collect(),
            controls: controls(found),
            counts: count_rows(&heard),
            groups: groups.map(|(name, group)| group_view(name, group, metric)).collect::<Result<_, _>>()?,
            orders: permutations
                .map(|found| found.by_order.iter().map(|order| shown(MetricKind::Official, order)).collect())
                .unwrap_or_default(),
            always_right: permutations.map(|found| format!("{:.1} %", found.always_right * 100.0)),
            thinking: thinking.map(|thinking| thinking_view(thinking, metric)).transpose()?,
            audit: all_audits(&found.token_audit)
                .into_iter()
                .map(|(audit, n)| (audit.name(), audit.describe(), n))
                .collect(),
            audit_alarm: ["padded", "truncated", "deaf"].iter().any(|verdict| found.token_audit.contains_key(*verdict)),
            n_shortened: found.n_shortened,
            captions: with_sound.and_then(|heard| heard.captions.as_ref()),
        })
    }
}

fn metric_rows(heard: &[(&str, &HeardSummary)]) -> Vec<MetricRow> {
    let mut kinds: Vec<MetricKind> = Vec::new();
    for (kind, _) in heard.iter().flat_map(|(_, heard)| &heard.metrics) {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    let row = |kind: MetricKind| {
        let (name, about, _) = kind.about();
        let value =
            |heard: &HeardSummary| heard.metric(kind).map_or_else(|| "–".to_owned(), |found| shown(kind, found));
        let wilson = heard.first().and_then(|(_, heard)| heard.metric(kind)?.wilson);
        let bare = |value: f64| kind.text(value).trim_end_matches(" %").to_owned();
        MetricRow {
            name,
            about,
            values: heard.iter().map(|(_, heard)| value(heard)).collect(),
            wilson: wilson.map_or_else(|| "–".to_owned(), |(low, high)| format!("{}–{}", bare(low), bare(high))),
        }
    };
    kinds.into_iter().map(row).collect()
}

/// What a score must not stand without, and was not run.
fn controls(found: &BenchmarkSummary) -> Vec<String> {
    let mut missing = Vec::new();
    let permuted = found.heard.get("sound").is_some_and(|heard| heard.permutations.is_some());
    if found.kind == "choice" && !permuted {
        missing.push("Options in other orders were not run (predict --permute K): a habit of choosing one letter would not show.".to_owned());
    }
    let blind = ["silence", "nothing"].iter().any(|heard| found.heard.contains_key(*heard));
    if !blind {
        missing.push("The questions were not asked without their sounds (predict --blind): nothing shows that the model has listened.".to_owned());
    }
    missing
}

fn count_rows(heard: &[(&str, &HeardSummary)]) -> Vec<CountRow> {
    let mut rows = Vec::new();
    let mut add = |what: String, of: &dyn Fn(&HeardSummary) -> u64| {
        let values: Vec<u64> = heard.iter().map(|(_, heard)| of(heard)).collect();
        rows.push(CountRow { what, values });
    };
    add("questions".to_owned(), &|heard| heard.n_total);
    add("scored".to_owned(), &|heard| heard.n_scored);
    if heard.iter().any(|(_, heard)| heard.n_without_rule > 0) {
        add("instructions without a rule".to_owned(), &|heard| heard.n_without_rule);
    }
    add("with an answer".to_owned(), &|heard| heard.n_with_answer);
    if heard.iter().any(|(_, heard)| heard.metric(MetricKind::Parsed).is_some()) {
        add("answers that mean no option".to_owned(), &|heard| heard.n_unparsed);
    }
    if heard.iter().any(|(_, heard)| heard.n_judged > 0) {
        add("left to the judge".to_owned(), &|heard| heard.n_judged);
        add("with a rating".to_owned(), &|heard| heard.n_rated);
    }
    let names = |of: fn(&HeardSummary) -> &std::collections::BTreeMap<String, u64>| {
        heard.iter().flat_map(move |(_, heard)| of(heard).keys().cloned()).collect::<std::collections::BTreeSet<_>>()
    };
    for name in names(|heard| &heard.statuses) {
        add(format!("status: {name}"), &|heard| heard.statuses.get(&name).copied().unwrap_or(0));
    }
    for name in names(|heard| &heard.answer_sources) {
        add(format!("answer found: {name}"), &|heard| heard.answer_sources.get(&name).copied().unwrap_or(0));
    }
    rows
}

fn group_view<'a>(name: &'a str, group: &GroupsSummary, metric: MetricKind) -> Result<GroupView<'a>, Error> {
    // Questions of another kind, such as instructions among choices, have a metric of their own.
    let main = |metrics: &[(MetricKind, Estimate)]| {
        metrics.iter().find(|(kind, _)| *kind == metric).or(metrics.first()).copied()
    };
    let found: Vec<(&String, (MetricKind, Estimate))> =
        group.values.iter().filter_map(|(value, metrics)| Some((value, main(metrics)?))).collect();
    let text = |kind: MetricKind, estimate: &Estimate| match kind {
        kind if kind == metric => shown(kind, estimate),
        kind => format!("{} {}", kind.about().0, shown(kind, estimate)),
    };
    let rows = found.iter().map(|(value, (kind, found))| ((*value).clone(), found.n, text(*kind, found)));
    let same = found.iter().filter(|(_, (kind, _))| *kind == metric);
    let bars = same.map(|(value, (_, estimate))| (format!("{value} ({})", estimate.n), *estimate));
    Ok(GroupView {
        name,
        macro_mean: group.macro_mean.map(|mean| metric.text(mean)),
        chart: bar_chart(&format!("{} by {name}", metric.about().0), metric, bars)?,
        rows: rows.collect(),
    })
}

fn bar_chart(title: &str, metric: MetricKind, bars: impl Iterator<Item = (String, Estimate)>) -> Result<Markup, Error> {
    let bars: Vec<IntervalBar> = bars
        .map(|(label, estimate)| IntervalBar {
            label,
            value: estimate.value,
            interval: estimate.interval(),
            text: shown(metric, &estimate),
            faint: false,
        })
        .collect();
    let largest = bars.iter().map(|bar| bar.interval.map_or(bar.value, |(_, high)| high)).fold(0.0, f64::max);
    let high = if metric.is_accuracy() || largest <= 0.0 { 1.0 } else { largest };
    let (title, axis, is_share) = (title.to_owned(), metric.about().0.to_owned(), metric.is_in_percent());
    Ok(IntervalChart { title, axis, is_share, low: 0.0, high, mark: None, bars }.draw()?)
}

fn thinking_view(thinking: &ThinkingSummary, metric: MetricKind) -> Result<ThinkingView, Error> {
    let share = |n: u64| {
        format!("{n} of {} ({:.1} %)", thinking.n_outputs, 100.0 * n as f64 / thinking.n_outputs.max(1) as f64)
    };
    let words = |words: Option<u32>| words.map_or_else(|| "–".to_owned(), |words| words.to_string());
    let mean = |mean: Option<f64>| mean.map_or_else(|| "–".to_owned(), |mean| format!("{mean:.1}"));
    let facts = vec![
        ("outputs with a reasoning inside tags", share(thinking.n_thinking)),
        ("outputs of the exact form", share(thinking.n_well_formed)),
        ("outputs that were cut off", share(thinking.n_cut_off)),
        ("words that were asked for", words(thinking.target_words)),
        ("mean words", mean(thinking.mean_words)),
        ("median words", words(thinking.median_words)),
        ("nine tenths have at most", words(thinking.ninth_decile_words)),
        ("mean distance from what was asked for", mean(thinking.mean_distance)),
    ];
    let label = |from: u32, to: Option<u32>| match to {
        Some(0) => "no reasoning".to_owned(),
        Some(to) => format!("{from} to {to} words"),
        None => format!("from {from} words"),
    };
    let budgets = || thinking.by_budget.iter().map(|budget| (label(budget.from, budget.to), budget.estimate));
    let bars = budgets().map(|(label, estimate)| (format!("{label} ({})", estimate.n), estimate));
    Ok(ThinkingView {
        facts,
        chart: bar_chart("Scores by words of reasoning", metric, bars)?,
        rows: budgets().map(|(label, estimate)| (label, estimate.n, shown(metric, &estimate))).collect(),
    })
}
