//! A table of texts that many threads read and fill at once.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::{advise, reserve_large};

/// What is known under a hash: a text and two numbers of the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The text.
    pub text: &'a str,
    /// What else is known.
    pub values: [u64; 2],
}

/// Texts and two numbers each, found by an evenly spread hash of 64 bits, for as many as there is room for.
///
/// Nothing is ever taken out, so that readers wait for nobody: a hash table with open addressing, where finding an
/// entry costs one look into memory that is not in the cache, and its text another. Who fills an entry first has it;
/// another thread that comes with the same hash meanwhile is told that the table does not take it.
#[derive(Debug)]
pub struct SharedTexts {
    slots: Vec<Slot>,
    /// Entries there may be: three quarters of the slots.
    most: usize,
    n_taken: AtomicUsize,
    /// The texts, one after the other; each byte is written once, before its place is told.
    bytes: Box<[MaybeUninit<UnsafeCell<u8>>]>,
    /// Bytes given away so far; more than there are once a text did not fit.
    n_bytes: AtomicUsize,
}

/// Half a line of the cache, so that a look at one fetches one line.
#[derive(Debug, Default)]
#[repr(C, align(32))]
struct Slot {
    /// 0: free. Set once.
    hash: AtomicU64,
    /// 0: nothing to be read yet. Set once, after the values and the text.
    place: AtomicU64,
    values: [AtomicU64; 2],
}

// SAFETY: a byte is written by the one thread that was given it, before it tells its place with `Release`; it is
// read only by those who have seen that place with `Acquire`, and never written again.
#[allow(unsafe_code, reason = "threads share bytes that are written once")]
unsafe impl Sync for SharedTexts {}

/// Where a text lies, in the number that a slot has room for.
#[derive(Debug, Clone, Copy)]
struct Place {
    from: usize,
    len: usize,
}

impl Place {
    /// Longer texts are not taken.
    const MAX_LEN: usize = (1 << 20) - 1;
    /// Room for more is never made.
    const MAX_FROM: usize = (1 << 43) - 1;

    /// Never 0.
    fn pack(self) -> u64 {
        1 << 63 | (self.from as u64) << 20 | self.len as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "both were made of a usize")]
    fn unpack(packed: u64) -> Option<Self> {
        let from = (packed >> 20) as usize & Self::MAX_FROM;
        (packed != 0).then_some(Self { from, len: packed as usize & Self::MAX_LEN })
    }
}

impl SharedTexts {
    /// Room for `n_texts` texts of `n_bytes` bytes in all. Of the bytes only those that are used count as used.
    pub fn with_room_for(n_texts: usize, n_bytes: usize) -> Self {
        let n_slots = n_texts.div_ceil(3) * 4 + 4;
        let mut slots = Vec::new();
        reserve_large(&mut slots, n_slots);
        slots.resize_with(n_slots, Slot::default);
        let mut bytes = Box::<[UnsafeCell<u8>]>::new_uninit_slice(n_bytes.min(Place::MAX_FROM));
        advise(&mut bytes);
        Self { slots, most: n_texts, n_taken: AtomicUsize::new(0), bytes, n_bytes: AtomicUsize::new(0) }
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.n_taken.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known under a hash.
    pub fn get(&self, hash: u64) -> Option<Entry<'_>> {
        for slot in self.slots_from(hash) {
            match slot.hash.load(Ordering::Relaxed) {
                0 => return None,
                its if its == hash => return self.read(slot),
                _ => {}
            }
        }
        None
    }

    /// Takes an entry in, unless there is one with this hash. `None`: the table does not take it, for it is full,
    /// the text is longer than a megabyte, the hash is 0, or another thread is about to fill this very entry.
    pub fn insert(&self, hash: u64, entry: Entry<'_>) -> Option<Entry<'_>> {
        for slot in self.slots_from(hash) {
            let mut its = slot.hash.load(Ordering::Relaxed);
            if its == 0 {
                if hash == 0 || !self.has_room(entry.text.len()) {
                    return None;
                }
                match slot.hash.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => {
                        self.n_taken.fetch_add(1, Ordering::Relaxed);
                        return self.fill(slot, entry);
                    }
                    Err(another) => its = another,
                }
            }
            if its == hash {
                return self.read(slot);
            }
        }
        None
    }

    /// The slots where an entry may be, in the order in which they are asked.
    fn slots_from(&self, hash: u64) -> impl Iterator<Item = &Slot> {
        #[expect(clippy::cast_possible_truncation, reason = "the product's upper half is below the number of slots")]
        let first = ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize;
        self.slots[first..].iter().chain(&self.slots[..first])
    }

    fn has_room(&self, len: usize) -> bool {
        len <= Place::MAX_LEN
            && self.n_taken.load(Ordering::Relaxed) < self.most
            && self.n_bytes.load(Ordering::Relaxed).saturating_add(len) <= self.bytes.len()
    }

