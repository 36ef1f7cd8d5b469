//! Settings of `grpo`.

use std::path::PathBuf;
use std::time::Duration;

use audsem_core::error::Error as CoreError;

use super::advantage::AdvantageScale;
use super::rollout::SamplingConfig;
use super::training::GrpoLoopConfig;
use crate::error::Result;
use crate::rewards::{AnswerForm, RewardConfig};
use crate::setup::{TrainedPart, TrainingSetup};

/// Who writes completions.
#[derive(Debug, Clone)]
pub enum RolloutChoice {
    /// This process; so many completions at a time.
    Local {
        /// Most completions at a time.
        rows: usize,
    },
    /// A vLLM server.
    Server(ServerChoice),
}

impl RolloutChoice {
    /// What a run is recorded with: another program writes other completions, wherever it runs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Local { .. } => "local",
            Self::Server(_) => "server",
        }
    }
}

/// A vLLM server that hears and takes adapters at run time.
#[derive(Debug, Clone)]
pub struct ServerChoice {
    /// Address up to where `/chat/completions` follows.
    pub url: String,
    /// Requests at a time.
    pub concurrency: usize,
    /// Longest time for an answer.
    pub timeout: Duration,
    /// Retries of a request.
    pub retries: u32,
    /// Name of the environment variable with the key.
    pub api_key_env: String,
    /// Folder of adapters, which the server reads too; by default below the run folder.
    pub folder: Option<PathBuf>,
}

/// What `grpo` is asked for.
#[derive(Debug, Clone)]
pub struct Config {
    /// Model, adapter and examples, as for supervised training.
    pub setup: TrainingSetup,
    /// The rewards.
    pub rewards: RewardConfig,
    /// How tokens are drawn.
    pub sampling: SamplingConfig,
    /// By what differences of rewards are divided.
    pub scale: AdvantageScale,
    /// The loop.
    pub training: GrpoLoopConfig,
    /// Checkpoints that are kept, beside the best.
    pub keep_last: usize,
    /// Who writes completions.
    pub rollouts: RolloutChoice,
}

impl Config {
    /// The form of completions.
    #[must_use]
    pub fn form(&self) -> AnswerForm {
        AnswerForm::new(self.setup.target, self.setup.instruction)
    }

    /// Refuses what contradicts itself, before anything is read.
    pub(super) fn check(&self) -> Result<()> {
        self.setup.check()?;
        let refuse = |what: &str, problem: &str| {
            Err(CoreError::Config { what: what.to_owned(), problem: problem.to_owned() }.into())
        };
        if self.training.generations < 2 {
            return refuse("--num-generations", "completions are compared with others of their question: at least 2");
        }
        let objective = self.training.objective;
        if !(0.0..1.0).contains(&objective.epsilon_low) || objective.epsilon_high < 0.0 {
            return refuse("--epsilon", "ratios are clipped between 1 - epsilon and 1 + epsilon-high, both above 0");
        }
        if objective.delta.is_some_and(|delta| delta <= 1.0 + objective.epsilon_high) {
            return refuse("--delta", "it limits ratios that clipping leaves, so it must be above 1 + epsilon-high");
        }
        if matches!(self.rollouts, RolloutChoice::Server(_)) && self.setup.train != TrainedPart::Lora {
            return refuse(
                "--rollout-server",
                "servers take adapters of the language model and nothing else\n\
                 hint: add --train lora --lora-scope language, or write completions in this process",
            );
        }
        Ok(())
    }
}
