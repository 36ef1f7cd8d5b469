//! What the page shows, in words and numbers that are ready to be read.

use audsem_core::terminal::counted;
use audsem_metrics::interval::Resampling;
use audsem_report::{About, IntervalBar, IntervalChart, Markup};
use serde::Serialize;

use super::answers::ANSWERS_FILE;
use super::compare::{Comparison, NotComparable, compare, compare_hearing};
use super::examples::{Example, examples};
use super::pipeline::Funnel;
use super::published::{PublishedResults, PublishedTable};
use super::run_view::{NOT_RUN, RunView, shown};
use super::scored::ScoredRun;
use super::sounds::FoundSounds;
use super::source_view::SourceView;
use super::training::TrainingCurves;
use crate::error::Error;
use crate::score::{BenchmarkSummary, MetricKind};

/// Questions that are named beside a remark.
const NAMED: usize = 12;

/// Bars of published results at most.
const PUBLISHED_BARS: usize = 24;

/// What a report is made of.
pub(super) struct ReportParts<'a> {
    pub(super) title: &'a str,
    pub(super) runs: &'a [ScoredRun],
    pub(super) published: PublishedResults,
    pub(super) funnel: Funnel,
    pub(super) curves: Vec<TrainingCurves>,
    pub(super) sounds: FoundSounds,
    pub(super) examples: usize,
    pub(super) resampling: Resampling,
}

/// The page.
#[derive(Debug, Serialize)]
pub(super) struct ReportPage<'a> {
    title: &'a str,
    about: About,
    resamples: u32,
    benchmarks: Vec<BenchmarkView<'a>>,
    funnel: Funnel,
    curves: Vec<TrainingCurves>,
    sources: Vec<SourceView<'a>>,
}

/// A data set.
#[derive(Debug, Serialize)]
struct BenchmarkView<'a> {
    name: &'a str,
    kind: &'a str,
    /// Its questions and sounds, in words.
    size: String,
    data_sha256: &'a str,
    metric: &'static str,
    about_metric: &'static str,
    chart: Markup,
    headline: Vec<HeadlineRow<'a>>,
    runs: Vec<RunView<'a>>,
    comparisons: Vec<ComparisonView>,
    published: Vec<PublishedTable>,
    published_chart: Option<Markup>,
    remarks: Vec<String>,
    /// Warnings of runs that answer as well without their sounds.
    unheard: Vec<String>,
    examples: Vec<Example<'a>>,
}

/// The score of a run, and what it must not stand without.
#[derive(Debug, Serialize)]
struct HeadlineRow<'a> {
    run: &'a str,
    score: String,
    permuted: String,
    consistency: String,
    silence: String,
    nothing: String,
    unparsed: String,
    without_answer: String,
}

#[derive(Debug, Serialize)]
struct ComparisonView {
    first: String,
    second: String,
    difference: String,
    p_value: String,
    only: String,
    n: String,
}

impl<'a> ReportPage<'a> {
    pub(super) fn of(parts: ReportParts<'a>) -> Result<Self, Error> {
        let mut names: Vec<&str> =
            parts.runs.iter().flat_map(|run| run.summary.benchmarks.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        let benchmarks = names.into_iter().map(|name| benchmark(name, &parts)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            title: parts.title,
            about: about(&parts, &benchmarks),
            resamples: parts.resampling.draws,
            benchmarks,
            funnel: parts.funnel,
            curves: parts.curves,
            sources: parts.runs.iter().map(SourceView::of).collect(),
        })
    }
}

/// Models, data sets, day, and the files beside the page.
fn about(parts: &ReportParts<'_>, benchmarks: &[BenchmarkView<'_>]) -> About {
    let names: Vec<&str> = benchmarks.iter().map(|set| set.name).collect();
    let n_rows: usize = parts.runs.iter().map(|run| run.rows.len()).sum();
    About::default()
        .with_runs(parts.runs.iter().flat_map(|run| [&run.predicted, &run.scored]))
        .with("data sets", names.join(", "))
        .with_file(ANSWERS_FILE, format!("{} with scores", counted(n_rows as u64, "answers")))
        .with_file("report.md", "this page as text")
}

