//! How samples are spread over shards.

use std::num::NonZeroU64;
use std::ops::Range;

use super::BLOCK;

/// When a shard is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitLimits {
    /// Samples in a shard at most.
    pub max_count: NonZeroU64,
    /// Bytes in a shard at most, as the caller measures a sample; `None` for no limit. A sample that
    /// is larger than this alone gets a shard of its own.
    pub max_bytes: Option<NonZeroU64>,
}

/// Assigns samples to shards in the order they come.
#[derive(Debug, Clone)]
pub struct ShardPlanner {
    limits: SplitLimits,
    shard: u64,
    count: u64,
    bytes: u64,
}

impl ShardPlanner {
    /// Starts with shard 0.
    pub fn new(limits: SplitLimits) -> Self {
        Self { limits, shard: 0, count: 0, bytes: 0 }
    }

    /// Number of the shard that takes a sample of this many bytes.
    pub fn place(&mut self, bytes: u64) -> u64 {
        let over = |limit: NonZeroU64| self.bytes.saturating_add(bytes) > limit.get();
        let full = self.count >= self.limits.max_count.get() || self.limits.max_bytes.is_some_and(over);
        if full && self.count > 0 {
            self.shard += 1;
            (self.count, self.bytes) = (0, 0);
        }
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.shard
    }
}

/// Splits a list of sample sizes (bytes) into consecutive ranges, one per shard. No range is empty.
pub fn plan_shards(sizes: impl IntoIterator<Item = u64>, limits: SplitLimits) -> Vec<Range<usize>> {
    let mut planner = ShardPlanner::new(limits);
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (index, bytes) in sizes.into_iter().enumerate() {
        let shard = planner.place(bytes) as usize;
        match ranges.get_mut(shard) {
            Some(range) => range.end = index + 1,
            None => ranges.push(index..index + 1),
        }
    }
    ranges
}

/// Bytes a payload takes in a tar: its header, itself and the padding.
pub fn stored_bytes(payload: u64) -> u64 {
    payload.saturating_add(2 * BLOCK as u64 - 1) / BLOCK as u64 * BLOCK as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn limits(count: u64, bytes: u64) -> SplitLimits {
        SplitLimits { max_count: NonZeroU64::new(count).unwrap(), max_bytes: NonZeroU64::new(bytes) }
    }

    #[test]
    fn shards_fill_up_to_either_limit() {
        let check = |sizes: &[u64], limits: SplitLimits, expected: &[Range<usize>]| {
            assert_eq!(plan_shards(sizes.iter().copied(), limits), expected, "{sizes:?} {limits:?}");
        };
        check(&[], limits(2, 0), &[]);
        check(&[1, 1, 1], limits(2, 0), &[0..2, 2..3]);
        check(&[1, 1, 1, 1], limits(2, 0), &[0..2, 2..4]);
        check(&[4, 4, 4], limits(9, 8), &[0..2, 2..3]);
        check(&[9, 1, 9, 9], limits(9, 8), &[0..1, 1..2, 2..3, 3..4]);
        check(&[u64::MAX, u64::MAX], limits(9, 8), &[0..1, 1..2]);
    }

    #[test]
    fn stored_size_counts_header_and_padding() {
        let check = |payload: u64, expected: u64| assert_eq!(stored_bytes(payload), expected, "{payload}");
        check(0, 512);
        check(1, 1024);
        check(512, 1024);
        check(513, 1536);
    }
}
