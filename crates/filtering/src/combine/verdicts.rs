//! A cache of verdicts that all threads share, so that each text is judged once.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use foldhash::fast::FixedState;

use super::policy::Label;
use super::reason::DropReason;

/// Capacity of the cache in distinct texts: what a table of 2²⁰ slots holds, 42 MB. Further texts are judged each
/// time.
const MAX_TEXTS: usize = 7 << 17;

/// Bytes reserved for the output of each text; usually enough.
const USUAL_BYTES: usize = 96;

/// Minimum size of a table's row in bytes, where texts do not repeat.
const BYTES_PER_ROW: u64 = 8;

/// The decision about a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    /// The labels of the text.
    pub(super) label: Label,
    /// Why it is dropped; `None` if it is kept.
    pub(super) drop: Option<DropReason>,
    /// Start of the text's output in the shared buffer of outputs.
    from: usize,
    /// Length of the text's output in bytes.
    len: u32,
}

impl Verdict {
    /// A verdict whose output is `outputs[from..]`.
    pub(super) fn new(label: Label, drop: Option<DropReason>, outputs: &str, from: usize) -> Self {
        let len = u32::try_from(outputs.len() - from).expect("a caption has fewer than 2^32 bytes");
        Self { label, drop, from, len }
    }

    /// The clean caption, or the escaped detail of the reject: a part of `outputs`.
    pub(super) fn output<'a>(&self, outputs: &'a str) -> &'a str {
        &outputs[self.from..self.from + self.len as usize]
    }
}

/// Verdicts by the hash of the text, with a fixed capacity. The cache never affects the output: a verdict
/// depends on the text alone.
///
/// Threads look up and add whole batches of rows, so that a lock is taken once for some thousand rows.
#[derive(Debug)]
pub(super) struct VerdictCache {
    table: RwLock<Table>,
    max_texts: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Table {
    verdicts: HashMap<u64, Verdict, FixedState>,
    /// The outputs of all texts, concatenated.
    outputs: String,
    /// Whether a verdict did not fit. The cache accepts none after that.
    is_full: bool,
}

impl VerdictCache {
    /// A cache for the texts of tables of this many bytes. Capacity is reserved at once, but only used pages take memory.
    pub(super) fn for_tables(n_bytes: u64) -> Self {
        let max_texts = usize::try_from(n_bytes / BYTES_PER_ROW + 1).unwrap_or(usize::MAX).min(MAX_TEXTS);
        let max_bytes = max_texts * USUAL_BYTES;
        let table = Table {
            verdicts: HashMap::with_capacity_and_hasher(max_texts, FixedState::default()),
            outputs: String::with_capacity(max_bytes),
            is_full: false,
        };
        Self { table: RwLock::new(table), max_texts, max_bytes }
    }

    /// Looks texts up by their hashes: a verdict for each one that is there, whose outputs are appended to `outputs`.
    /// Returns whether the cache has room for the texts that were not found.
    pub(super) fn recall(&self, hashes: &[u64], verdicts: &mut Vec<Option<Verdict>>, outputs: &mut String) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        // Two loops, so that the memory latency of many texts overlaps.
        verdicts.extend(hashes.iter().map(|hash| table.verdicts.get(hash).copied()));
        for verdict in verdicts.iter_mut().flatten() {
            let output = verdict.output(&table.outputs);
            verdict.from = outputs.len();
            outputs.push_str(output);
        }
        !table.is_full
    }

