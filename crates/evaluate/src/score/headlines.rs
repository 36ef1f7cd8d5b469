//! What `score` tells in the terminal: the main score of each data set, and what it must not stand without.

use std::path::Path;

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_core::run::Summary;
use audsem_core::terminal::counted;

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
    let Some(sound) = found.heard.get("sound") else {
        return "no score: all answers were given without the sounds".to_owned();
    };
    let Some((metric, estimate)) = sound.main() else {
        return format!("no score: nothing says which answers are right ({})", counted(found.n_questions, "questions"));
    };
    let metric = *metric;
    let heard = |name: &str| found.heard.get(name).and_then(|heard| heard.metric(metric));
    let other = |name: &str| heard(name).map_or_else(|| "not run".to_owned(), |found| metric.text(found.value));
    let orders = sound
        .permutations
        .as_ref()
        .map_or_else(|| "not run".to_owned(), |found| MetricKind::Official.text(found.mean.value));
    let orders = if found.kind == "choice" { format!(", in other orders {orders}") } else { String::new() };
    format!(
        "{} {} of {}{orders}; with silence {}, without sound {}",
        metric.about().0,
        estimate.text(metric),
        counted(estimate.n, "answers"),
        other("silence"),
        other("nothing")
    )
}
