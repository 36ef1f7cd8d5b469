//! Flags of `sft`.

use audsem_core::cli::{GlobalArgs, RunArgs};
use audsem_core::device::DeviceChoice;
use audsem_core::run::Summary;
use audsem_models::nn::limit_threads;
use clap::Args;

use super::setup::SetupArgs;
use super::training::{BatchArgs, SavingArgs, UpdateArgs};
use crate::error::Result;
use crate::setup::TrainingSetup;
use crate::sft::{Config, LoopConfig, LossNormalizer};

/// Flags of `sft`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Before the first update the log-probabilities of answers with their sounds are compared with those with silence; a model
that does not hear is refused. The same command continues an interrupted training with bit-identical results. Metrics are in
metrics.jsonl, for TensorBoard (`tensorboard --logdir OUT`) and in report.html; while the training runs they are below
OUT/live. `audsem-training export` makes a model folder of the result.")]
pub struct SftArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub setup: SetupArgs,
    /// Begin with random weights and a token for each tag of answers; the model gives configuration and tokenizer
    #[arg(long)]
    pub from_scratch: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub batching: BatchArgs,
    /// Batches of one update
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Training")]
    pub accumulation: u32,
    /// Further devices, with a copy of the model each: the batches of an update are shared out among all, so that it has as
    /// many times --accumulation
    #[arg(long, value_name = "DEVICE", num_args = 1.., help_heading = "Training")]
    pub copies_on: Vec<DeviceChoice>,
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Training")]
    pub epochs: usize,
    /// End after this many updates, whatever --epochs says
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub max_steps: Option<usize>,
    /// What the loss is a mean over
    #[arg(long, value_enum, default_value = "tokens", help_heading = "Training")]
    pub loss_normalizer: LossNormalizer,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub update: UpdateArgs,
    /// Validations one after the other without a lower loss, after which the training ends [default: none]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub patience: Option<usize>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub saving: SavingArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl SftArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, global: &GlobalArgs) -> Result<Summary> {
        let options = self.run.options(global)?;
        limit_threads(options.workers);
        crate::sft::run(&self.config(options.seed)?, &options)
    }

    /// What the flags ask for.
    ///
    /// # Errors
    /// The file of wordings cannot be used.
    pub fn config(&self, seed: u64) -> Result<Config> {
        let setup = TrainingSetup { from_scratch: self.from_scratch, ..self.setup.setup()? };
        let training = LoopConfig {
            epochs: self.epochs,
            max_steps: self.max_steps,
            batches: self.batching.config(),
            accumulation: self.accumulation as usize,
            normalizer: self.loss_normalizer,
            update: self.update.config(),
            log_steps: self.saving.log_steps,
            eval_steps: self.saving.eval_steps,
            save_steps: self.saving.save_steps,
            patience: self.patience,
            seed,
        };
        Ok(Config { setup, training, keep_last: self.saving.keep_last, copies: self.copies_on.clone() })
    }
}
