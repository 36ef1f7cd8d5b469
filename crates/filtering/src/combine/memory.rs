//! What is known of the texts that a thread has met, so that each is judged once.

use audsem_core::memory::{large_table, reserve_large};

use super::labels::Label;
use super::reason::DropReason;

/// Distinct texts a memory holds before it is emptied: 34 MB, and what is said of them.
const MAX_TEXTS: usize = 700_000;

/// What is said of a text usually takes no more; there is room for that from the beginning.
const USUAL_BYTES: usize = 128;

/// Slots of a fresh memory.
const FIRST_SLOTS: usize = 1 << 12;

/// What has been decided about one text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) label: Label,
    /// `None`: kept.
    pub(super) drop: Option<DropReason>,
    from: u32,
    len: u32,
}

/// Verdicts of one thread on the texts it has met: a hash table with open addressing, where finding a
/// verdict costs one look into memory that is not in the cache.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// As many as a power of two; at most three quarters are taken.
    slots: Vec<(u64, Option<Known>)>,
    n_taken: usize,
    /// Clean captions, and of dropped ones the details of their rejects, escaped, one after the other.
    texts: String,
}

/// Where the verdict on a text lies. Holds until the next [`Memory::make_room`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// It was known.
    Known(u32),
    /// It is new: [`Memory::learn`] must follow.
    New(u32),
}

impl Memory {
    /// Makes room for `n` more texts; may forget those known so far.
    pub(super) fn make_room(&mut self, n: usize) {
        if self.n_taken + n > MAX_TEXTS && self.n_taken > 0 {
            self.slots.fill((0, None));
            self.n_taken = 0;
            self.texts.clear();
        }
        let mut n_slots = self.slots.len().max(FIRST_SLOTS);
        while (self.n_taken + n) * 4 > n_slots * 3 {
            n_slots *= 2;
        }
        if n_slots == self.slots.len() {
            return;
        }
        if self.slots.is_empty() {
            let mut texts = Vec::new();
            reserve_large(&mut texts, MAX_TEXTS * USUAL_BYTES);
            self.texts = String::from_utf8(texts).expect("nothing is text");
        }
        let old = std::mem::replace(&mut self.slots, large_table((0, None), n_slots));
        for (hash, known) in old.into_iter().filter(|(_, known)| known.is_some()) {
            let slot = self.find(hash);
            self.slots[slot] = (hash, known);
        }
    }

    /// The slot of a text, or the free one that it would take.
    fn find(&self, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        // Texts are hashed evenly, so the upper bits are as good as any; the lower ones index the rest.
        #[expect(clippy::cast_possible_truncation, reason = "the shift leaves as many bits as there are slots")]
        let mut slot = (hash >> (u64::BITS - self.slots.len().ilog2())) as usize;
        while self.slots[slot].1.is_some() && self.slots[slot].0 != hash {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// Finds a text; one that is new is noted. There must be room.
    pub(super) fn place(&mut self, hash: u64) -> Place {
        let slot = self.find(hash);
        let place = u32::try_from(slot).expect("fewer than 2^32 texts");
        if self.slots[slot].1.is_some() {
            return Place::Known(place);
        }
        self.slots[slot] = (hash, Some(Known { label: Label::ABSENT, drop: None, from: 0, len: 0 }));
        self.n_taken += 1;
        Place::New(place)
    }

    /// Fills in what is decided about a text. `judge` appends what it has to say to the string.
    pub(super) fn learn(&mut self, place: u32, label: Label, judge: impl FnOnce(&mut String) -> Option<DropReason>) {
        let from = self.texts.len();
        let drop = judge(&mut self.texts);
        let position = |at: usize| u32::try_from(at).expect("the memory is emptied long before 4 GiB");
        let (from, len) = (position(from), position(self.texts.len() - from));
        self.slots[place as usize].1 = Some(Known { label, drop, from, len });
    }

    /// What is known of each of some texts.
    ///
    /// What is said of them is fetched from memory, too, all at once: waiting for one after the other takes as long
    /// as everything else that is done with a row.
    pub(super) fn recall(&self, places: &[u32], known: &mut Vec<Known>) {
        known.clear();
        known.extend(places.iter().map(|place| self.slots[*place as usize].1.expect("a place is taken")));
        let texts = self.texts.as_bytes();
        let touch = |known: &Known| texts.get(known.from as usize).copied().unwrap_or(0);
        std::hint::black_box(known.iter().map(touch).fold(0, u8::wrapping_add));
    }

    /// The clean caption, or the detail of the reject.
    pub(super) fn said(&self, known: Known) -> &str {
        &self.texts[known.from as usize..][..known.len as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a test says of the text with this hash.
    fn said(hash: u64) -> String {
        format!("text {hash}")
    }

    #[test]
    fn every_text_is_found_again_until_there_is_no_room() {
        let mut memory = Memory::default();
        // Neighbouring hashes, hashes that differ only in the lower bits, and the one of no bit at all.
        let hashes: Vec<u64> = (0..2_000).chain((1..16_000).map(|i| i << 50)).collect();
        for chunk in hashes.chunks(1000) {
            memory.make_room(chunk.len());
            for &hash in chunk {
                let Place::New(place) = memory.place(hash) else { panic!("{hash} is new") };
                memory.learn(place, Label::ABSENT, |texts| {
                    texts.push_str(&said(hash));
                    hash.is_multiple_of(2).then_some(DropReason::TooShort)
                });
            }
        }
        for &hash in &hashes {
            let Place::Known(place) = memory.place(hash) else { panic!("{hash} is known") };
            let mut recalled = Vec::new();
            memory.recall(&[place], &mut recalled);
            let known = recalled[0];
            assert_eq!(memory.said(known), said(hash));
            assert_eq!(known.drop, (hash % 2 == 0).then_some(DropReason::TooShort));
        }
        memory.make_room(MAX_TEXTS);
        assert!(matches!(memory.place(1), Place::New(_)));
    }

    #[test]
    fn a_slot_is_as_small_as_the_documentation_of_the_limit_says() {
        assert_eq!(size_of::<(u64, Option<Known>)>(), 32);
    }
}
