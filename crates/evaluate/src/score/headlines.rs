//! What `score` tells in the terminal: the main score of each data set, and what it must not stand without.

use std::path::Path;

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::run::Summary;

use super::summary::{BenchmarkSummary, MetricKind, ScoreSummary};
use crate::error::Error;

/// Adds a line for each data set to the summary of the command.
pub(super) fn add(told: Summary, scores: &Path) -> Result<Summary, Error> {
    let read: ScoreSummary = serde_json::from_slice(&input::read_whole(scores)?)
        .map_err(|error| CoreError::input(scores, format!("not what `score` has written: {error}")))?;
    Ok(read.benchmarks.iter().fold(told, |told, (name, found)| told.with_result(name, line(found))))
}

/// The main metric with its interval, in other orders of the options, with silence and with nothing.
fn line(found: &BenchmarkSummary) -> String {
    let Some((metric, estimate)) = found.heard.get("sound").or(found.heard.values().next()).and_then(|h| h.main())
    else {
        return format!("no score: nothing says which of {} answers are right", found.n_questions);
    };
    let metric = *metric;
    let heard = |name: &str| found.heard.get(name).and_then(|heard| heard.metric(metric));
    let other = |name: &str| heard(name).map_or_else(|| "not run".to_owned(), |found| metric.text(found.value));
    let orders = found
        .heard
        .get("sound")
        .and_then(|heard| heard.permutations.as_ref())
        .map_or_else(|| "not run".to_owned(), |found| MetricKind::Official.text(found.mean.value));
    let orders = if found.kind == "choice" { format!(", in other orders {orders}") } else { String::new() };
    format!(
        "{} {} of {} answers{orders}; with silence {}, without sound {}",
        metric.about().0,
        estimate.text(metric),
        estimate.n,
        other("silence"),
        other("nothing")
    )
}
