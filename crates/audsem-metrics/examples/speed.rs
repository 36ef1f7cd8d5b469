//! How fast texts are scored: `cargo run --release -p audsem-metrics --example speed`.

use std::io::Write as _;
use std::time::{Duration, Instant};

use audsem_metrics::edits::{EditCounts, align};
use audsem_metrics::normalise::{Compat, TextProfile, normalise, words};
use audsem_metrics::string_match::{chosen_option, is_match};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Pairs of texts whose word errors are counted.
const PAIRS: usize = 100_000;

/// Questions of which an answer is compared, as many as MMAU's test-mini has.
const ITEMS: usize = 1_000;

/// Words that texts are drawn from.
const WORDS: [&str; 16] = [
    "the", "a", "dog", "barks", "while", "rain", "falls", "on", "twenty", "roofs", "and", "Mr.", "Smith", "won't",
    "speak", "loudly",
];

fn sentence(rng: &mut ChaCha8Rng, words: usize) -> String {
    (0..words).map(|_| WORDS[rng.random_range(0..WORDS.len())]).collect::<Vec<_>>().join(" ")
}

/// A text with about a tenth of its words exchanged.
fn heard(rng: &mut ChaCha8Rng, text: &str) -> String {
    let word = |word| if rng.random_range(0..10) == 0 { WORDS[rng.random_range(0..WORDS.len())] } else { word };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn total(pairs: &[(String, String)]) -> EditCounts {
    let mut total = EditCounts::default();
    for (reference, prediction) in pairs {
        let split = |text| words(text).collect::<Vec<_>>();
        total.add(&align(&split(reference), &split(prediction)));
    }
    total
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let result = work();
    (begin.elapsed(), result)
}

fn main() -> std::io::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let pairs: Vec<(String, String)> = (0..PAIRS)
        .map(|_| {
            let reference = sentence(&mut rng, 20);
            let prediction = heard(&mut rng, &reference);
            (reference, prediction)
        })
        .collect();
    let mut out = std::io::stdout().lock();
    let (time, counts) = timed(|| total(&pairs));
    writeln!(out, "{PAIRS} pairs of 20 words: {time:.2?}, word error rate {:.4}", counts.rate().unwrap_or(0.0))?;
    let english = |text: &str| normalise(text, TextProfile::English, Compat::Fixed);
    let normalised =
        |pairs: &[(String, String)]| -> Vec<_> { pairs.iter().map(|(a, b)| (english(a), english(b))).collect() };
    let (time, counts) = timed(|| total(&normalised(&pairs[..PAIRS / 10])));
    writeln!(
        out,
        "{} of them with their texts normalised: {time:.2?}, {:.4}",
        PAIRS / 10,
        counts.rate().unwrap_or(0.0)
    )?;
    let items: Vec<Vec<String>> = (0..ITEMS).map(|_| (0..4).map(|_| sentence(&mut rng, 3)).collect()).collect();
    let right = |choices: &Vec<String>| {
        let answer = format!("B. {}", choices[1]);
        (is_match(&answer, &choices[1], choices), chosen_option(&answer, choices) == Some(1))
    };
    let (time, scores) = timed(|| items.iter().map(right).collect::<Vec<_>>());
    let share = |count: usize| count as f64 / ITEMS as f64;
    let (official, parsed) = (scores.iter().filter(|(is, _)| *is).count(), scores.iter().filter(|(_, is)| *is).count());
    writeln!(
        out,
        "{ITEMS} items by both rules: {time:.2?}, {:.3} official, {:.3} parsed",
        share(official),
        share(parsed)
    )
}
