//! Audio language models of any family: one way to open a folder, and to ask what it holds about sounds.

mod answering;
mod checkpoint;
mod family;
mod features;
mod local;
mod network;

use std::ops::ControlFlow;

use audsem_core::error::Error as CoreError;
use audsem_core::hub::ModelDir;
use audsem_core::run::ModelFingerprint;
use candle_core::{DType, Device};

pub use checkpoint::AudioCheckpoint;
pub use family::{AudioFamily, AudioLanguageConfig};
pub use local::LocalAudioModel;
pub use network::AudioLanguageNetwork;

use super::processor::{AudioProcessor, ChatTurn, TokenizedChat};
use crate::error::Result;
use crate::generate::{GenerationConfig, StopReason};
use crate::nn::lora::MergedWeights;
use answering::Prompted;

/// Questions that are answered at a time where nothing else is said, so that each weight is read once for all of them.
pub const USUAL_BATCH: usize = 8;

/// What is opened with a model, and where it runs.
#[derive(Debug, Clone)]
pub struct AudioModelOptions {
    /// The folder or id of a PEFT adapter that is merged into the weights.
    pub adapter: Option<String>,
    /// The folder or id that tokenizer, chat template and settings of features are read from; by default the model's own.
    pub processor: Option<String>,
    /// Where the network runs.
    pub device: Device,
    /// The type of its numbers.
    pub dtype: DType,
}

impl Default for AudioModelOptions {
    /// The model as it is, on the CPU in f32.
    fn default() -> Self {
        Self { adapter: None, processor: None, device: Device::Cpu, dtype: DType::F32 }
    }
}

/// A question about sounds.
#[derive(Debug, Clone)]
pub struct AudioQuestion {
    /// The conversation up to where the answer begins.
    pub turns: Vec<ChatTurn>,
    /// Its sounds: mono samples at [`super::SAMPLE_RATE_HZ`], full scale 1.0.
    pub sounds: Vec<Vec<f32>>,
    /// Seed of random draws.
    pub seed: u64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioAnswer {
    /// The text, without special tokens.
    pub text: String,
    /// The tokens, the one that ends the answer included.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: StopReason,
    /// For beams: the sum of log-probabilities over the length, to the power of the penalty.
    pub score: Option<f32>,
    /// Tokens of the question, with those of its sounds.
    pub prompt_tokens: usize,
}

/// A model that is ready to answer questions about sounds.
#[derive(Debug)]
pub struct AudioLanguageModel {
    network: AudioLanguageNetwork,
    processor: AudioProcessor,
    generation: GenerationConfig,
    fingerprint: ModelFingerprint,
    adapter_fingerprint: Option<ModelFingerprint>,
    notes: Vec<String>,
    dtype: DType,
    family: AudioFamily,
    longest_sound: usize,
}

impl AudioLanguageModel {
    /// Opens a local folder, or a model of the hub by its id: `config.json` says which network it is.
    ///
    /// # Errors
    /// There is no such model, a file is broken, tensors are missing or unused, or tokenizer or adapter are of another
    /// network.
    pub fn open(model: &str, options: &AudioModelOptions) -> Result<Self> {
        let mut checkpoint = AudioCheckpoint::open(model, options.processor.as_deref())?;
        let processor = checkpoint.processor()?;
        let weights = checkpoint.weights(&options.device, options.dtype)?;
        let network = match &options.adapter {
            None => AudioLanguageNetwork::load(&weights.var_builder(), checkpoint.config())?,
            Some(name) => {
                let merged = MergedWeights::new(weights.var_builder(), &checkpoint.adapter(name)?)?;
                let network = AudioLanguageNetwork::load(&merged.var_builder(), checkpoint.config())?;
                merged.finish()?;
                network
            }
        };
        weights.finish(|name| checkpoint.family().is_ignored(name))?;
        let generation = checkpoint.generation(processor.tokenizer())?;
        let adapter_fingerprint = options.adapter.as_deref().map(fingerprint_of_adapter).transpose()?;
        Ok(Self {
            network,
            processor,
            generation,
            fingerprint: checkpoint.dir().fingerprint()?,
            adapter_fingerprint,
            notes: checkpoint.notes().to_vec(),
            dtype: options.dtype,
            family: checkpoint.family(),
            longest_sound: checkpoint.config().longest_sound(),
        })
    }

