//! Synthetic sounds of four kinds, and questions about them as training shards.

use std::f32::consts::TAU;

use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_media::audio::{BitDepth, encode_flac};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Sample rate of the sounds.
const RATE_HZ: u32 = 16_000;
/// Samples of a sound.
const SAMPLES: usize = 12_800;

/// The kinds of sounds, and the options of every question.
pub(crate) const KINDS: [&str; 4] = ["a tone", "a sweep", "noise", "pulses"];

/// The question with its options.
pub(crate) fn question() -> String {
    let options: Vec<String> = (0..4).map(option).collect();
    format!("What is it?\nChoices:\n{}", options.join("\n"))
}

/// An option as questions and answers have it: `B. a sweep`.
pub(crate) fn option(kind: usize) -> String {
    format!("{}. {}", ["A", "B", "C", "D"][kind], KINDS[kind])
}

/// A sound of a kind, different for every seed, in a little noise.
pub(crate) fn sound(kind: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (low, level) = (rng.random_range(250.0..1500f32), rng.random_range(0.2..0.6f32));
    let (high, rate) = (low * rng.random_range(2.5..4.0f32), rng.random_range(5.0..12.0f32));
    let mut phase = 0.0;
    let samples: Vec<f32> = (0..SAMPLES)
        .map(|n| {
            let at = n as f32 / SAMPLES as f32;
            let second = n as f32 / RATE_HZ as f32;
            let background = rng.random_range(-0.01..0.01f32);
            phase += TAU / RATE_HZ as f32 * if kind == 1 { low + (high - low) * at } else { low };
            let own = match kind {
                0 | 1 => phase.sin(),
                2 => rng.random_range(-1.0..1.0f32),
                _ => {
                    if (second * rate).fract() < 0.04 {
                        rng.random_range(-1.0..1.0f32)
                    } else {
                        0.0
                    }
                }
            };
            background + level * own
        })
        .collect();
    samples
}

/// A shard with a question about each of `n` sounds, the kinds in turn. Seeds of two shards must not overlap.
pub(crate) fn shard(n: usize, first_seed: u64) -> Vec<u8> {
    shard_of(n, first_seed, 0)
}

/// The same with sounds of other kinds than the answers say, so many further in [`KINDS`].
pub(crate) fn shard_of(n: usize, first_seed: u64, shift: usize) -> Vec<u8> {
    let mut writer = ShardWriter::new(Vec::new(), ShardOptions::default());
    for i in 0..n {
        let (kind, seed) = (i % 4, first_seed + i as u64);
        let flac = encode_flac(&sound((kind + shift) % 4, seed), 1, RATE_HZ, BitDepth::Sixteen)
            .expect("a sound can be encoded");
        let json = serde_json::json!({
            "question": question(),
            "thinking": format!("It is {}.", KINDS[kind]),
            "answer": option(kind),
        });
        let json = json.to_string();
        let members: [(&str, &[u8]); 2] = [("flac", &flac), ("json", json.as_bytes())];
        writer.write_sample(&format!("SYN{seed} (0_0-0_8)_qa_0"), &members).expect("a key is written once");
    }
    writer.finish().expect("memory takes all").0
}
