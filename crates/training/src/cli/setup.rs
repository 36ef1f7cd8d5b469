//! Flags of the model and the examples of a training.

use std::path::PathBuf;

use audsem_core::device::{DeviceChoice, Precision};
use audsem_core::instructions::{InstructionProfile, Wordings};
use clap::Args;

use super::lora::LoraArgs;
use super::numbers::{positive, share};
use crate::data::{DataSource, LongSound, SoundConfig, TargetStyle};
use crate::error::Result;
use crate::setup::{AdapterUse, TrainedPart, TrainingSetup};

/// The model and the examples of a training.
#[derive(Debug, Clone, Args)]
pub struct SetupArgs {
    /// Model to begin with: a folder, or an id on the Hugging Face hub
    #[arg(long, value_name = "ID_OR_PATH")]
    pub model: String,
    /// Tokenizer and chat template, where the model's folder lacks them: a folder or hub id
    #[arg(long, value_name = "ID_OR_PATH")]
    pub processor: Option<String>,
    /// What is trained
    #[arg(long, value_enum, default_value = "lora")]
    pub train: TrainedPart,
    /// Adapter to begin with, which is trained on with its own settings: a PEFT folder, or a hub id
    #[arg(long, value_name = "ID_OR_PATH")]
    pub adapter: Option<String>,
    /// Folder of training shards, or of their `index`, with its weight: 2 goes through its examples twice in an epoch,
    /// 0.5 through half of them. May be given several times
    #[arg(long, value_name = "DIR[=WEIGHT]", required = true, num_args = 1..)]
    pub data: Vec<DataSource>,
    /// Folder of shards, or of their `index`, to validate on; no clip of it may be in the training data
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub valid: Vec<DataSource>,
    /// Share of the videos of --data that are split off to validate on, where --valid names nothing
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub valid_share: f64,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub examples: ExampleArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub lora: LoraArgs,
    /// Device to train on: `auto`, `cpu` or `cuda:N`
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Training")]
    pub device: DeviceChoice,
    /// Number type of weights that are not trained
    #[arg(long, value_enum, default_value_t = Precision::F32, help_heading = "Training")]
    pub dtype: Precision,
    /// Memory for what layers of the language model need for their gradients, in layers: what it has no room for is computed
    /// twice. More is faster, 1 is least, all layers are most, and what is learned is the same
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Training")]
    pub keep_layers: usize,
}

/// How examples become sequences.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Examples")]
pub struct ExampleArgs {
    /// Sort examples by a number, smallest first: duration_ms, text_bytes, or a numeric field of their JSON; a leading
    /// `-` puts the largest first
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    pub curriculum: Option<String>,
    /// Epochs that are sorted by --curriculum
    #[arg(long, value_name = "N", default_value_t = 1, requires = "curriculum")]
    pub curriculum_epochs: usize,
    /// Form of the answers
    #[arg(long, value_enum, default_value = "think")]
    pub target: TargetStyle,
    /// Instruction in front of questions: none, think, semantic, or one of the latter with a number of words of thinking as
    /// in think:25
    #[arg(long, value_name = "PROFILE", default_value = "none")]
    pub instruction: InstructionProfile,
    /// Wordings of the instructions, where they are not the built-in ones
    #[arg(long, value_name = "FILE.toml")]
    pub wordings: Option<PathBuf>,
    /// System turn of the conversations [default: that of the chat template]
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Leave out examples with more tokens, those of the sound included, or than the model has positions for; examples are
    /// never cut
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub max_tokens: usize,
    /// Learn the line break behind the end of an answer, as chat templates write it
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub train_on_trailing_newline: bool,
    /// Leave out sounds with fewer samples at 16 kHz
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub min_samples: usize,
    /// Longest sound in seconds; never more than the model hears
    #[arg(long, value_name = "S", default_value_t = 30.0, value_parser = positive)]
    pub max_audio_s: f64,
    /// What becomes of longer sounds
    #[arg(long, value_enum, default_value = "crop")]
    pub long_audio: LongSound,
}

impl SetupArgs {
    /// What the flags ask for.
    ///
    /// # Errors
    /// The file of wordings cannot be used.
    pub fn setup(&self) -> Result<TrainingSetup> {
        let examples = &self.examples;
        Ok(TrainingSetup {
            model: self.model.clone(),
            processor: self.processor.clone(),
            adapter: self.adapter.clone(),
            adapter_use: AdapterUse::Continue,
            from_scratch: false,
            train: self.train,
            lora: self.lora.config(),
            data: self.data.clone(),
            valid: self.valid.clone(),
            valid_share: self.valid_share,
            curriculum: examples.curriculum.clone().map(|column| (column, examples.curriculum_epochs)),
            target: examples.target,
            instruction: examples.instruction,
            wordings: Wordings::open(examples.wordings.as_deref())?,
            system: examples.system.clone(),
            max_tokens: examples.max_tokens,
            trailing_newline: examples.train_on_trailing_newline,
            sound: SoundConfig {
                min_samples: examples.min_samples,
                max_samples: (examples.max_audio_s * 16_000.0).round() as usize,
                long: examples.long_audio,
            },
            device: self.device,
            dtype: self.dtype,
            keep_layers: self.keep_layers,
        })
    }
}
