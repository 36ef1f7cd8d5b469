//! What the shards of a step have done so far.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::input::Counting;

/// Fractions of a physical unit are counted in thousandths.
const PHYSICAL_SCALE: f64 = 1000.0;

/// Progress of all shards of a step in this process.
#[derive(Debug, Default)]
pub struct Counters {
    read: AtomicU64,
    kept: AtomicU64,
    physical: AtomicU64,
    shards: AtomicU64,
    note: Mutex<String>,
    active: Mutex<Vec<Weak<ShardCounters>>>,
}

/// Progress of a shard that is worked on; what it counts is counted for its step too.
#[derive(Debug)]
pub struct ShardCounters {
    step: Arc<Counters>,
    name: String,
    read: AtomicU64,
    /// Records that are through but may not be filed yet.
    through: AtomicU64,
    expected: AtomicU64,
    /// Bytes of its files, as they lie on the disk, that it has come through.
    input: AtomicU64,
    expected_input: AtomicU64,
    on_stop: Mutex<Option<&'static str>>,
}

/// The numbers of a step at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Snapshot {
    /// Shards that are done.
    pub(super) shards: u64,
    /// Records that are through.
    pub(super) records: u64,
    /// Records filed, and those of them that are kept.
    pub(super) read: u64,
    pub(super) kept: u64,
    /// Physical work.
    pub(super) physical: f64,
    /// Shards done, and the known parts of those in progress; `None` as long as no part is known.
    pub(super) passed: Option<f64>,
    /// Records of all shards in progress, where all of them know theirs.
    pub(super) expected: Option<u64>,
    pub(super) note: String,
}

impl Counters {
    /// Begins a shard, which is in progress until the value is dropped.
    pub fn begin(self: &Arc<Self>, name: &str) -> Arc<ShardCounters> {
        let shard = Arc::new(ShardCounters {
            step: Arc::clone(self),
            name: name.to_owned(),
            read: AtomicU64::default(),
            through: AtomicU64::default(),
            expected: AtomicU64::default(),
            input: AtomicU64::default(),
            expected_input: AtomicU64::default(),
            on_stop: Mutex::default(),
        });
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.retain(|shard| shard.strong_count() > 0);
        active.push(Arc::downgrade(&shard));
        drop(active);
        shard
    }

    /// Counts a shard that is done.
    pub(super) fn shard_done(&self) {
        self.shards.fetch_add(1, Relaxed);
    }