fn benchmark<'a>(name: &'a str, parts: &ReportParts<'a>) -> Result<BenchmarkView<'a>, Error> {
    let of_runs: Vec<(&ScoredRun, &BenchmarkSummary)> =
        parts.runs.iter().filter_map(|run| Some((run, run.summary.benchmarks.get(name)?))).collect();
    let (_, first) = of_runs.first().expect("the name is that of a data set of a run");
    let metric = MetricKind::main(&first.kind);
    let (label, about, _) = metric.about();
    let published: Vec<PublishedTable> = parts.published.of(name).cloned().collect();
    Ok(BenchmarkView {
        name,
        kind: &first.kind,
        size: size(first),
        data_sha256: &first.data_sha256,
        metric: label,
        about_metric: about,
        chart: chart(name, metric, &of_runs)?,
        headline: of_runs.iter().map(|(run, found)| headline(run, found, metric)).collect(),
        runs: of_runs.iter().map(|(run, found)| RunView::of(&run.name, found)).collect::<Result<_, _>>()?,
        comparisons: comparisons(name, parts),
        published_chart: published_chart(name, metric, &of_runs, &published)?,
        published,
        remarks: remarks(first, &of_runs),
        unheard: unheard(name, parts),
        examples: examples(parts.runs, name, parts.examples, &parts.sounds),
    })
}

/// The numbers of questions and of sounds.
fn size(found: &BenchmarkSummary) -> String {
    format!("{} about {}", counted(found.n_questions, "questions"), counted(found.n_sounds, "sounds"))
}

fn headline<'a>(run: &'a ScoredRun, found: &BenchmarkSummary, metric: MetricKind) -> HeadlineRow<'a> {
    let heard = |name: &str| found.heard.get(name);
    let score = |name: &str| heard(name).and_then(|heard| heard.metric(metric)).map(|found| shown(metric, found));
    let permutations = heard("sound").and_then(|heard| heard.permutations.as_ref());
    let is_choice = found.kind == "choice";
    let none = || if is_choice { NOT_RUN.to_owned() } else { "–".to_owned() };
    let with_sound = heard("sound");
    let count = |n: u64| with_sound.map_or_else(String::new, |heard| format!("{n} of {}", heard.n_total));
    HeadlineRow {
        run: &run.name,
        score: score("sound").unwrap_or_else(|| NOT_RUN.to_owned()),
        permuted: permutations.map_or_else(none, |found| shown(MetricKind::Official, &found.mean)),
        consistency: permutations.map_or_else(none, |found| {
            format!("{:.1} % of {} in {} orders", found.consistency * 100.0, found.n_questions, found.n_orders)
        }),
        silence: score("silence").unwrap_or_else(|| NOT_RUN.to_owned()),
        nothing: score("nothing").unwrap_or_else(|| NOT_RUN.to_owned()),
        unparsed: if is_choice { count(with_sound.map_or(0, |heard| heard.n_unparsed)) } else { "–".to_owned() },
        without_answer: count(with_sound.map_or(0, |heard| heard.n_total - heard.n_with_answer)),
    }
}

