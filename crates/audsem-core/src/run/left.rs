//! Shards that a process leaves undone, and how that is put into words: in an array of tasks most of them are the work of others.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::path::Path;

use super::execute::Step;
use super::marker::Marker;
use super::options::ShardSelection;
use super::planned::Plans;
use super::shard::Shard;
use crate::error::Result;
use crate::terminal::{by_number, counted};

/// The shards that were not done when this process looked last. There may be millions, so a number stands for each.
#[derive(Debug, Default)]
pub(super) struct LeftShards(Vec<LeftShard>);

#[derive(Debug)]
struct LeftShard {
    step: &'static str,
    /// Its place in the plan of the step.
    index: usize,
    /// Of what it reads.
    digest: u64,
}

impl LeftShards {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add<W>(&mut self, step: Step, index: usize, shard: &Shard<W>) {
        self.0.push(LeftShard { step: step.name, index, digest: digest(&shard.fingerprint) });
    }

    /// Whether other processes have done all of them since, with this configuration and the same inputs.
    pub(super) fn are_done(&self, folder: &Path, plans: &Plans, config_hash: &str) -> Result<bool> {
        for LeftShard { step, index, digest: reads } in &self.0 {
            let Some(name) = plans.get(*step).and_then(|plan| plan.name(*index)) else { return Ok(false) };
            let marker = Marker::read(&Marker::path(folder, step, &name))?;
            let is_done = marker.is_some_and(|marker| {
                marker.config_hash == config_hash
                    && digest(&marker.input_fingerprint) == *reads
                    && marker.outputs_present(folder)
            });
            if !is_done {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn digest(fingerprint: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(fingerprint.as_bytes());
    hasher.finish()
}

/// What of the work of a run is this process's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    selection: ShardSelection,
    /// Shards over all steps, and those that are this process's.
    planned: usize,
    own: usize,
    /// Those of its own that are not done: it was stopped, or another process works on them.
    own_left: usize,
}

impl Share {
    pub(super) fn of(selection: ShardSelection) -> Self {
        Self { selection, planned: 0, own: 0, own_left: 0 }
    }

    /// Adds the plan of a step.
    pub(super) fn add(&mut self, own: usize, own_left: usize, planned: usize) {
        self.own += own;
        self.own_left += own_left;
        self.planned += planned;
    }

    /// What is left, and whose it is.
    pub(super) fn words(&self, left: usize) -> String {
        let shards = |n: usize| counted(n, "shards");
        let ShardSelection { index, count } = self.selection;
        let task = format!("task {} of {count}", index + 1);
        let others = shards(left.saturating_sub(self.own_left));
        let later = "where later steps wait for them, start all tasks again when these have ended";
        match self {
            Self { own: 0, planned, .. } if count > 1 => {
                let (all, are) = (shards(*planned), by_number(*planned, "is", "are"));
                format!("{task} has nothing to do: none of the {all} {are} its own; {others} left to other tasks")
            }
            Self { own_left: 0, own, .. } if count > 1 => {
                format!("{task} has done its {}; {others} left to other tasks ({later})", shards(*own))
            }
            Self { own_left, .. } if *own_left < left => {
                format!(
                    "{} left; run the same command again to continue; {others} left to other tasks",
                    shards(*own_left)
                )
            }
            _ => format!("{} left; run the same command again to continue", shards(left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_others_is_told_apart() {
        let share = |index, count, own, own_left, planned| {
            let mut share = Share::of(ShardSelection { index, count });
            share.add(own, own_left, planned);
            share
        };
        for (share, left, expected) in [
            (share(0, 1, 5, 2, 5), 2, "2 shards left; run the same command again to continue"),
            (
                share(0, 4, 3, 1, 10),
                5,
                "1 shard left; run the same command again to continue; 4 shards left to other tasks",
            ),
            (
                share(7, 10, 0, 0, 2),
                2,
                "task 8 of 10 has nothing to do: none of the 2 shards are its own; 2 shards left to other tasks",
            ),
            (
                share(1, 2, 3, 0, 6),
                1,
                "task 2 of 2 has done its 3 shards; 1 shard left to other tasks (where later steps wait for them, start all \
                 tasks again when these have ended)",
            ),
        ] {
            assert_eq!(share.words(left), expected);
        }
    }
}
