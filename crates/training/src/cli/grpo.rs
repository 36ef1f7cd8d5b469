//! Flags of `grpo`.

use std::path::PathBuf;
use std::time::Duration;

use audsem_core::cli::{GlobalArgs, RunArgs};
use audsem_core::run::Summary;
use audsem_models::nn::limit_threads;
use clap::Args;

use super::numbers::{positive, share, weight};
use super::setup::SetupArgs;
use super::training::{SavingArgs, UpdateArgs};
use crate::error::Result;
use crate::grpo::advantage::AdvantageScale;
use crate::grpo::mismatch::{Mismatch, RatioLevel, RatioLimit};
use crate::grpo::objective::{KlEstimator, LossKind, Objective};
use crate::grpo::rollout::SamplingConfig;
use crate::grpo::schedule::KlWeight;
use crate::grpo::{Config, GrpoLoopConfig, RolloutChoice, RowFilter, ServerChoice};
use crate::rewards::{AnswerForm, RewardConfig};
use crate::setup::{AdapterUse, TrainingSetup};

/// Flags of `grpo`.
#[derive(Debug, Clone, Args)]
#[command(
    mut_arg("lr", |lr| lr.default_value("1e-5")),
    mut_arg("log_steps", |steps| steps.default_value("1")),
    after_help = "\
Each step draws --num-generations completions of --prompts questions about sounds, compares their rewards within each
question, and updates the weights. The reference policy is what the training begins with: the adapter, where one is continued
or merged. The same command continues an interrupted training with bit-identical results; a server repeats itself less well.
The published training of all weights had a learning rate of 1e-6; adapters take about ten times as much."
)]
pub struct GrpoArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub setup: SetupArgs,
    /// What becomes of --adapter
    #[arg(long, value_enum, default_value = "continue", requires = "adapter")]
    pub adapter_use: AdapterUse,
    /// TOML file of the rewards and their weights [default: accuracy, and format where answers have tags]
    #[arg(long, value_name = "FILE")]
    pub rewards: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub groups: GroupArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub sampling: SamplingArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub objective: ObjectiveArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub server: RolloutServerArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub update: UpdateArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub saving: SavingArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

/// What a step consists of.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
pub struct GroupArgs {
    /// Prompts of a step
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub prompts: u32,
    /// Completions of each prompt
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub num_generations: u32,
    /// Updates that the completions of a step are used for
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub iterations: u32,
    /// Most completions in one pass, forward or backward
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_rows: u32,
    /// Passes over the prompts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub epochs: usize,
    /// End after this many steps, whatever --epochs says
    #[arg(long, value_name = "N")]
    pub max_steps: Option<usize>,
}

/// How completions are drawn.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Completions")]
pub struct SamplingArgs {
    /// Divisor of logits
    #[arg(long, value_name = "X", default_value_t = 0.9, value_parser = positive)]
    pub temperature: f64,
    /// Draw from this many of the likeliest tokens; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub top_k: usize,
    /// Draw from the fewest likeliest tokens that have this much probability together
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
    pub top_p: f64,
    /// Draw from tokens with at least this share of the likeliest one's probability [default: all]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub min_p: Option<f64>,
    /// Divisor of tokens that occur already
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = positive)]
    pub repetition_penalty: f64,
    /// Most tokens of a completion
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_completion_tokens: u32,
}

/// The loss.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Loss")]
pub struct ObjectiveArgs {
    /// How the loss is averaged
    #[arg(long, value_enum, default_value = "grpo")]
    pub loss: LossKind,
    /// By what differences of rewards are divided
    #[arg(long, value_enum, default_value = "group")]
    pub scale_rewards: AdvantageScale,
    /// Clip ratios this far below 1, and above unless --epsilon-high is given [default: 0.2; 0.0003 for gspo]
    #[arg(long, value_name = "X", value_parser = weight)]
    pub epsilon: Option<f64>,
    /// Clip ratios this far above 1 [default: as --epsilon; 0.0004 for gspo]
    #[arg(long, value_name = "X", value_parser = weight)]
    pub epsilon_high: Option<f64>,
    /// Largest ratio that counts where the clipping range does not limit it [default: none]
    #[arg(long, value_name = "X", value_parser = positive)]
    pub delta: Option<f64>,
    /// Weight of the distance to the reference policy; 0 leaves it out
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.01, value_parser = weight)]
    pub beta: f64,
    /// Weight at the end, after --beta-steps [default: as --beta]
    #[arg(long, value_name = "WEIGHT", value_parser = weight, requires = "beta_steps")]
    pub beta_end: Option<f64>,
    /// Steps over which the weight changes to --beta-end
    #[arg(long, value_name = "N", requires = "beta_end")]
    pub beta_steps: Option<usize>,
    /// How the distance is estimated
    #[arg(long, value_enum, default_value = "k3")]
    pub kl: KlEstimator,
    /// Multiply the estimate by the ratio, because completions come from the old policy
    #[arg(long)]
    pub correct_kl: bool,
    /// Leave out groups whose rewards are all equal, instead of counting them in the mean
    #[arg(long)]
    pub skip_flat_groups: bool,
    /// Learn nothing from completions that were cut at their maximum length
    #[arg(long)]
    pub mask_truncated: bool,
}

