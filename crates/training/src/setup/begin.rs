//! The model that a training begins with.

use std::path::Path;

use audsem_core::error::Error as CoreError;
use audsem_core::hub::ModelDir;
use audsem_core::run::{RunOptions, ShardSelection};
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use audsem_models::multimodal::export::TensorLayout;
use audsem_models::multimodal::random::RandomModel;
use audsem_models::multimodal::trainable::{TrainableAudioModel, TrainingPlan};
use audsem_models::nn::LoraConfig;
use candle_core::Device;

use super::config::{AdapterUse, TrainedPart, TrainingSetup};
use crate::checkpoint::{NamedFiles, WEIGHTS};
use crate::error::Result;
use crate::export;

/// The folder of a model with random weights, below that of the run.
const SCRATCH: &str = "begin";

/// The folder of a model that an adapter was merged into.
const MERGED: &str = "begin/model";

/// A model that is ready to be trained.
#[derive(Debug)]
pub struct BegunTraining {
    /// The model.
    pub model: TrainableAudioModel,
    /// Where its tensors lie.
    pub device: Device,
    /// Its folder.
    pub checkpoint: AudioCheckpoint,
    train: TrainedPart,
    lora: Option<LoraConfig>,
    base_name: String,
    base_is_own: bool,
}

impl BegunTraining {
    /// Opens the model; or makes one in the output folder, with random weights or with the adapter merged, and opens that.
    ///
    /// # Errors
    /// There is no such model or adapter, they do not fit each other, a file is broken, or the device is not there.
    pub fn open(setup: &TrainingSetup, options: &RunOptions) -> Result<Self> {
        let device = setup.device.open()?;
        let own = own_base(setup, options)?;
        let folder = own.map_or_else(|| setup.model.clone(), |name| options.output.join(name).display().to_string());
        let checkpoint = AudioCheckpoint::open(&folder, setup.processor.as_deref())?;
        let continued = setup.adapter.as_deref().filter(|_| setup.adapter_use == AdapterUse::Continue);
        let adapter = continued.map(|name| checkpoint.adapter(name)).transpose()?;
        let lora = adapter.as_ref().map_or_else(|| setup.lora.clone(), |adapter| adapter.config.clone());
        let lora = setup.train.has_adapters().then_some(lora);
        let plan = TrainingPlan {
            adapters: lora.clone(),
            weights: setup.train.weights(),
            seed: options.seed,
            kept_layers: setup.keep_layers,
        };
        let model = TrainableAudioModel::open(&checkpoint, &plan, adapter.as_ref(), (&device, setup.dtype.dtype()))?;
        let base_name = own.map_or_else(|| setup.model.clone(), str::to_owned);
        let (train, base_is_own) = (setup.train, own.is_some());
        Ok(Self { model, device, checkpoint, train, lora, base_name, base_is_own })
    }

    /// What the model is called in cards and adapters; one that was made for this training by its folder in that of the run.
    #[must_use]
    pub fn base_name(&self) -> &str {
        &self.base_name
    }

    /// Whether the model was made for this training.
    #[must_use]
    pub fn base_is_own(&self) -> bool {
        self.base_is_own
    }

    /// Settings of the adapters that are trained.
    #[must_use]
    pub fn lora(&self) -> Option<&LoraConfig> {
        self.lora.as_ref()
    }

    /// Hashes of the files of the model.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn base_sha256(&self) -> Result<Vec<String>> {
        Ok(self.checkpoint.dir().fingerprint()?.sha256)
    }

    /// The adapter as it stands, as the files of a folder of PEFT; none where no adapter is trained.
    ///
    /// # Errors
    /// A tensor cannot be read back from its device.
    pub fn adapter_files(&self) -> Result<NamedFiles> {
        let Some(adapter) = self.model.adapter(Some(&self.base_name)) else { return Ok(Vec::new()) };
        Ok(adapter.files()?.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect())
    }

    /// What was trained, from the folder of a checkpoint: the adapter, and the tensors of the model itself where they are
    /// trained.
    ///
    /// # Errors
    /// A file is missing.
    pub fn trained_files(&self, checkpoint: &Path) -> Result<NamedFiles> {
        let mut names: Vec<String> = self.adapter_files()?.into_iter().map(|(name, _)| name).collect();
        if self.train != TrainedPart::Lora {
            names.push(WEIGHTS.to_owned());
        }
        let read = |name: String| {
            let path = checkpoint.join(&name);
            Ok((name, std::fs::read(&path).map_err(CoreError::read(&path))?))
        };
        names.into_iter().map(read).collect()
    }
}

/// Makes the model that a training begins with in the output folder, where it is none that is there already: one with random
/// weights, or with an adapter merged. Returns its folder below that of the run.
fn own_base(setup: &TrainingSetup, options: &RunOptions) -> Result<Option<&'static str>> {
    let (folder, processor) = (options.output.join(SCRATCH), setup.processor.as_deref());
    if setup.from_scratch {
        RandomModel { model: &setup.model, processor, seed: options.seed }.write(&folder)?;
        return Ok(Some(SCRATCH));
    }
    let Some(adapter) = setup.adapter.as_ref().filter(|_| setup.adapter_use == AdapterUse::Merge) else {
        return Ok(None);
    };
    let settings = ModelDir::resolve(adapter, None)?.file("adapter_config.json")?;
    let merge = export::Config {
        trained: settings.parent().unwrap_or(Path::new(".")).to_owned(),
        base: Some(setup.model.clone()),
        processor: setup.processor.clone(),
        layout: TensorLayout::default(),
        dtype: None,
        push: None,
    };
    let shard = ShardSelection::ALL;
    export::run(&merge, &RunOptions { output: folder, limit: None, shard, dry_run: false, ..options.clone() })?;
    Ok(Some(MERGED))
}
