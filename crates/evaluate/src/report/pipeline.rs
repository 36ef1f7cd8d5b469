//! What became of the records of a data pipeline: the counts of its run folders.

use audsem_core::error::Error as CoreError;
use audsem_core::run::CompletedRun;
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
    /// The step within it; empty where it has one alone.
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

/// The steps of run folders, in the order of both.
///
/// # Errors
/// A folder is no run folder, or its run has not ended.
pub fn funnel(folders: &[NamedFolder]) -> Result<Vec<FunnelStep>, Error> {
    let mut steps = Vec::new();
    for folder in folders {
        let run = CompletedRun::open(&folder.path)?
            .ok_or_else(|| CoreError::input(&folder.path, "this is no run folder, so it has no counts"))?;
        let n_steps = run.steps().count();
        for (step, stats) in run.steps() {
            let mut reasons: Vec<(&String, &u64)> = stats.dropped.iter().chain(&stats.failed).collect();
            reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            let named = |(reason, n): &(&String, &u64)| format!("{} {n}", reason.replace('_', " "));
            steps.push(FunnelStep {
                run: folder.name.clone(),
                step: if n_steps > 1 { step.to_owned() } else { String::new() },
                read: stats.read,
                kept: stats.kept,
                dropped: stats.n_dropped(),
                failed: stats.n_failed(),
                share: 100.0 * stats.kept as f64 / stats.read.max(1) as f64,
                reasons: reasons.iter().take(REASONS).map(named).collect(),
            });
        }
    }
    Ok(steps)
}
