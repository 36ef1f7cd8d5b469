//! What decides the outcome of a training, as hashes.

use audsem_core::device::Precision;
use audsem_core::hub::ModelDir;
use audsem_core::input::is_file;
use audsem_core::instructions::InstructionProfile;
use audsem_core::run::{FileFingerprint, Fingerprint, ModelFingerprint, Reads};
use audsem_core::tar::list_tars;
use audsem_models::nn::LoraConfig;
use serde::Serialize;

use super::config::{AdapterUse, TrainedPart, TrainingSetup};
use crate::data::{DataSource, SoundConfig, TargetStyle};
use crate::error::Result;

/// Files of a model beside its weights on which a training depends.
const SIDE_FILES: [&str; 12] = [
    "config.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "generation_config.json",
];

/// Files of an adapter.
const ADAPTER_FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

/// The part of a training's configuration that decides its outcome. Paths are not part of it, their content is.
#[derive(Debug, Clone, Serialize)]
pub struct HashedSetup {
    model_sha256: Vec<String>,
    processor_sha256: Option<Vec<String>>,
    adapter_sha256: Option<Vec<String>>,
    adapter_use: AdapterUse,
    from_scratch: bool,
    train: TrainedPart,
    lora: Option<LoraConfig>,
    /// Content and weight of each folder.
    data: Vec<(String, f64)>,
    valid: Vec<String>,
    valid_share: f64,
    curriculum: Option<(String, usize)>,
    target: TargetStyle,
    instruction: InstructionProfile,
    wordings_sha256: String,
    system: Option<String>,
    max_tokens: usize,
    trailing_newline: bool,
    sound: SoundConfig,
    dtype: Precision,
}

/// The content of what a training reads.
#[derive(Debug)]
pub struct Inputs {
    /// Name and hashes of the model; of one whose weights are replaced by random ones, the files beside these.
    pub model: ModelFingerprint,
    processor: Option<Vec<String>>,
    adapter: Option<Vec<String>>,
    data: Vec<Reads>,
    valid: Vec<Reads>,
}

impl Inputs {
    /// Reads the content of all that a setup names.
    ///
    /// # Errors
    /// There is no such model, adapter or folder, or a file cannot be read.
    pub fn read(setup: &TrainingSetup) -> Result<Self> {
        let all = |sources: &[DataSource]| sources.iter().map(content_of).collect::<Result<Vec<Reads>>>();
        let dir = ModelDir::resolve(&setup.model, None)?;
        let model = match setup.from_scratch {
            false => dir.fingerprint()?,
            true => ModelFingerprint {
                name: dir.name().to_owned(),
                revision: None,
                sha256: hashes(&setup.model, &SIDE_FILES)?,
            },
        };
        Ok(Self {
            model,
            processor: setup.processor.as_deref().map(|name| hashes(name, &SIDE_FILES)).transpose()?,
            adapter: setup.adapter.as_deref().map(|name| hashes(name, &ADAPTER_FILES)).transpose()?,
            data: all(&setup.data)?,
            valid: all(&setup.valid)?,
        })
    }

    /// Everything that the shard of a training reads.
    #[must_use]
    pub fn fingerprint(&self) -> Reads {
        self.data.iter().chain(&self.valid).fold(Fingerprint::new(), |all, reads| all.with(reads)).finish()
    }

    /// What of a setup decides the outcome.
    #[must_use]
    pub fn hashed(&self, setup: &TrainingSetup) -> HashedSetup {
        let weights = setup.data.iter().map(|source| source.weight);
        HashedSetup {
            model_sha256: self.model.sha256.clone(),
            processor_sha256: self.processor.clone(),
            adapter_sha256: self.adapter.clone(),
            adapter_use: setup.adapter_use,
            from_scratch: setup.from_scratch,
            train: setup.train,
            lora: setup.train.has_adapters().then(|| setup.lora.clone()),
            data: self.data.iter().map(|reads| reads.to_string()).zip(weights).collect(),
            valid: self.valid.iter().map(|reads| reads.to_string()).collect(),
            valid_share: setup.valid_share,
            curriculum: setup.curriculum.clone(),
            target: setup.target,
            instruction: setup.instruction,
            wordings_sha256: setup.wordings.sha256().to_owned(),
            system: setup.system.clone(),
            max_tokens: setup.max_tokens,
            trailing_newline: setup.trailing_newline,
            sound: setup.sound,
            dtype: setup.dtype,
        }
    }
}

/// The content of a folder of shards, or of their manifest.
fn content_of(source: &DataSource) -> Result<Reads> {
    let manifest = source.path.join("manifest.json");
    if is_file(&manifest)? {
        return Ok(Fingerprint::new().with_file(&FileFingerprint::of(&manifest)?).finish());
    }
    let tars = list_tars(&source.path)?;
    Ok(tars.iter().fold(Fingerprint::new(), |all, tar| all.with(&tar.fingerprint)).finish())
}

/// Hashes of those of these files that are there.
fn hashes(name: &str, files: &[&str]) -> Result<Vec<String>> {
    Ok(ModelDir::resolve(name, None)?.hashes_of(files.iter().copied())?)
}
