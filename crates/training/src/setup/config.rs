//! Settings of a training's model and examples.

use audsem_core::device::{DeviceChoice, Precision};
use audsem_core::error::Error as CoreError;
use audsem_core::instructions::{InstructionProfile, Wordings};
use audsem_models::multimodal::trainable::TrainedWeights;
use audsem_models::nn::LoraConfig;
use serde::{Deserialize, Serialize};

use crate::data::{DataSource, PromptConfig, SoundConfig, TargetStyle, Turns};
use crate::error::Result;

/// Which weights are trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TrainedPart {
    /// Low-rank adapters beside layers; the model itself stays as it is
    #[default]
    Lora,
    /// The projector from the audio tower to the language model
    Projector,
    /// Adapters and the projector
    LoraProjector,
    /// All weights; for small models
    Full,
}

impl TrainedPart {
    /// Whether adapters are trained.
    #[must_use]
    pub fn has_adapters(self) -> bool {
        matches!(self, Self::Lora | Self::LoraProjector)
    }

    /// Weights of the model itself.
    #[must_use]
    pub fn weights(self) -> TrainedWeights {
        match self {
            Self::Lora => TrainedWeights::None,
            Self::Projector | Self::LoraProjector => TrainedWeights::Projector,
            Self::Full => TrainedWeights::All,
        }
    }
}

/// What becomes of the adapter that a training begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum AdapterUse {
    /// It is trained on
    #[default]
    Continue,
    /// It is merged into the model, and a new one is trained
    Merge,
}

/// The model and the examples of a training.
#[derive(Debug, Clone)]
pub struct TrainingSetup {
    /// Folder or hub id of the model to begin with.
    pub model: String,
    /// Folder or hub id of tokenizer and chat template, where the model's folder lacks them.
    pub processor: Option<String>,
    /// Folder or hub id of an adapter to begin with.
    pub adapter: Option<String>,
    /// What becomes of it.
    pub adapter_use: AdapterUse,
    /// Whether new random weights replace those of the model, of which configuration and tokenizer remain.
    pub from_scratch: bool,
    /// What is trained.
    pub train: TrainedPart,
    /// Settings of new adapters; an adapter that is trained on keeps its own.
    pub lora: LoraConfig,
    /// Folders to learn from.
    pub data: Vec<DataSource>,
    /// Folders to validate on.
    pub valid: Vec<DataSource>,
    /// Share of the videos of `data` that are split off to validate on, where `valid` is empty.
    pub valid_share: f64,
    /// Number by which examples are sorted, and the epochs in which they are.
    pub curriculum: Option<(String, usize)>,
    /// Form of the answers.
    pub target: TargetStyle,
    /// Instruction in front of questions.
    pub instruction: InstructionProfile,
    /// Its wordings.
    pub wordings: Wordings,
    /// System turn, where it is not that of the chat template.
    pub system: Option<String>,
    /// Most tokens of an example.
    pub max_tokens: usize,
    /// Whether the line break behind an answer is learned.
    pub trailing_newline: bool,
    /// Lengths of sounds.
    pub sound: SoundConfig,
    /// Where the model is trained.
    pub device: DeviceChoice,
    /// Number type of the weights that are not trained.
    pub dtype: Precision,
    /// Memory, in layers of the language model, for graphs that are kept instead of being computed twice; 1 costs no more
    /// than 0. The outcome does not depend on it.
    pub keep_layers: usize,
}

impl TrainingSetup {
    /// How examples become conversations of these turns.
    #[must_use]
    pub fn prompt(&self, turns: Turns) -> PromptConfig {
        PromptConfig {
            turns,
            instruction: self.instruction,
            wordings: self.wordings.clone(),
            system: self.system.clone(),
            max_tokens: self.max_tokens,
            trailing_newline: self.trailing_newline,
        }
    }

    /// Refuses what contradicts itself, before anything is read.
    ///
    /// # Errors
    /// Names the flag.
    pub fn check(&self) -> Result<()> {
        let refuse = |what: &str, problem: &str| {
            Err(CoreError::Config { what: what.to_owned(), problem: problem.to_owned() }.into())
        };
        if self.from_scratch && self.train != TrainedPart::Full {
            return refuse(
                "--from-scratch",
                "adapters would freeze random weights: all of them are to be trained\nhint: add --train full",
            );
        }
        if self.adapter.is_some() && self.adapter_use == AdapterUse::Continue && !self.train.has_adapters() {
            return refuse("--adapter", "an adapter is trained on with --train lora or lora-projector");
        }
        if self.adapter.is_some() && self.from_scratch {
            return refuse("--adapter", "there is no adapter of random weights\nhint: leave --from-scratch out");
        }
        if self.train != TrainedPart::Lora && self.dtype != Precision::F32 {
            return refuse(
                "--dtype",
                "weights of the model that are trained have to be f32: in fewer bits small updates are lost\n\
                 hint: train adapters alone with --train lora, or leave --dtype out",
            );
        }
        Ok(())
    }
}
