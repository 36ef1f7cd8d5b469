//! `export-dataset` and `export-config`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_core::instructions::{InstructionProfile, Wordings};
use clap::Args;

use super::rewards::RewardFlags;
use crate::data::TargetStyle;
use crate::error::Result;
use crate::hand_over::{Config, Engine, EngineLoss, RecipeConfig, TrainingKind, write_recipe};

/// Flags of `export-dataset`.
#[derive(Debug, Args)]
pub struct ExportDatasetArgs {
    /// Engine that reads the rows
    #[arg(long, value_enum)]
    pub engine: Engine,
    /// What the rows are for
    #[arg(long, value_enum, default_value = "grpo")]
    pub kind: TrainingKind,
    /// Run folders of `index`
    #[arg(short, long, value_name = "DIR", required = true, num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Form of the answers to be learned
    #[arg(long, value_enum, default_value = "think")]
    pub target: TargetStyle,
    /// Instruction in front of questions: none, think, semantic, or with a number of words as in think:25
    #[arg(long, value_name = "PROFILE", default_value = "think")]
    pub instruction: InstructionProfile,
    /// TOML file of the wordings of instructions [default: those that ship with the program]
    #[arg(long, value_name = "FILE")]
    pub wordings: Option<PathBuf>,
    /// System turn [default: that of the chat template]
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Where the engine will find the folder `audio` of the output [default: where it is written]
    #[arg(long, value_name = "DIR")]
    pub audio_root: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ExportDatasetArgs {
    /// What the flags ask for.
    ///
    /// # Errors
    /// The wordings cannot be read.
    pub fn config(&self) -> Result<Config> {
        Ok(Config {
            engine: self.engine,
            kind: self.kind,
            data: self.data.clone(),
            target: self.target,
            instruction: self.instruction,
            wordings: Wordings::open(self.wordings.as_deref())?,
            system: self.system.clone(),
            audio_root: self.audio_root.clone(),
        })
    }
}

/// Flags of `export-config`.
#[derive(Debug, Args)]
pub struct ExportConfigArgs {
    /// Engine that trains
    #[arg(long, value_enum)]
    pub engine: Engine,
    /// What it does
    #[arg(long, value_enum, default_value = "grpo")]
    pub kind: TrainingKind,
    /// Folder or hub id of the model, such as Qwen/Qwen2.5-Omni-7B or Qwen/Qwen3-Omni-30B-A3B-Instruct
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Adapter to begin with, which is the reference policy too (ms-swift)
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// Run folder of `export-dataset`
    #[arg(short, long, value_name = "DIR")]
    pub dataset: PathBuf,
    /// Run folder of `export-dataset` with held-out examples (verl-omni)
    #[arg(long, value_name = "DIR")]
    pub valid: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub rewards: RewardFlags,
    /// Loss
    #[arg(long, value_enum, default_value = "gspo")]
    pub loss: EngineLoss,
    /// Weight of the distance to the reference policy
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.01)]
    pub beta: f64,
    /// Folder of the recipe
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
}

impl ExportConfigArgs {
    /// Writes the recipe, and tells its files.
    ///
    /// # Errors
    /// The engine does not do this, a reward has no form in Python, or the folder cannot be written.
    pub fn text(&self, as_json: bool) -> Result<String> {
        let config = RecipeConfig {
            engine: self.engine,
            kind: self.kind,
            model: self.model.clone(),
            adapter: self.adapter.clone(),
            dataset: self.dataset.clone(),
            valid: self.valid.clone(),
            rewards: self.rewards.config()?,
            form: self.rewards.form(),
            loss: self.loss,
            beta: self.beta,
        };
        let files = write_recipe(&config, &self.output)?;
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        Ok(if as_json { format!("{}\n", serde_json::json!({ "files": names })) } else { names.join("\n") + "\n" })
    }
}
