//! Which shards a step has, as written in `stats.json`, so that readers notice a missing one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::shard::Shard;

/// The shards of each step, by its name.
pub(super) type Plans = BTreeMap<String, PlannedShards>;

/// The names of the shards of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum PlannedShards {
    /// The number of shards, called `00000`, `00001` and so on.
    Numbered(u64),
    /// Any other names, in order of the plan.
    Named(Vec<String>),
}

impl PlannedShards {
    /// The names of a plan.
    pub(super) fn of<W>(plan: &[Shard<W>]) -> Self {
        let numbered = Self::Numbered(plan.len() as u64);
        match numbered.names().eq(plan.iter().map(|shard| shard.name.clone())) {
            true => numbered,
            false => Self::Named(plan.iter().map(|shard| shard.name.clone()).collect()),
        }
    }

    /// The name of one shard.
    pub(super) fn name(&self, index: usize) -> Option<String> {
        match self {
            Self::Numbered(n) => ((index as u64) < *n).then(|| format!("{index:05}")),
            Self::Named(names) => names.get(index).cloned(),
        }
    }

    /// The names, in their order.
    pub(super) fn names(&self) -> Box<dyn Iterator<Item = String> + '_> {
        match self {
            Self::Numbered(n) => Box::new((0..*n).map(|number| format!("{number:05}"))),
            Self::Named(names) => Box::new(names.iter().cloned()),
        }
    }
}
