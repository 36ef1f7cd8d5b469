//! The step that goes through all scores.

use audsem_core::clips::ClipDrop;
use audsem_core::run::{Fingerprint, JsonFile, LeftOut, Reads, Run, Shard, ShardError, ShardOutput, Step};

use super::{HashedConfig, Summaries};
use crate::error::Error;
use crate::reason::{DropReason, Fault};
use crate::scores::{Counts, Scores};

/// Summaries of all tables together, and a hash of those; `None` when the step was interrupted.
pub(super) fn all(
    run: &mut Run,
    settings: &HashedConfig<'_>,
    scores: &Scores,
) -> Result<Option<(Summaries, Reads)>, Error> {
    let limits = scores.limits(run.options().limit).into_iter().enumerate();
    let plan: Vec<Shard<(usize, u64)>> = limits
        .map(|(i, limit)| Shard { name: format!("{i:05}"), fingerprint: scores.fingerprint(i), work: (i, limit) })
        .collect();
    let step = Step { name: "part", unit: "scores", physical: "" };
    run.must_keep(step).explain(Fault::ALL).explain(DropReason::ALL);
    let summarise = |(i, limit): &(usize, u64), out: &mut ShardOutput| summarise(scores, *i, *limit, settings, out);
    let Some(summarised) = run.execute_via(&JsonFile("summary"), step, &plan, summarise)?.whole() else {
        return Ok(None);
    };
    let mut all = Summaries::default();
    for summaries in summarised.values {
        all.merge(summaries, settings.summary_config());
    }
    let fingerprint = plan.iter().fold(Fingerprint::new(), |all, shard| all.with(&shard.fingerprint)).finish();
    Ok(Some((all, fingerprint)))
}

fn summarise(
    scores: &Scores,
    i: usize,
    limit: u64,
    settings: &HashedConfig<'_>,
    out: &mut ShardOutput,
) -> Result<Summaries, ShardError> {
    let mut summaries = Summaries::default();
    let place = |row| format!("{}, row {row} of table {i}", settings.criterion.column.name());
    scores.for_each(i, limit, |row, scored, counts| {
        let outcome = match counts {
            Counts::Value { value, first } => Ok((value, first)),
            Counts::Repeated => Err(LeftOut::drop(ClipDrop::RepeatedKey, place(row))),
            Counts::NoValue => Err(LeftOut::drop(DropReason::NoValue, place(row))),
            Counts::NotFinite => Err(LeftOut::fail(Fault::NotFinite, place(row))),
        };
        if let Some((value, first)) = out.file(scored.key, outcome) {
            summaries.add(scored, value, first, settings.summary_config());
        }
        Ok(())
    })?;
    Ok(summaries)
}
