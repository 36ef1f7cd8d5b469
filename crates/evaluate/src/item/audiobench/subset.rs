//! The rows that the published evaluation takes of a data set when not all are wanted.

use rand::RngCore as _;
use rand_pcg::Pcg64;

/// The published seed.
const SEED: u32 = 42;

/// The first rows after a shuffle: those of `numpy.random.default_rng(42).permutation(len)`, by which the library `datasets`
/// shuffles. At most `len`, and all of them shuffled if there are no more.
pub(super) fn first_after_shuffle(len: usize, n: usize) -> Vec<usize> {
    let mut random = Words { random: pcg64(SEED), high: None };
    let mut order: Vec<usize> = (0..len).collect();
    for last in (1..len).rev() {
        order.swap(last, random.up_to(last));
    }
    order.truncate(n);
    order
}

/// Numbers of 32 bits, as NumPy takes them from a generator of 64: the low half first.
struct Words {
    random: Pcg64,
    high: Option<u32>,
}

impl Words {
    fn word(&mut self) -> u32 {
        if let Some(high) = self.high.take() {
            return high;
        }
        let both = self.random.next_u64();
        self.high = Some((both >> 32) as u32);
        both as u32
    }

    /// A number from 0 to `most`: those above it are thrown away.
    fn up_to(&mut self, most: usize) -> usize {
        let most = most as u64;
        let mask = u64::MAX >> most.leading_zeros();
        loop {
            let number = if most <= u64::from(u32::MAX) { u64::from(self.word()) } else { self.random.next_u64() };
            if number & mask <= most {
                return usize::try_from(number & mask).expect("at most a number of rows");
            }
        }
    }
}

/// NumPy's generator of a seed: PCG64, whose state comes from a `SeedSequence` (M. E. O'Neill's `seed_seq_fe`, with NumPy's
/// constants).
fn pcg64(seed: u32) -> Pcg64 {
    let mut pool = [seed, 0, 0, 0];
    let mut constant = 0x43b0_d7e5_u32;
    let mut scrambled = |value: u32| {
        let value = value ^ constant;
        constant = constant.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(constant);
        value ^ (value >> 16)
    };
    pool = pool.map(&mut scrambled);
    for from in 0..pool.len() {
        for to in (0..pool.len()).filter(|to| *to != from) {
            let (a, b) = (pool[to].wrapping_mul(0xca01_f9dd), scrambled(pool[from]).wrapping_mul(0x4973_f715));
            let mixed = a.wrapping_sub(b);
            pool[to] = mixed ^ (mixed >> 16);
        }
    }
    let mut constant = 0x8b51_f9dd_u32;
    let words: Vec<u128> = (0..8)
        .map(|n| {
            let value = pool[n % pool.len()] ^ constant;
            constant = constant.wrapping_mul(0x58f3_8ded);
            let value = value.wrapping_mul(constant);
            u128::from(value ^ (value >> 16))
        })
        .collect();
    // Numbers of 64 bits are low word first, those of 128 high number first.
    let number = |at: usize| (words[at] | words[at + 1] << 32) << 64 | words[at + 2] | words[at + 3] << 32;
    Pcg64::new(number(0), number(4))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_are_those_that_numpy_shuffles_to_the_front() {
        assert_eq!(first_after_shuffle(10, 99), [5, 6, 0, 7, 3, 2, 4, 9, 1, 8]);
        assert_eq!(first_after_shuffle(20, 8), [15, 9, 14, 7, 12, 10, 6, 19]);
        assert_eq!(first_after_shuffle(1000, 8), [978, 933, 859, 916, 127, 608, 856, 260]);
        assert_eq!(first_after_shuffle(1, 1), [0]);
        assert!(first_after_shuffle(0, 3).is_empty());
    }

    #[test]
    fn rows_are_those_of_the_library_datasets() {
        let script = "
import datasets
for n in (2, 7, 100, 4099):
    rows = datasets.Dataset.from_dict({'n': list(range(n))}).shuffle(seed=42)
    print(*rows['n'])";
        let folder = tempfile::tempdir().unwrap();
        let printed = audsem_core::testing::run_python(script, folder.path());
        for (line, n) in printed.lines().zip([2, 7, 100, 4099]) {
            let rows: Vec<usize> = line.split(' ').map(|row| row.parse().unwrap()).collect();
            assert_eq!(first_after_shuffle(n, n), rows, "{n}");
        }
    }
}
