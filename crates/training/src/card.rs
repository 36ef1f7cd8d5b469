//! The card of a training: how the tensors in a folder were trained.

use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::input::is_file;
use audsem_core::instructions::InstructionProfile;
use audsem_core::run::ShardOutputs;
use audsem_models::nn::LoraConfig;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::TargetStyle;
use crate::error::Result;
use crate::setup::{BegunTraining, TrainedPart, TrainingData, TrainingSetup};

/// The folder with what was trained, below that of the run.
pub const FINAL: &str = "final";
/// The card in it.
pub(crate) const CARD: &str = "training.json";

/// How the tensors in a folder were trained; the content of `training.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingCard {
    /// Version of this program.
    pub version: String,
    /// Folder or hub id of the model that was begun with.
    pub base_model: String,
    /// SHA-256 of its files.
    pub base_sha256: Vec<String>,
    /// Folder or hub id of its tokenizer and chat template, where it lacks them.
    pub processor: Option<String>,
    /// Whether its weights were replaced by random ones.
    pub from_scratch: bool,
    /// Whether it was made for this training and is a folder below that of the run.
    pub base_is_own: bool,
    /// What was trained.
    pub train: TrainedPart,
    /// Settings of adapters, where there are some.
    pub lora: Option<LoraConfig>,
    /// Folders of examples.
    pub data: Vec<TrainedData>,
    /// Form of the answers.
    pub target: TargetStyle,
    /// Instruction in front of questions.
    pub instruction: InstructionProfile,
    /// Settings of the loop, as its command has them.
    pub training: Value,
    /// Numbers at the end.
    pub results: Map<String, Value>,
}

/// A folder of examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedData {
    /// The folder as it was named.
    pub path: PathBuf,
    /// How often an epoch went through it.
    pub weight: f64,
    /// Digest of its manifest.
    pub digest: String,
}

/// Six decimals, for people.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl TrainingCard {
    /// The card of a training that began as `setup` says.
    pub(crate) fn new(
        setup: &TrainingSetup,
        begun: &BegunTraining,
        data: &TrainingData,
        training: Value,
        results: Map<String, Value>,
    ) -> Result<Self> {
        let digests = data.train.digests.iter().cloned();
        let data = setup.data.iter().zip(digests).map(|(source, digest)| TrainedData {
            path: source.path.clone(),
            weight: source.weight,
            digest,
        });
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            base_model: begun.base_name().to_owned(),
            base_sha256: begun.base_sha256()?,
            processor: setup.processor.clone(),
            from_scratch: setup.from_scratch,
            base_is_own: begun.base_is_own(),
            train: setup.train,
            lora: begun.lora().cloned(),
            data: data.collect(),
            target: setup.target,
            instruction: setup.instruction,
            training,
            results,
        })
    }

    /// Reads the card of a folder that a training has filled; none where there is no card.
    ///
    /// # Errors
    /// It cannot be read, or is of another program.
    pub fn read(folder: &Path) -> Result<Option<Self>, CoreError> {
        let path = folder.join(CARD);
        if !is_file(&path)? { Ok(None) } else { read_card(&path).map(Some) }
    }
}

fn read_card(path: &Path) -> Result<TrainingCard, CoreError> {
    let bytes = std::fs::read(path).map_err(CoreError::read(path))?;
    let foreign = |error| CoreError::input(path, format!("not written by `audsem-training`: {error}"));
    serde_json::from_slice(&bytes).map_err(foreign)
}

/// The results of a shard that is done.
pub(crate) fn read_results(shard: &ShardOutputs) -> Result<Map<String, Value>, CoreError> {
    read_card(shard.file_ending(&format!("/{FINAL}/{CARD}"))?).map(|card| card.results)
}
