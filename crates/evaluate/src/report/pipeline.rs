//! What became of the records of a data pipeline: the counts of its run folders.

use audsem_core::error::Error as CoreError;
use audsem_core::run::{CompletedRun, Stats};
use audsem_core::terminal::thousands;
use serde::Serialize;

use super::named::NamedFolder;
use crate::error::Error;

/// Reasons that are named beside a step.
const REASONS: usize = 3;

/// One step of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunnelStep {
    /// The run.
    pub run: String,
    /// The step within it; empty for the one that does its work.
    pub step: String,
    /// Records that came in.
    pub read: u64,
    /// Records that were kept.
    pub kept: u64,
    /// Records that a rule has left out.
    pub dropped: u64,
    /// Records that were broken.
    pub failed: u64,
    /// Percent kept.
    pub share: f64,
    /// The most frequent reasons to leave a record out, with their numbers.
    pub reasons: Vec<String>,
}

/// What became of the records of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Funnel {
    /// The steps of the runs that have left something out, in their order.
    pub steps: Vec<FunnelStep>,
    /// The runs that have kept everything.
    pub whole: Vec<String>,
}

/// The funnel of run folders, in their order.
///
/// # Errors
/// A folder is no run folder, or its run has not ended.
pub fn funnel(folders: &[NamedFolder]) -> Result<Funnel, Error> {
    let mut funnel = Funnel::default();
    for folder in folders {
        let run = CompletedRun::open(&folder.path)?
            .ok_or_else(|| CoreError::input(&folder.path, "this is no run folder, so it has no counts"))?;
        if run.steps().all(|(_, stats)| stats.n_left_out() == 0) {
            funnel.whole.push(folder.name.clone());
            continue;
        }
        funnel.steps.extend(run.told_steps().map(|(step, stats)| FunnelStep::of(&folder.name, step, stats)));
    }
    Ok(funnel)
}

impl FunnelStep {
    fn of(run: &str, step: Option<&str>, stats: &Stats) -> Self {
        let mut reasons: Vec<(&String, &u64)> = stats.dropped.iter().chain(&stats.failed).collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let named = |(reason, n): &(&String, &u64)| format!("{} {}", reason.replace('_', " "), thousands(**n));
        Self {
            run: run.to_owned(),
            step: step.unwrap_or_default().to_owned(),
            read: stats.read,
            kept: stats.kept,
            dropped: stats.n_dropped(),
            failed: stats.n_failed(),
            share: 100.0 * stats.kept as f64 / stats.read.max(1) as f64,
            reasons: reasons.iter().take(REASONS).map(named).collect(),
        }
    }
}
