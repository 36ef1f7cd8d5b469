//! Counts of records read, kept, dropped and failed. Stats of shards merge exactly: integers and sums only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The outcome of the records of a shard or a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Records read.
    #[serde(rename = "in")]
    pub read: u64,
    /// Records kept.
    pub kept: u64,
    /// Records dropped by a rule, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Records that failed, by fault.
    pub failed: BTreeMap<String, u64>,
    /// Further counters of the step.
    pub counts: BTreeMap<String, u64>,
    /// Bytes written.
    pub bytes: u64,
}

impl Stats {
    /// Records dropped by a rule.
    pub fn n_dropped(&self) -> u64 {
        sum(&self.dropped)
    }

    /// Records that failed.
    pub fn n_failed(&self) -> u64 {
        sum(&self.failed)
    }

    /// Records that were dropped or failed.
    pub fn n_left_out(&self) -> u64 {
        self.n_dropped().saturating_add(self.n_failed())
    }

    /// Whether more than a share of `max_fail_rate` of the records failed.
    pub fn is_over(&self, max_fail_rate: f64) -> bool {
        self.n_failed() as f64 > max_fail_rate * self.read as f64
    }

    /// Records accounted for; equals [`Stats::read`] in every committed shard.
    pub fn accounted(&self) -> u64 {
        self.kept.saturating_add(self.n_dropped()).saturating_add(self.n_failed())
    }

    /// Adds another shard's counts.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in
            [(&mut self.read, other.read), (&mut self.kept, other.kept), (&mut self.bytes, other.bytes)]
        {
            *mine = mine.saturating_add(theirs);
        }
        for (mine, theirs) in
            [(&mut self.dropped, &other.dropped), (&mut self.failed, &other.failed), (&mut self.counts, &other.counts)]
        {
            for (name, n) in theirs {
                add(mine, name, *n);
            }
        }
    }
}

/// A marker may say anything: a sum that does not fit is as wrong at the largest number as at any other.
fn sum(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().fold(0, |sum, n| sum.saturating_add(*n))
}

/// Adds to a counter without allocating its name when it exists.
pub(super) fn add(counts: &mut BTreeMap<String, u64>, name: &str, n: u64) {
    match counts.get_mut(name) {
        Some(count) => *count = count.saturating_add(n),
        None => {
            counts.insert(name.to_owned(), n);
        }
    }
}
