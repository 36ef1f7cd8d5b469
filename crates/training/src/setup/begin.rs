//! The model that a training begins with.

use audsem_core::run::RunOptions;
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use audsem_models::multimodal::random::RandomModel;
use audsem_models::multimodal::trainable::{TrainableAudioModel, TrainingPlan};
use audsem_models::nn::LoraConfig;
use candle_core::Device;

use super::config::TrainingSetup;
use crate::checkpoint::NamedFiles;
use crate::error::Result;

/// The folder of a model with random weights, below that of the run.
const SCRATCH: &str = "begin";

/// Layers of the language model whose graphs are kept instead of being computed twice: one costs no memory.
const KEPT_LAYERS: usize = 1;

/// A model that is ready to be trained.
#[derive(Debug)]
pub struct BegunTraining {
    /// The model.
    pub model: TrainableAudioModel,
    /// Where its tensors lie.
    pub device: Device,
    /// Its folder.
    pub checkpoint: AudioCheckpoint,
    lora: Option<LoraConfig>,
    base_name: String,
}

impl BegunTraining {
    /// Opens the model; or makes one with random weights in the output folder, and opens that.
    ///
    /// # Errors
    /// There is no such model or adapter, they do not fit each other, a file is broken, or the device is not there.
    pub fn open(setup: &TrainingSetup, options: &RunOptions) -> Result<Self> {
        let device = setup.device.open()?;
        let (folder, base_name) = match setup.from_scratch {
            false => (setup.model.clone(), setup.model.clone()),
            true => {
                let folder = options.output.join(SCRATCH);
                let processor = setup.processor.as_deref();
                RandomModel { model: &setup.model, processor, seed: options.seed }.write(&folder)?;
                (folder.display().to_string(), SCRATCH.to_owned())
            }
        };
        let checkpoint = AudioCheckpoint::open(&folder, setup.processor.as_deref())?;
        let adapter = setup.adapter.as_deref().map(|name| checkpoint.adapter(name)).transpose()?;
        let lora = adapter.as_ref().map_or_else(|| setup.lora.clone(), |adapter| adapter.config.clone());
        let lora = setup.train.has_adapters().then_some(lora);
        let plan = TrainingPlan {
            adapters: lora.clone(),
            weights: setup.train.weights(),
            seed: options.seed,
            kept_layers: KEPT_LAYERS,
        };
        let model = TrainableAudioModel::open(&checkpoint, &plan, adapter.as_ref(), (&device, setup.dtype.dtype()))?;
        Ok(Self { model, device, checkpoint, lora, base_name })
    }

    /// What the model is called in cards and adapters; one with random weights by its folder in that of the run.
    #[must_use]
    pub fn base_name(&self) -> &str {
        &self.base_name
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
}
