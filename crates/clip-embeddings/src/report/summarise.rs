//! The step that goes through all scores.

use audsem_core::run::{Fingerprint, Run, Shard, ShardError, ShardOutput, Step};

use super::{Settings, Summaries};
use crate::error::Error;
use crate::findings::Findings;
use crate::reason::{DropReason, Fault};
use crate::scores::{Counts, Scores};

/// Summaries of all tables together, and a hash of those; `None` when the step was interrupted.
pub(super) fn all(
    run: &mut Run,
    settings: &Settings<'_>,
    scores: &Scores,
) -> Result<Option<(Summaries, String)>, Error> {
    let limits = scores.limits(run.options().limit).into_iter().enumerate();
    let plan: Vec<Shard<(usize, u64)>> = limits
        .map(|(i, limit)| Shard { name: format!("{i:05}"), fingerprint: scores.fingerprint(i), work: (i, limit) })
        .collect();
    let findings = Findings::new("summary");
    let step = Step { name: "part", unit: "scores", physical: "" };
    let report = run.execute(step, &plan, |(i, limit), out| {
        let summaries = summarise(scores, *i, *limit, settings, out)?;
        findings.keep(out, summaries)
    })?;
    if !report.complete || report.outputs.len() < plan.len() {
        return Ok(None);
    }
    let mut all = Summaries::default();
    for summaries in findings.take(&report.outputs)? {
        all.merge(summaries, settings.noted());
    }
    let fingerprint = plan.iter().fold(Fingerprint::new(), |all, shard| all.with(&shard.fingerprint)).finish();
    Ok(Some((all, fingerprint)))
}

fn summarise(
    scores: &Scores,
    i: usize,
    limit: u64,
    settings: &Settings<'_>,
    out: &mut ShardOutput,
) -> Result<Summaries, ShardError> {
    let mut summaries = Summaries::default();
    let place = |row| format!("{}, row {row} of table {i}", settings.criterion.column.name());
    scores.for_each(i, limit, |row, scored, counts| {
        out.read(1);
        match counts {
            Counts::Value { value, first } => {
                summaries.add(scored, value, first, settings.noted());
                out.keep(1);
            }
            Counts::Repeated => out.drop(scored.key, DropReason::RepeatedKey, place(row)),
            Counts::NoValue => out.drop(scored.key, DropReason::NoValue, place(row)),
            Counts::NotFinite => out.fail(scored.key, Fault::NotFinite, place(row)),
        }
        Ok(())
    })?;
    Ok(summaries)
}
