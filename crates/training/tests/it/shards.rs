//! Shards for tests, of sounds that are made here.

use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_media::audio::{BitDepth, encode_flac};

/// A tone in FLAC.
pub(crate) fn tone(frequency_hz: f32, samples: usize, rate_hz: u32) -> Vec<u8> {
    let angle = std::f32::consts::TAU * frequency_hz / rate_hz as f32;
    let samples: Vec<f32> = (0..samples).map(|n| 0.5 * (angle * n as f32).sin()).collect();
    encode_flac(&samples, 1, rate_hz, BitDepth::Sixteen).unwrap()
}

/// The JSON of a sample.
pub(crate) fn json_of(question: &str, thinking: &str, answer: &str) -> Vec<u8> {
    serde_json::json!({ "question": question, "thinking": thinking, "answer": answer }).to_string().into_bytes()
}

/// Suffix and bytes of a member.
pub(crate) type Member<'a> = (&'a str, &'a [u8]);

/// A shard of samples: key and members.
pub(crate) fn shard(samples: &[(&str, &[Member<'_>])]) -> Vec<u8> {
    let mut writer = ShardWriter::new(Vec::new(), ShardOptions::default());
    for (key, members) in samples {
        writer.write_sample(key, members).unwrap();
    }
    writer.finish().unwrap().0
}

/// A shard of good samples with these keys, each a different tone.
pub(crate) fn shard_of(keys: &[&str]) -> Vec<u8> {
    let mut writer = ShardWriter::new(Vec::new(), ShardOptions::default());
    for (n, key) in keys.iter().enumerate() {
        let sound = tone(200.0 + 50.0 * n as f32, 4000, 16_000);
        let json = json_of("What is it?", &format!("Number {n}."), &format!("Tone {n}."));
        writer.write_sample(key, &[("flac", &sound), ("json", &json)]).unwrap();
    }
    writer.finish().unwrap().0
}