/// A server that writes completions.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server for completions")]
pub struct RolloutServerArgs {
    /// vLLM server that hears and takes adapters at run time, e.g. http://127.0.0.1:8000/v1; start it with --enable-lora,
    /// --logprobs-mode processed_logprobs and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True [default: this process writes]
    #[arg(long, value_name = "URL")]
    pub rollout_server: Option<String>,
    /// Concurrent requests
    #[arg(long, value_name = "N", default_value_t = 16, requires = "rollout_server")]
    pub rollout_concurrency: usize,
    /// Timeout of a request, in seconds
    #[arg(long, value_name = "S", default_value_t = 600.0, value_parser = positive, requires = "rollout_server")]
    pub rollout_timeout: f64,
    /// Retries of a request
    #[arg(long, value_name = "N", default_value_t = 6, requires = "rollout_server")]
    pub rollout_retries: u32,
    /// Environment variable with the API key
    #[arg(long, value_name = "VARIABLE", default_value = "OPENAI_API_KEY", requires = "rollout_server")]
    pub rollout_api_key_env: String,
    /// Folder of adapters that the server reads under the same path [default: OUTPUT/serving]
    #[arg(long, value_name = "DIR", requires = "rollout_server")]
    pub rollout_folder: Option<PathBuf>,
    /// What the ratio of the trainer's and the server's probabilities is of, by which completions are corrected
    #[arg(long, value_enum, default_value = "sequence", requires = "rollout_server")]
    pub mismatch_level: RatioLevel,
    /// What happens to a ratio above --mismatch-cap
    #[arg(long, value_enum, default_value = "mask", requires = "rollout_server")]
    pub mismatch_limit: RatioLimit,
    /// Largest ratio
    #[arg(long, value_name = "X", default_value_t = 3.0, value_parser = positive, requires = "rollout_server")]
    pub mismatch_cap: f64,
}

impl GrpoArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<Summary> {
        let options = self.run.options(global)?;
        limit_threads(options.workers);
        crate::grpo::run(&self.config(options.seed)?, &options)
    }

    /// What the flags ask for.
    ///
    /// # Errors
    /// The rewards or the wordings cannot be read.
    pub fn config(&self, seed: u64) -> Result<Config> {
        let setup = TrainingSetup { adapter_use: self.adapter_use, ..self.setup.setup()? };
        let rewards = match &self.rewards {
            Some(path) => RewardConfig::open(path)?,
            None => RewardConfig::usual(AnswerForm::new(setup.target, setup.instruction)),
        };
        Ok(Config {
            setup,
            rewards,
            sampling: self.sampling.config(),
            scale: self.objective.scale_rewards,
            training: self.training(seed),
            keep_last: self.saving.keep_last,
            rollouts: self.server.choice(self.groups.batch_rows as usize),
        })
    }

    fn training(&self, seed: u64) -> GrpoLoopConfig {
        let objective = &self.objective;
        GrpoLoopConfig {
            epochs: self.groups.epochs,
            max_steps: self.groups.max_steps,
            prompts: self.groups.prompts as usize,
            generations: self.groups.num_generations as usize,
            iterations: self.groups.iterations as usize,
            batch_rows: self.groups.batch_rows as usize,
            temperature: self.sampling.config().temperature,
            objective: objective.config(self.sampling.max_completion_tokens as usize, self.server.mismatch()),
            beta: objective.beta(),
            filter: RowFilter {
                skip_flat_groups: objective.skip_flat_groups,
                mask_truncated: objective.mask_truncated,
            },
            update: self.update.config(),
            log_steps: self.saving.log_steps,
            eval_steps: self.saving.eval_steps,
            save_steps: self.saving.save_steps,
            seed,
        }
    }
}

impl SamplingArgs {
    #[expect(clippy::cast_possible_truncation, reason = "networks compute with 32 bits")]
    fn config(&self) -> SamplingConfig {
        SamplingConfig {
            temperature: self.temperature as f32,
            top_k: self.top_k,
            top_p: self.top_p as f32,
            min_p: self.min_p.map(|min_p| min_p as f32),
            repetition_penalty: self.repetition_penalty as f32,
            max_completion_tokens: self.max_completion_tokens as usize,
        }
    }
}

impl ObjectiveArgs {
    fn config(&self, max_completion_tokens: usize, mismatch: Option<Mismatch>) -> Objective {
        let (low, high) = self.loss.usual_clipping();
        Objective {
            loss: self.loss,
            epsilon_low: self.epsilon.unwrap_or(low),
            epsilon_high: self.epsilon_high.or(self.epsilon).unwrap_or(high),
            delta: self.delta,
            kl: self.kl,
            corrects_kl: self.correct_kl,
            mismatch,
            max_completion_tokens,
        }
    }

    fn beta(&self) -> KlWeight {
        match (self.beta_end, self.beta_steps) {
            (Some(end), Some(steps)) => KlWeight { start: self.beta, end, steps },
            _ => KlWeight::constant(self.beta),
        }
    }
}

impl RolloutServerArgs {
    /// The correction, where another program draws.
    fn mismatch(&self) -> Option<Mismatch> {
        let Self { mismatch_level: level, mismatch_limit: limit, mismatch_cap: cap, .. } = *self;
        self.rollout_server.as_ref().map(|_| Mismatch { level, limit, cap })
    }

    fn choice(&self, rows: usize) -> RolloutChoice {
        match &self.rollout_server {
            None => RolloutChoice::Local { rows },
            Some(url) => RolloutChoice::Server(ServerChoice {
                url: url.clone(),
                concurrency: self.rollout_concurrency,
                timeout: Duration::try_from_secs_f64(self.rollout_timeout).unwrap_or(Duration::MAX),
                retries: self.rollout_retries,
                api_key_env: self.rollout_api_key_env.clone(),
                folder: self.rollout_folder.clone(),
            }),
        }
    }
}
