//! What was trained: the output of a training, or a PEFT folder.

use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::hub::ModelDir;
use audsem_core::input::is_file;
use audsem_core::run::{CompletedRun, ModelFingerprint};
use audsem_models::multimodal::export::TrainedFiles;
use audsem_models::nn::lora::Adapter;

use crate::card::{FINAL, TrainingCard};
use crate::checkpoint::WEIGHTS;
use crate::error::Result;

const ADAPTER: &str = "adapter_config.json";
const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// What was trained.
pub(super) struct TrainedSource {
    /// The folder as it was named.
    root: PathBuf,
    /// The folder with its files.
    folder: PathBuf,
    /// How it was trained, where that is known.
    pub(super) card: Option<TrainingCard>,
    has_adapter: bool,
    has_weights: bool,
}

/// The model that a training began with.
pub(super) struct BaseModel {
    /// What it is called.
    pub(super) name: String,
    /// Its folder or hub id.
    pub(super) path: String,
}

impl TrainedSource {
    /// Opens the output folder of a training, its `final` folder, a checkpoint, or a PEFT folder.
    ///
    /// # Errors
    /// The training has not ended, or nothing that was trained is there.
    pub(super) fn open(root: &Path) -> Result<Self> {
        // Refuses a training that has not ended.
        let is_run = CompletedRun::open(root)?.is_some();
        let folder = if is_run { root.join(FINAL) } else { root.to_owned() };
        let card = TrainingCard::read(&folder)?;
        let has_adapter = is_file(&folder.join(ADAPTER))?;
        let has_weights = is_file(&folder.join(WEIGHTS))?;
        if !(has_adapter || has_weights) {
            let problem = "nothing that was trained is here: neither adapter_config.json nor trained.safetensors\n\
                           hint: name the output folder of `sft` or `grpo`, or a PEFT folder";
            return Err(CoreError::input(root, problem).into());
        }
        Ok(Self { root: root.to_owned(), folder, card, has_adapter, has_weights })
    }

    /// The files.
    pub(super) fn files(&self) -> TrainedFiles {
        TrainedFiles {
            adapter: self.has_adapter.then(|| self.folder.clone()),
            weights: self.has_weights.then(|| self.folder.join(WEIGHTS)),
        }
    }

    /// Folder or hub id of the tokenizer and the chat template that were trained with, where the base lacks them.
    pub(super) fn processor(&self) -> Option<String> {
        self.card.as_ref().filter(|card| !card.base_is_own).and_then(|card| card.processor.clone())
    }

    /// The base: the one that is named, else the one that the training tells.
    ///
    /// # Errors
    /// None is named and none is told.
    pub(super) fn base(&self, named: Option<&str>) -> Result<BaseModel> {
        let plain = |name: &str| BaseModel { name: name.to_owned(), path: name.to_owned() };
        if let Some(named) = named {
            return Ok(plain(named));
        }
        if let Some(card) = &self.card {
            let mut base = plain(&card.base_model);
            if card.base_is_own {
                // It lies in the folder of the run, whichever of its folders was named.
                let run = if self.folder == self.root { self.root.parent() } else { Some(&*self.root) };
                base.path = run.unwrap_or(Path::new(".")).join(&card.base_model).display().to_string();
            }
            return Ok(base);
        }
        let told = match self.has_adapter {
            true => Adapter::open(&ModelDir::local(&self.folder))?.base,
            false => None,
        };
        let problem = "the training does not tell its base\nhint: name it with --base".to_owned();
        let told = told.ok_or_else(|| CoreError::Config { what: "--base".to_owned(), problem })?;
        Ok(plain(&told))
    }

    /// Hashes of the files.
    pub(super) fn sha256(&self) -> Result<Vec<String>> {
        let files = [(ADAPTER, self.has_adapter), (ADAPTER_WEIGHTS, self.has_adapter), (WEIGHTS, self.has_weights)];
        let mut hashes = Vec::new();
        for (name, _) in files.into_iter().filter(|(_, is_there)| *is_there) {
            hashes.extend(ModelFingerprint::of_file(&self.folder.join(name))?.sha256);
        }
        Ok(hashes)
    }
}