/// The main metric of all runs, each above what it is without the sound and in other orders.
fn chart(name: &str, metric: MetricKind, runs: &[(&ScoredRun, &BenchmarkSummary)]) -> Result<Markup, Error> {
    let mut bars = Vec::new();
    for (run, found) in runs {
        let mut add = |what: &str, estimate: &crate::score::summary::Estimate, faint: bool| {
            let label = if what.is_empty() { run.name.clone() } else { format!("{}, {what}", run.name) };
            let (value, interval) = (estimate.value, estimate.interval());
            bars.push(IntervalBar { label, value, interval, text: shown(metric, estimate), faint });
        };
        for (heard, what) in [("sound", ""), ("silence", "silence"), ("nothing", "without sound")] {
            let Some(summary) = found.heard.get(heard) else { continue };
            if let Some(estimate) = summary.metric(metric) {
                add(what, estimate, heard != "sound");
            }
            if let Some(permutations) = summary.permutations.as_ref().filter(|_| heard == "sound") {
                add("options in other orders", &permutations.mean, true);
            }
        }
    }
    let of_metric = |found: &BenchmarkSummary| match metric {
        MetricKind::Official => found.chance_official.or(found.chance),
        _ => found.chance,
    };
    let chance = runs.first().and_then(|(_, found)| of_metric(found)).filter(|_| metric.is_accuracy());
    let mark = chance.map(|chance| (chance, format!("an option drawn at random: {:.1} %", chance * 100.0)));
    Ok(IntervalChart {
        title: format!("{} of {name}", metric.about().0),
        axis: metric.about().0.to_owned(),
        is_share: metric.is_in_percent(),
        low: 0.0,
        high: high(&bars, metric),
        mark,
        bars,
    }
    .draw()?)
}

/// The end of an axis: 1 for shares, else the largest end of an interval.
fn high(bars: &[IntervalBar], metric: MetricKind) -> f64 {
    let ends = bars.iter().map(|bar| bar.interval.map_or(bar.value, |(_, high)| high.max(bar.value)));
    let largest = ends.fold(0.0, f64::max);
    match () {
        () if metric.is_accuracy() => 1.0,
        () if largest > 0.0 => largest,
        () => 1.0,
    }
}

/// Each run against itself without the sounds, and every two runs.
fn comparisons(name: &str, parts: &ReportParts<'_>) -> Vec<ComparisonView> {
    let mut views = Vec::new();
    for run in parts.runs {
        let without = ["silence", "nothing"].map(|heard| compare_hearing(run, name, heard, parts.resampling));
        views.extend(without.iter().flatten().map(ComparisonView::of));
    }
    for (i, first) in parts.runs.iter().enumerate() {
        for second in &parts.runs[i + 1..] {
            if [first, second].iter().all(|run| run.summary.benchmarks.contains_key(name)) {
                views.push(match compare(first, second, name, parts.resampling) {
                    Ok(found) => ComparisonView::of(&found),
                    Err(reason) => ComparisonView::none(first, second, reason),
                });
            }
        }
    }
    views
}

impl ComparisonView {
    fn none(first: &ScoredRun, second: &ScoredRun, reason: NotComparable) -> Self {
        let none = || String::from("–");
        Self {
            first: first.name.clone(),
            second: second.name.clone(),
            difference: reason.describe().to_owned(),
            p_value: none(),
            only: none(),
            n: none(),
        }
    }

    fn of(found: &Comparison) -> Self {
        let none = || String::from("–");
        let p_value = |p: f64| if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") };
        Self {
            first: found.first.clone(),
            second: found.second.clone(),
            difference: difference(found),
            p_value: found.p_value.map_or_else(none, p_value),
            only: found.only.map_or_else(none, |(first, second)| format!("{first} / {second}")),
            n: found.n.to_string(),
        }
    }
}

/// A difference with its interval.
fn difference(found: &Comparison) -> String {
    let text = |value: f64| format!("{}{}", if value > 0.0 { "+" } else { "" }, found.metric.text(value));
    let interval = found.interval.map(|(low, high)| format!(" ({} to {})", text(low), text(high)));
    text(found.difference) + &interval.unwrap_or_default()
}

/// Runs that answer as well without their sounds, as far as these questions tell.
fn unheard(name: &str, parts: &ReportParts<'_>) -> Vec<String> {
    let tell = |run: &ScoredRun| {
        let without = ["silence", "nothing"].map(|heard| compare_hearing(run, name, heard, parts.resampling));
        let found = without.into_iter().flatten().find(|found| !found.first_is_better())?;
        Some(format!(
            "{} is no better than {} by more than chance explains: {}. Nothing here shows that the model has listened.",
            found.first,
            found.second,
            difference(&found)
        ))
    };
    parts.runs.iter().filter_map(tell).collect()
}