    /// Adds verdicts, whose outputs are parts of `outputs`, as long as there is room. Texts that are already cached
    /// are skipped.
    pub(super) fn add(&self, new: impl Iterator<Item = (u64, Verdict)>, outputs: &str) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let Table { verdicts, outputs: all, is_full } = &mut *table;
        for (hash, verdict) in new {
            if verdicts.contains_key(&hash) {
                continue;
            }
            let output = verdict.output(outputs);
            *is_full |= verdicts.len() == self.max_texts || all.len() + output.len() > self.max_bytes;
            if *is_full {
                return;
            }
            verdicts.insert(hash, Verdict { from: all.len(), ..verdict });
            all.push_str(output);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn text(hash: u64) -> String {
        format!("text {hash} é")
    }

    /// Adds texts, whose verdicts tell their hashes.
    fn add(cache: &VerdictCache, hashes: impl IntoIterator<Item = u64>) {
        let mut outputs = "before".to_owned();
        let mut new = Vec::new();
        for hash in hashes {
            let from = outputs.len();
            outputs.push_str(&text(hash));
            let drop = DropReason::ALL.get(usize::try_from(hash).unwrap_or(0) % 20).copied();
            let label = Label { bert_prob: hash as f32, ..Label::ABSENT };
            new.push((hash, Verdict::new(label, drop, &outputs, from)));
        }
        cache.add(new.into_iter(), &outputs);
    }

    /// The hashes of those that are there, each with the right verdict.
    fn found(cache: &VerdictCache, hashes: &[u64]) -> Vec<u64> {
        let (mut verdicts, mut outputs) = (Vec::new(), "of another batch".to_owned());
        cache.recall(hashes, &mut verdicts, &mut outputs);
        assert_eq!(verdicts.len(), hashes.len());
        let there = hashes.iter().zip(&verdicts).filter_map(|(hash, verdict)| Some((*hash, (*verdict)?)));
        there
            .map(|(hash, verdict)| {
                let drop = DropReason::ALL.get(usize::try_from(hash).unwrap_or(0) % 20).copied();
                assert_eq!((verdict.output(&outputs), verdict.drop), (&*text(hash), drop));
                assert_eq!(verdict.label.bert_prob(), Some(hash as f32));
                hash
            })
            .collect()
    }

    #[test]
    fn verdicts_are_found_again() {
        let cache = VerdictCache::for_tables(1 << 16);
        let hashes: Vec<u64> = (0..2_000).chain((1..2_000).map(|i| i << 50)).chain(u64::MAX - 50..=u64::MAX).collect();
        assert!(found(&cache, &hashes).is_empty());
        add(&cache, hashes.iter().copied());
        assert_eq!(found(&cache, &hashes), hashes);
        assert!(found(&cache, &[3_000]).is_empty());
        // The first verdict on a text stays.
        cache.add(std::iter::once((7, Verdict::new(Label::ABSENT, None, "another", 0))), "another");
        assert_eq!(found(&cache, &[7]), [7]);
    }

    #[test]
    fn threads_find_what_others_have_added() {
        let cache = VerdictCache::for_tables(1 << 17);
        thread::scope(|scope| {
            for part in 0..4_u64 {
                let cache = &cache;
                scope.spawn(move || {
                    for from in (0..10_000).step_by(100) {
                        let from = (from + part * 2_500) % 10_000;
                        let hashes: Vec<u64> = (from..from + 100).collect();
                        found(cache, &hashes);
                        add(cache, hashes);
                    }
                });
            }
        });
        let hashes: Vec<u64> = (0..10_100).collect();
        assert_eq!(found(&cache, &hashes), (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_cache_takes_no_more() {
        let room = |cache: &VerdictCache| cache.recall(&[], &mut Vec::new(), &mut String::new());
        let cache = VerdictCache::for_tables(16);
        assert_eq!(cache.max_texts, 3);
        add(&cache, 1..4);
        assert!(room(&cache));
        add(&cache, 1..9);
        assert!(!room(&cache));
        assert_eq!(found(&cache, &[0, 1, 2, 3, 4, 5]), [1, 2, 3]);
        // Nor does one whose outputs are long.
        let small = VerdictCache::for_tables(0);
        let long = "a".repeat(USUAL_BYTES + 1);
        small.add(std::iter::once((1, Verdict::new(Label::ABSENT, None, &long, 0))), &long);
        assert!(!room(&small) && found(&small, &[1]).is_empty());
    }
}