    /// The family of the network.
    #[must_use]
    pub fn family(&self) -> AudioFamily {
        self.family
    }

    /// The samples of a sound that the processor gives to the network, at most.
    #[must_use]
    pub fn longest_sound(&self) -> usize {
        self.longest_sound
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &AudioLanguageNetwork {
        &self.network
    }

    /// The processor.
    #[must_use]
    pub fn processor(&self) -> &AudioProcessor {
        &self.processor
    }

    /// How the checkpoint itself wants answers to be made.
    #[must_use]
    pub fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// The likeliest token each time, up to so many, until one ends the answer.
    #[must_use]
    pub fn greedy(&self, max_new_tokens: usize) -> GenerationConfig {
        let eos_token_id = self.generation.eos_token_id.clone();
        GenerationConfig { max_new_tokens: Some(max_new_tokens), eos_token_id, ..GenerationConfig::default() }
    }

    /// What stands in `run.json` about the model without its adapter.
    #[must_use]
    pub fn fingerprint(&self) -> &ModelFingerprint {
        &self.fingerprint
    }

    /// What stands in `run.json` about the adapter, if there is one.
    #[must_use]
    pub fn adapter_fingerprint(&self) -> Option<&ModelFingerprint> {
        self.adapter_fingerprint.as_ref()
    }

    /// What defaults of the family stand for files that the folder lacks, one sentence each, for `run.json`.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The type of the network's numbers.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The tokens of a question, up to where the answer begins.
    ///
    /// # Errors
    /// As [`AudioProcessor::tokens`].
    pub fn prompt(&self, question: &AudioQuestion) -> Result<TokenizedChat> {
        let sounds: Vec<usize> = question.sounds.iter().map(Vec::len).collect();
        self.processor.tokens(&question.turns, &sounds, true)
    }

    /// Answers questions: for each `num_return_sequences` answers, the best first. A question's answers depend on it and its
    /// seed alone. A bound on tokens beyond what the network has positions for is lowered to that.
    ///
    /// # Errors
    /// A sound is too short or not finite, a question does not have as many marks as sounds or is too long, the
    /// configuration contradicts itself, or the process is asked to stop.
    pub fn answer(&self, questions: &[AudioQuestion], config: &GenerationConfig) -> Result<Vec<Vec<AudioAnswer>>> {
        let prompted = |number: usize| {
            let question = &questions[number];
            let (tokens, sounds) = (self.prompt(question)?.tokens, question.sounds.clone());
            Ok(Prompted { tokens, sounds, seed: question.seed, config: config.clone() })
        };
        let mut all: Vec<Vec<AudioAnswer>> = questions.iter().map(|_| Vec::new()).collect();
        let mut failed = None;
        let order: Vec<usize> = (0..questions.len()).collect();
        self.answer_each(&order, USUAL_BATCH, &prompted, &mut |number, answers| match answers {
            Ok(answers) => {
                all[number] = answers;
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        match failed {
            Some(error) => Err(error),
            None if all.iter().any(Vec::is_empty) => {
                Err(CoreError::Stopped { waiting_for: "the end of answers".to_owned() }.into())
            }
            None => Ok(all),
        }
    }
}

/// What stands in `run.json` about an adapter: its settings and its projections.
fn fingerprint_of_adapter(adapter: &str) -> Result<ModelFingerprint> {
    let dir = ModelDir::resolve(adapter, None)?;
    let files = ["adapter_model.safetensors", "adapter_config.json"].map(|name| dir.file(name));
    let mut fingerprint = ModelFingerprint { name: dir.name().to_owned(), revision: None, sha256: Vec::new() };
    for file in files {
        fingerprint.sha256.extend(ModelFingerprint::of_file(&file?)?.sha256);
    }
    Ok(fingerprint)
}