    /// The shards in progress.
    pub(super) fn active(&self) -> Vec<Arc<ShardCounters>> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.retain(|shard| shard.strong_count() > 0);
        active.iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let active = self.active();
        let (shards, read) = (self.shards.load(Relaxed), self.read.load(Relaxed));
        let read_of_active: u64 = active.iter().map(|shard| shard.read.load(Relaxed)).sum();
        // A shard that does not know its length is taken to be as long as those before it.
        let usual = (shards > 0).then(|| read.saturating_sub(read_of_active) as f64 / shards as f64);
        let fractions: Vec<Option<f64>> = active.iter().map(|shard| shard.fraction(usual)).collect();
        let any_known = shards > 0 || fractions.iter().any(Option::is_some);
        let expected = active.iter().map(|shard| Some(shard.expected.load(Relaxed)).filter(|n| *n > 0));
        Snapshot {
            shards,
            records: read + active.iter().map(|shard| shard.not_filed()).sum::<u64>(),
            read,
            kept: self.kept.load(Relaxed),
            physical: self.physical.load(Relaxed) as f64 / PHYSICAL_SCALE,
            passed: any_known.then(|| shards as f64 + fractions.iter().flatten().sum::<f64>()),
            expected: expected.sum::<Option<u64>>().filter(|n| *n > 0),
            note: self.note.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl ShardCounters {
    /// Counts records read.
    pub fn add_read(&self, n: u64) {
        self.read.fetch_add(n, Relaxed);
        self.step.read.fetch_add(n, Relaxed);
    }

    /// Counts records kept.
    pub fn add_kept(&self, n: u64) {
        self.step.kept.fetch_add(n, Relaxed);
    }

    /// Counts records that are through before they are filed, such as texts that were answered.
    pub fn add_through(&self, n: u64) {
        self.through.fetch_add(n, Relaxed);
    }

    /// Adds records that the shard will read.
    pub fn expect(&self, n: u64) {
        self.expected.fetch_add(n, Relaxed);
    }

    /// Counts physical work (MB, seconds of audio, tokens).
    pub fn add_physical(&self, amount: f64) {
        self.step.physical.fetch_add((amount * PHYSICAL_SCALE) as u64, Relaxed);
    }

    /// A meter for a file of the input, of which the shard will read `bytes`.
    pub fn meter(self: &Arc<Self>, bytes: u64) -> InputMeter {
        self.expected_input.fetch_add(bytes, Relaxed);
        InputMeter { shard: Arc::clone(self), reached: 0 }
    }

    /// Shows a short text in place of the numbers until the next one, such as the loss of a training.
    pub fn set_note(&self, note: String) {
        *self.step.note.lock().unwrap_or_else(PoisonError::into_inner) = note;
    }

    /// Says what a stop request does to this shard, where it does not wait for its end.
    pub fn set_on_stop(&self, words: &'static str) {
        *self.on_stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    pub(super) fn on_stop(&self) -> Option<&'static str> {
        *self.on_stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn not_filed(&self) -> u64 {
        self.through.load(Relaxed).saturating_sub(self.read.load(Relaxed))
    }

    /// How much of the shard is done, from 0 to 1, where that is known; `usual` is the length of other shards.
    pub(super) fn fraction(&self, usual: Option<f64>) -> Option<f64> {
        let through = (self.read.load(Relaxed) + self.not_filed()) as f64;
        let (expected, expected_input) = (self.expected.load(Relaxed), self.expected_input.load(Relaxed));
        let of = |done: f64, all: f64| (all > 0.0).then(|| (done / all).min(1.0));
        of(through, expected as f64)
            .or_else(|| of(self.input.load(Relaxed) as f64, expected_input as f64))
            .or_else(|| of(through, usual?))
    }
}

/// Tells the progress line how far the reading of a file has come: in the bytes of the file itself, so that it is known for
/// compressed ones too.
#[derive(Debug)]
pub struct InputMeter {
    shard: Arc<ShardCounters>,
    reached: u64,
}

impl InputMeter {
    /// The reader has come to `position`, in bytes from where it began.
    pub fn at(&mut self, position: u64) {
        if position > self.reached {
            self.shard.input.fetch_add(position - self.reached, Relaxed);
            self.reached = position;
        }
    }

    /// A reader of the file itself that keeps this meter.
    pub fn reader<R: Read>(mut self, inner: R) -> impl Read + use<R> {
        let begun = self.reached;
        Counting::new(inner, move |taken| self.at(begun + taken))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn parts_of_shards_count_where_their_length_is_known() {
        let step = Arc::new(Counters::default());
        let first = step.begin("00000");
        assert_eq!(step.snapshot().passed, None, "nothing is known yet");
        first.add_read(100);
        drop(first);
        step.shard_done();
        let (second, third) = (step.begin("00001"), step.begin("00002"));
        second.add_read(25);
        assert_eq!(step.snapshot().passed, Some(1.25), "as long as the first");
        third.expect(40);
        third.add_through(30);
        assert_eq!((step.snapshot().passed, step.snapshot().records), (Some(2.0), 155));
        third.add_read(40);
        assert_eq!((step.snapshot().passed, step.snapshot().records), (Some(2.25), 165));
    }

    #[test]
    fn bytes_of_the_input_tell_how_far_a_shard_is_where_records_do_not() {
        let step = Arc::new(Counters::default());
        let shard = step.begin("00000");
        let mut tar = shard.meter(80);
        let mut dump = shard.meter(20).reader(&[0_u8; 25][..]);
        tar.at(30);
        tar.at(20);
        assert_eq!(step.snapshot().passed, Some(0.3), "a reader that goes back has come no less far");
        assert_eq!(io::copy(&mut dump, &mut io::sink()).unwrap(), 25);
        assert_eq!(step.snapshot().passed, Some(0.55));
        tar.at(80);
        assert_eq!(step.snapshot().passed, Some(1.0), "never more than the whole");
        shard.expect(4);
        shard.add_read(1);
        assert_eq!(step.snapshot().passed, Some(0.25), "records are more exact");
    }
}