/// Our scores among published results of the same metric on any version of the data set.
fn published_chart(
    name: &str,
    metric: MetricKind,
    runs: &[(&ScoredRun, &BenchmarkSummary)],
    tables: &[PublishedTable],
) -> Result<Option<Markup>, Error> {
    if !metric.is_accuracy() || tables.is_empty() {
        return Ok(None);
    }
    let mut bars: Vec<IntervalBar> = runs
        .iter()
        .filter_map(|(run, found)| {
            let estimate = found.heard.get("sound")?.metric(metric)?;
            let (value, interval) = (estimate.value, estimate.interval());
            Some(IntervalBar { label: run.name.clone(), value, interval, text: shown(metric, estimate), faint: false })
        })
        .collect();
    for table in tables {
        for row in &table.rows {
            let version = table.version.as_deref().map(|version| format!(" · {version}")).unwrap_or_default();
            let text = format!("{:.1} %{version}", row.value);
            bars.push(IntervalBar {
                label: row.model.clone(),
                value: row.value / 100.0,
                interval: None,
                text,
                faint: true,
            });
        }
    }
    bars.sort_by(|a, b| b.value.total_cmp(&a.value));
    // Ours stay, however many there are above them.
    let mut room = PUBLISHED_BARS.saturating_sub(runs.len());
    bars.retain(|bar| {
        let keep = !bar.faint || room > 0;
        room = room.saturating_sub(usize::from(bar.faint && keep));
        keep
    });
    let (title, axis) = (format!("Published results on {name}"), metric.about().0.to_owned());
    Ok(Some(IntervalChart { title, axis, is_share: true, low: 0.0, high: 1.0, mark: None, bars }.draw()?))
}

/// What a reader must know of the data set.
fn remarks(first: &BenchmarkSummary, runs: &[(&ScoredRun, &BenchmarkSummary)]) -> Vec<String> {
    let list = |ids: &[String]| {
        let more = ids.len().saturating_sub(NAMED);
        let named = ids.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        if more > 0 { format!("{named} and {more} more") } else { named }
    };
    let mut remarks = Vec::new();
    for (ids, what) in [
        (&first.answers_outside, "the right answer is not among the options"),
        (&first.repeated_options, "options are equal"),
        (
            &first.same_words,
            "a wrong option has the words of the right one, so that the official rule cannot tell them apart",
        ),
    ] {
        if !ids.is_empty() {
            remarks.push(format!("In {} of {} questions {what}: {}.", ids.len(), first.n_questions, list(ids)));
        }
    }
    if let (Some(chance), Some(lettered)) = (first.chance_official, first.lettered_official) {
        remarks.push(format!(
            "By the official rule an option that is drawn at random scores {:.1} % as bare text, and the right option behind its \
             letter {:.1} %: the rule takes letters for words, so that a model that repeats them can get no more. `parsed` reads \
             them as letters.",
            chance * 100.0,
            lettered * 100.0
        ));
    }
    for (run, found) in runs {
        let of_run = |note: &String| if runs.len() == 1 { note.clone() } else { format!("{}: {note}", run.name) };
        remarks.extend(found.notes.iter().map(of_run));
        if found.data_sha256 != first.data_sha256 {
            remarks.push(format!(
                "{} was asked other questions, or another version of them: its score is not comparable.",
                run.name
            ));
        }
        let withheld =
            found.heard.get("sound").map_or(0, |heard| heard.n_total - heard.n_scored - heard.n_without_rule);
        if withheld > 0 {
            remarks.push(format!(
                "What is right is withheld of {}; {} has no score there.",
                counted(withheld, "questions"),
                run.name
            ));
        }
    }
    remarks
}
