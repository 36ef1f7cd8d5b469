//! What a fine-tuning leaves: the trained tensors, its metrics, and a card that says how it was made.

use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::instructions::InstructionProfile;
use audsem_core::run::{ShardError, ShardOutput, ShardOutputs};
use audsem_models::nn::LoraConfig;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Config;
use super::fine_tuning::LoopConfig;
use super::state::LoopState;
use crate::checkpoint::{Checkpoints, NamedFiles, WEIGHTS};
use crate::data::TargetStyle;
use crate::error::{Error, Result};
use crate::metrics::{EVENTS_FILE, event_file, metrics_page};
use crate::setup::{BegunTraining, TrainedPart, TrainingData};

/// The folder with what was trained, below that of the run.
pub const FINAL: &str = "final";
/// The card in it.
const CARD: &str = "training.json";
/// The page of curves.
const PAGE: &str = "report.html";

/// How the tensors in a folder were trained; the content of `final/training.json`.
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
    /// The loop.
    pub training: LoopConfig,
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

/// A training that is over.
pub(super) struct Trained<'a> {
    pub(super) config: &'a Config,
    pub(super) begun: &'a BegunTraining,
    pub(super) data: &'a TrainingData,
    pub(super) state: &'a LoopState,
    pub(super) checkpoints: &'a Checkpoints,
}

impl Trained<'_> {
    /// Writes the files of the run folder, and files the examples. Returns the numbers at the end.
    pub(super) fn write(&self, out: &mut ShardOutput) -> Result<Map<String, Value>, ShardError> {
        let Self { state, data, .. } = self;
        state.left_out.values().for_each(|left_out| left_out.file(out));
        let seen = data.order.distinct(state.reached);
        out.file_kept(seen.saturating_sub(state.left_out.len()) as u64);
        out.count("cropped", state.cropped);
        let step = self.final_step();
        for (name, bytes) in self.final_files(step)? {
            out.write_file(format!("{FINAL}/{name}"), &bytes)?;
        }
        let card = self.card(step)?;
        let json = serde_json::to_string_pretty(&card).map_err(ShardError::fatal)?;
        out.write_file(format!("{FINAL}/{CARD}"), format!("{json}\n").as_bytes())?;
        out.write_file("metrics.jsonl", &state.history.jsonl())?;
        out.write_file(EVENTS_FILE, &event_file(&state.history))?;
        let facts: Vec<(&str, Value)> =
            card.results.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let page = metrics_page("Supervised fine-tuning", &facts, &state.history).map_err(Error::from)?;
        out.write_file(PAGE, page.as_bytes())?;
        Ok(card.results)
    }

    /// The checkpoint whose tensors are the result: the best where there is a validation, else the last.
    fn final_step(&self) -> usize {
        self.state.best.map_or(self.state.steps(), |(step, _)| step)
    }

    /// The adapter, and the trained tensors of the model itself where there are some.
    fn final_files(&self, step: usize) -> Result<NamedFiles> {
        let folder = self.checkpoints.path(step);
        let mut names: Vec<String> = self.begun.adapter_files()?.into_iter().map(|(name, _)| name).collect();
        if self.config.setup.train != TrainedPart::Lora {
            names.push(WEIGHTS.to_owned());
        }
        let read = |name: String| {
            let path = folder.join(&name);
            Ok((name, std::fs::read(&path).map_err(CoreError::read(&path))?))
        };
        names.into_iter().map(read).collect()
    }

    fn card(&self, step: usize) -> Result<TrainingCard> {
        let setup = &self.config.setup;
        let digests = self.data.train.digests.iter().cloned();
        let data = setup.data.iter().zip(digests).map(|(source, digest)| TrainedData {
            path: source.path.clone(),
            weight: source.weight,
            digest,
        });
        Ok(TrainingCard {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            base_model: self.begun.base_name().to_owned(),
            base_sha256: self.begun.base_sha256()?,
            processor: setup.processor.clone(),
            from_scratch: setup.from_scratch,
            train: setup.train,
            lora: self.begun.lora().cloned(),
            data: data.collect(),
            target: setup.target,
            instruction: setup.instruction,
            training: self.config.training,
            results: self.results(step),
        })
    }

    fn results(&self, step: usize) -> Map<String, Value> {
        let state = self.state;
        let mut results = Map::new();
        let mut put = |name: &str, value: Value| drop(results.insert(name.to_owned(), value));
        put("updates", json!(state.steps()));
        put("used_step", json!(step));
        put("examples", json!(self.data.train.rows.len()));
        put("tokens", json!(state.tokens));
        put("skipped_updates", json!(state.updates.bad));
        for name in [
            "log_prob_with_sound",
            "log_prob_with_silence",
            "loss",
            "mean_token_accuracy",
            "valid_loss",
            "valid_mean_token_accuracy",
        ] {
            if let Some(value) = state.history.last(name) {
                put(name, json!(rounded(value)));
            }
        }
        if let Some((_, loss)) = state.best {
            put("best_valid_loss", json!(rounded(loss.0)));
        }
        results
    }
}

/// Six decimals, for people.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl TrainingCard {
    /// Reads the card of a folder that `sft` has filled; none where there is no card.
    ///
    /// # Errors
    /// It cannot be read, or is of another program.
    pub fn read(folder: &Path) -> Result<Option<Self>, CoreError> {
        let path = folder.join(CARD);
        if !audsem_core::input::is_file(&path)? { Ok(None) } else { read_card(&path).map(Some) }
    }
}

fn read_card(path: &Path) -> Result<TrainingCard, CoreError> {
    let bytes = std::fs::read(path).map_err(CoreError::read(path))?;
    let foreign = |error| CoreError::input(path, format!("not written by `audsem-training sft`: {error}"));
    serde_json::from_slice(&bytes).map_err(foreign)
}

/// The results of a shard that is done.
pub(super) fn read_results(shard: &ShardOutputs) -> Result<Map<String, Value>, CoreError> {
    read_card(shard.file_ending(&format!("/{FINAL}/{CARD}"))?).map(|card| card.results)
}
