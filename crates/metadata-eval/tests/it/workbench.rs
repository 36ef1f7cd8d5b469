//! What the tests share: the binary, and tables of features with known values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use audsem_core::tables::{Row, read_parquet, write_parquet};
use audsem_metadata_eval::tables::{
    AudioFeatures, ImageFeatures, ScoredLabel, SecondFeatures, SecondTags, SoundTag, VideoFeatures,
};

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
        Self(audsem_core::testing::Bench::new(env!("CARGO_BIN_EXE_audsem-metadata-eval")))
    }

    pub(crate) fn rows<R: Row>(&self, name: &str) -> Vec<R> {
        read_parquet(&self.path(name)).unwrap()
    }

    /// Writes a table.
    pub(crate) fn table<R: Row>(&self, name: &str, rows: &[R]) {
        let mut bytes = Vec::new();
        write_parquet(rows, &mut bytes).unwrap();
        self.write(name, bytes);
    }

    /// Every file of a run folder that does not hold times, with its content hashed.
    pub(crate) fn tree(&self, name: &str) -> BTreeMap<PathBuf, String> {
        audsem_core::testing::tree(&self.path(name)).unwrap()
    }
}

/// A file of `fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// Copies a checkpoint of the goldens into `model`.
pub(crate) fn copy_model(bench: &Bench, checkpoint: &str) {
    for entry in std::fs::read_dir(fixture("goldens").join(checkpoint)).unwrap() {
        let path = entry.unwrap().path();
        bench.write(&format!("model/{}", path.file_name().unwrap().to_str().unwrap()), std::fs::read(&path).unwrap());
    }
}

pub(crate) fn tag(label: &str, prob: f32) -> SoundTag {
    SoundTag { label: label.to_owned(), prob }
}

/// Audio features with a caption and tags.
pub(crate) fn audio(key: &str, caption: &str) -> AudioFeatures {
    AudioFeatures {
        audio_caption: Some(caption.to_owned()),
        ced_tags: Some(vec![tag("Rain", 0.75), tag("Wind", 0.25)]),
        speech: Some(0.125),
        ..AudioFeatures::of_key(key)
    }
}

pub(crate) fn sat(key: &str) -> SecondFeatures {
    let second = |n: u32| SecondTags { start_ms: n * 1000, end_ms: (n + 1) * 1000, tags: vec![tag("Rain", 0.5)] };
    SecondFeatures { key: key.to_owned(), place: None, seconds: vec![second(0), second(1)] }
}

pub(crate) fn image(key: &str) -> ImageFeatures {
    ImageFeatures {
        frames_ms: Some(vec![0, 500]),
        descriptions: Some(vec!["a street".to_owned()]),
        objects: Some(vec![ScoredLabel { label: "car".to_owned(), score: 0.5 }]),
        ..ImageFeatures::of_key(key)
    }
}

pub(crate) fn video(key: &str) -> VideoFeatures {
    VideoFeatures { key: key.to_owned(), place: None, frames_ms: None, caption: "A wet street.".to_owned() }
}

/// Fills a folder with a language model of random weights that has room for long answers.
pub(crate) fn random_language_model(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for entry in std::fs::read_dir(fixture("goldens/qwen2_tiny")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let config = folder.join("config.json");
    let (short, long) = ("\"max_position_embeddings\": 512", "\"max_position_embeddings\": 32768");
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains(short), "{text}");
    std::fs::write(config, text.replace(short, long)).unwrap();
}
