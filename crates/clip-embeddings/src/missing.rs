//! Keys that were not found in any shard.

use std::collections::BTreeSet;

use audsem_core::run::{Fingerprint, LeftOut, Run, Shard, ShardOutputs, Step};
use audsem_core::terminal::counted;

use crate::error::Error;
use crate::reason::DropReason;

/// Files each of the `wanted` keys that is not among those `met`, in a step of its own after the one
/// that looked and left `outputs`.
///
/// # Errors
/// As [`Run::execute`].
pub(crate) fn file(
    run: &mut Run,
    wanted: &BTreeSet<String>,
    met: &BTreeSet<String>,
    outputs: &[ShardOutputs],
) -> Result<(), Error> {
    let fingerprint = outputs.iter().fold(Fingerprint::new(), |all, output| all.with(&output.fingerprint));
    let fingerprint = wanted.iter().fold(fingerprint, |all, key| all.with(key)).finish();
    let plan = [Shard { name: "all".to_owned(), fingerprint, work: () }];
    let step = Step { name: "missing", unit: "clips", physical: "" };
    run.execute(step, &plan, |(), out| {
        for key in wanted {
            let missing =
                || LeftOut::drop(DropReason::NotFound, format!("in none of {}", counted(outputs.len(), "shards")));
            out.file(key, met.get(key).ok_or_else(missing));
        }
        Ok(())
    })?;
    Ok(())
}
