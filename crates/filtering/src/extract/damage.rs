//! Damages texts at random, the same way for the same seed: input for the fuzz tests of the parsers.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Cases each fuzz test runs.
const CASES: u64 = 10_000;

/// Bytes with a meaning in one of the formats.
const TELLING: &[u8] = b"\"\\{}[]()<>&;:,.-> \t\r\n/u0d8btfn1e#=!\0\x1f\x7f\x80\xc2\xe2\xff";

/// Calls `check` with many damaged copies of `texts`.
pub(super) fn fuzz(texts: &[&[u8]], mut check: impl FnMut(&[u8])) {
    for case in 0..CASES {
        let mut rng = ChaCha8Rng::seed_from_u64(case);
        let mut bytes = texts[rng.random_range(0..texts.len())].to_vec();
        for _ in 0..rng.random_range(0..12) {
            damage(&mut bytes, texts, &mut rng);
        }
        check(&bytes);
    }
}

fn damage(bytes: &mut Vec<u8>, texts: &[&[u8]], rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..=bytes.len());
    let end = (at + rng.random_range(0..40)).min(bytes.len());
    match rng.random_range(0..7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let copy = bytes[at..end].to_vec();
            let to = rng.random_range(0..=bytes.len());
            bytes.splice(to..to, copy);
        }
        3 => {
            let other = texts[rng.random_range(0..texts.len())];
            let from = rng.random_range(0..=other.len());
            bytes.splice(at..end, other[from..].iter().take(60).copied());
        }
        4 => bytes.insert(at, rng.random()),
        _ if at < bytes.len() => bytes[at] = TELLING[rng.random_range(0..TELLING.len())],
        _ => bytes.push(TELLING[rng.random_range(0..TELLING.len())]),
    }
}
