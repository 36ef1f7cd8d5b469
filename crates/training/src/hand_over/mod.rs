//! Hand-over to other engines for runs on many GPUs: `export-dataset` writes their rows, `export-config` a recipe with our
//! rewards.
//!
//! Engines: [ms-swift](https://github.com/modelscope/ms-swift) 4 and verl-omni 0.2, whose models include Qwen3-Omni. Rows say the
//! same as the conversations of this program: the same instruction, the sound before the question.

mod dataset;
mod recipe;
pub mod rows;

pub use dataset::{Config, HandOverFault, run};
pub use recipe::{EngineLoss, RecipeConfig, write_recipe};
pub use rows::VerlRow;

use serde::{Deserialize, Serialize};

/// The engine that reads what is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// ms-swift: JSON lines
    MsSwift,
    /// verl-omni: Parquet, for reinforcement learning alone
    VerlOmni,
}

/// What the engine does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TrainingKind {
    /// Supervised fine-tuning: rows hold the answers to be learned
    Sft,
    /// Reinforcement learning: rows hold what rewards compare with
    Grpo,
}
