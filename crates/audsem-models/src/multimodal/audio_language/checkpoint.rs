//! The folder of an audio language model, before its weights are read.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use candle_core::{DType, Device};
use serde_json::Value;
use tokenizers::Tokenizer;

use super::{AudioFamily, AudioLanguageConfig, features};
use crate::error::Result;
use crate::generate::GenerationConfig;
use crate::language::ends_of;
use crate::multimodal::processor::AudioProcessor;
use crate::nn::lora::Adapter;

/// Tokens that end an answer in both families: the end of a turn, and that of a text.
const ENDS: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];

/// A folder in the layout of the Hugging Face hub that holds an audio language model: its configuration, and where the rest
/// is. Inference and training open weights and processor through it, so that both agree on what the folder says.
#[derive(Debug, Clone)]
pub struct AudioCheckpoint {
    dir: ModelDir,
    processor_dir: ModelDir,
    json: Value,
    config: AudioLanguageConfig,
    notes: Vec<String>,
}

impl AudioCheckpoint {
    /// Opens a local folder, or a model of the hub by its id. Tokenizer, chat template and settings of features are read from
    /// the folder or id `processor` where one is given: exports of weights lack these files.
    ///
    /// # Errors
    /// There is no such model, or its configuration is that of another network, or asks for what is not supported.
    pub fn open(model: &str, processor: Option<&str>) -> Result<Self> {
        let dir = ModelDir::resolve(model, None)?;
        let processor_dir = match processor {
            Some(name) => ModelDir::resolve(name, None)?,
            None => dir.clone(),
        };
        let json: Value = dir.json("config.json")?;
        let (mut config, mut notes) = (AudioLanguageConfig::from_json(&json)?, Vec::new());
        features::configure(&mut config, &processor_dir, &mut notes)?;
        Ok(Self { dir, processor_dir, json, config, notes })
    }

    /// The folder of the weights.
    #[must_use]
    pub fn dir(&self) -> &ModelDir {
        &self.dir
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &AudioLanguageConfig {
        &self.config
    }

    /// The content of `config.json`.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> AudioFamily {
        self.config.family()
    }

    /// What defaults of the family stand for files that the folder lacks, one sentence each, for `run.json`.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The weights by the names of the network, whatever the files call them. [`Weights::finish`] is to be given
    /// [`AudioFamily::is_ignored`].
    ///
    /// # Errors
    /// There are none, or a file cannot be parsed.
    pub fn weights(&self, device: &Device, dtype: DType) -> Result<Weights> {
        Ok(Weights::open_renamed(&self.dir, device, dtype, |stored| self.family().tensor_name(stored))?)
    }

    /// An adapter of PEFT by the names of the network, whatever library has made it.
    ///
    /// # Errors
    /// There is no such folder, a file is missing or broken, or the adapter is not supported.
    pub fn adapter(&self, adapter: &str) -> Result<Adapter> {
        let adapter = Adapter::open(&ModelDir::resolve(adapter, None)?)?;
        adapter.translated(|stored| self.family().tensor_name(stored))
    }

    /// The processor. What defaults it takes is added to [`AudioCheckpoint::notes`].
    ///
    /// # Errors
    /// A file cannot be read, or the tokenizer is that of another network.
    pub fn processor(&mut self) -> Result<AudioProcessor> {
        AudioProcessor::open(&self.processor_dir, &self.config, &mut self.notes)
    }

    /// How the folder wants answers to be made: `generation_config.json`, and the tokens that end an answer by all files.
    ///
    /// # Errors
    /// A file cannot be read, or asks for something that is not supported.
    pub fn generation(&self, tokenizer: &Tokenizer) -> Result<GenerationConfig> {
        let settings = match self.dir.optional_json::<Value>("generation_config.json")? {
            Some(settings) => GenerationConfig::from_json(&settings.to_string())?,
            None => GenerationConfig::default(),
        };
        let mut eos_token_id = ends_of(&self.processor_dir, &self.json, tokenizer)?;
        let further = settings.eos_token_id.iter().copied();
        let known = ENDS.iter().filter_map(|end| tokenizer.token_to_id(end));
        for id in further.chain(known) {
            if !eos_token_id.contains(&id) {
                eos_token_id.push(id);
            }
        }
        Ok(GenerationConfig { eos_token_id, ..settings })
    }
}
