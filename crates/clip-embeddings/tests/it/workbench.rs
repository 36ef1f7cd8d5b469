//! What the tests share: embeddings with known numbers, shards of real FLAC, the binary.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use audsem_core::tables::{
    AudioEmbedding, AudioEmbeddingRef, Row, TextEmbedding, TextEmbeddingRef, VectorWriter, read_parquet, text_hash,
    write_parquet,
};
use audsem_core::tar::{ShardOptions, ShardWriter};
pub(crate) use audsem_core::testing::Called;
use audsem_media::audio::{BitDepth, encode_flac};
use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

/// A temporary folder in which the binary is called.
pub(crate) struct Bench(audsem_core::testing::Bench);

impl std::ops::Deref for Bench {
    type Target = audsem_core::testing::Bench;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self(audsem_core::testing::Bench::new(env!("CARGO_BIN_EXE_audsem-clip-embeddings")))
    }

    pub(crate) fn rows<R: Row>(&self, name: &str) -> Vec<R> {
        read_parquet(&self.path(name)).unwrap()
    }

    /// Every file of a run folder that does not hold times, with its content hashed.
    pub(crate) fn tree(&self, name: &str) -> BTreeMap<PathBuf, String> {
        audsem_core::testing::tree(&self.path(name)).unwrap()
    }

    /// Writes a table of audio embeddings.
    pub(crate) fn audio(&self, name: &str, rows: &[(&str, Vec<f32>)]) {
        let mut bytes = Vec::new();
        let dim = rows.first().map_or(4, |(_, vector)| vector.len());
        let mut writer = VectorWriter::<AudioEmbedding, _>::new(&mut bytes, dim, &[]).unwrap();
        for (key, vector) in rows {
            let row = AudioEmbeddingRef { key, shard: "00000.tar", n_samples: 48_000, is_longer: false };
            writer.push(row, vector).unwrap();
        }
        writer.finish().unwrap();
        self.write(name, bytes);
    }

    /// Writes a table of text embeddings.
    pub(crate) fn texts(&self, name: &str, rows: &[(&str, &str, Vec<f32>)]) {
        let mut bytes = Vec::new();
        let mut writer = VectorWriter::<TextEmbedding, _>::new(&mut bytes, rows[0].2.len(), &[]).unwrap();
        for (key, text, vector) in rows {
            writer.push(TextEmbeddingRef { key, text, text_hash: text_hash(text) }, vector).unwrap();
        }
        writer.finish().unwrap();
        self.write(name, bytes);
    }

    /// Writes a table of text embeddings without a row.
    pub(crate) fn no_texts(&self, name: &str) {
        let mut bytes = Vec::new();
        VectorWriter::<TextEmbedding, _>::new(&mut bytes, 2, &[]).unwrap().finish().unwrap();
        self.write(name, bytes);
    }

    /// Writes a table of rows without vectors.
    pub(crate) fn table<R: Row>(&self, name: &str, rows: &[R]) {
        let mut bytes = Vec::new();
        write_parquet(rows, &mut bytes).unwrap();
        self.write(name, bytes);
    }

    /// Writes `n` random audio embeddings with keys `PREFIX0`, `PREFIX1`, … and gives their vectors.
    pub(crate) fn random(&self, name: &str, prefix: &str, n: usize, dim: usize, seed: u64) -> Vec<Vec<f32>> {
        let vectors = random_vectors(n, dim, seed);
        let keys: Vec<String> = (0..n).map(|i| format!("{prefix}{i}")).collect();
        let rows: Vec<(&str, Vec<f32>)> = keys.iter().map(String::as_str).zip(vectors.iter().cloned()).collect();
        self.audio(name, &rows);
        vectors
    }
}

/// Vectors around a direction of their own, of very different lengths.
pub(crate) fn random_vectors(n: usize, dim: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let centre: Vec<f32> = (0..dim).map(|_| rng.random_range(-0.5..0.5)).collect();
    let mut vector = || {
        let length = 10f32.powi(rng.random_range(-3..4));
        centre.iter().map(|c| (c + rng.random_range(-1.0f32..1.0)) * length).collect()
    };
    (0..n).map(|_| vector()).collect()
}

/// Cosine in 64 bits, straight from its definition.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}

/// A tiny random CLAP.
pub(crate) fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens/clap_tiny")
}

/// A tone as FLAC.
pub(crate) fn flac(hz: f32) -> Vec<u8> {
    let samples: Vec<f32> =
        (0..24_000).map(|n| (n as f32 * hz * std::f32::consts::TAU / 48_000.0).sin() * 0.4).collect();
    encode_flac(&samples, 1, 48_000, BitDepth::Sixteen).unwrap()
}

/// An audio shard as `clips` writes it: samples `1`, `2`, … with these clips.
pub(crate) fn shard(clips: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
    for (i, (name, text)) in clips.iter().enumerate() {
        let json = json!({ "original_filename": format!("{name}.mp4"), "text": text }).to_string();
        let sound = flac(300.0 + 100.0 * i as f32);
        tar.write_sample(&(i + 1).to_string(), &[("flac", &sound), ("json", json.as_bytes())]).unwrap();
    }
    tar.finish().unwrap().0
}

/// Whether two paths are one file.
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(a).unwrap().ino() == fs::metadata(b).unwrap().ino()
}