    /// Fills a slot that only this thread may fill.
    fn fill(&self, slot: &Slot, entry: Entry<'_>) -> Option<Entry<'_>> {
        let len = entry.text.len();
        let from = self.n_bytes.fetch_add(len, Ordering::Relaxed);
        // Other threads may have taken the room meanwhile; then the slot stays as it is, and nobody finds anything.
        let bytes = self.bytes.get(from..from.checked_add(len)?)?;
        let to = UnsafeCell::raw_get(bytes.as_ptr().cast::<UnsafeCell<u8>>());
        // SAFETY: `fetch_add` gave these bytes to nobody else, and nobody reads them before their place is told.
        #[allow(unsafe_code, reason = "the bytes lie in memory that threads share")]
        unsafe {
            std::ptr::copy_nonoverlapping(entry.text.as_ptr(), to, len);
        }
        for (value, to) in entry.values.iter().zip(&slot.values) {
            to.store(*value, Ordering::Relaxed);
        }
        slot.place.store(Place { from, len }.pack(), Ordering::Release);
        self.read(slot)
    }

    fn read(&self, slot: &Slot) -> Option<Entry<'_>> {
        let Place { from, len } = Place::unpack(slot.place.load(Ordering::Acquire))?;
        let bytes = &self.bytes[from..from + len];
        // SAFETY: the place was told after these bytes had been filled with a whole text; nobody writes them again.
        #[allow(unsafe_code, reason = "the bytes lie in memory that threads share")]
        let text = unsafe {
            let bytes = UnsafeCell::raw_get(bytes.as_ptr().cast::<UnsafeCell<u8>>());
            std::str::from_utf8_unchecked(std::slice::from_raw_parts(bytes, len))
        };
        let values = [0, 1].map(|i| slot.values[i].load(Ordering::Relaxed));
        Some(Entry { text, values })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// What a test says of the text with this hash.
    fn text(hash: u64) -> String {
        format!("text {hash} é")
    }

    fn check(entry: Entry<'_>, hash: u64) {
        assert_eq!((entry.text, entry.values), (&*text(hash), [hash, !hash]));
    }

    fn insert(texts: &SharedTexts, hash: u64) -> Option<Entry<'_>> {
        texts.insert(hash, Entry { text: &text(hash), values: [hash, !hash] })
    }

    /// Neighbouring hashes, hashes that differ only in the lower bits, and the largest.
    fn hashes() -> Vec<u64> {
        (1..2_000).chain((1..16_000).map(|i| i << 50)).chain(u64::MAX - 50..=u64::MAX).collect()
    }

    #[test]
    fn every_text_is_found_again() {
        let hashes = hashes();
        let texts = SharedTexts::with_room_for(hashes.len(), 1 << 20);
        for &hash in &hashes {
            assert_eq!(texts.get(hash), None);
            check(insert(&texts, hash).expect("there is room"), hash);
            // Who comes first has it.
            let other = texts.insert(hash, Entry { text: "another", values: [1, 2] });
            check(other.expect("it is there"), hash);
        }
        hashes.iter().for_each(|&hash| check(texts.get(hash).expect("it is there"), hash));
        assert_eq!((texts.len(), texts.get(3_000)), (hashes.len(), None));
    }

    #[test]
    fn threads_find_what_others_have_filled_in() {
        let hashes = hashes();
        let texts = SharedTexts::with_room_for(hashes.len(), 1 << 20);
        thread::scope(|scope| {
            for part in 0..4 {
                let (texts, hashes) = (&texts, &hashes);
                scope.spawn(move || {
                    for &hash in hashes.iter().cycle().skip(part * hashes.len() / 8).take(hashes.len()) {
                        if let Some(entry) = texts.get(hash).or_else(|| insert(texts, hash)) {
                            check(entry, hash);
                        }
                    }
                });
            }
        });
        assert_eq!(texts.len(), hashes.len());
        hashes.iter().for_each(|&hash| check(texts.get(hash).expect("all were filled in"), hash));
    }

    #[test]
    fn what_does_not_fit_is_not_taken() {
        let full = SharedTexts::with_room_for(3, 1 << 22);
        let taken: Vec<u64> = (1..9).filter(|hash| insert(&full, *hash).is_some()).collect();
        assert_eq!(taken, [1, 2, 3]);
        assert!(full.get(4).is_none() && full.get(2).is_some());

        let small = SharedTexts::with_room_for(100, 20);
        let put = |hash, text: &str| small.insert(hash, Entry { text, values: [0; 2] }).is_some();
        assert!(put(1, &"a".repeat(15)) && !put(2, &"b".repeat(6)) && put(3, &"c".repeat(5)) && put(4, ""));
        assert_eq!(small.get(4).map(|entry| entry.text), Some(""));

        let large = SharedTexts::with_room_for(100, 1 << 22);
        let long = "d".repeat(1 << 20);
        assert!(large.insert(5, Entry { text: &long, values: [0; 2] }).is_none());
        assert!(large.insert(5, Entry { text: &long[1..], values: [0; 2] }).is_some());
        assert!(insert(&large, 0).is_none() && large.get(0).is_none());
        let none = SharedTexts::with_room_for(0, 0);
        assert!(none.is_empty() && insert(&none, 1).is_none());
    }
}
