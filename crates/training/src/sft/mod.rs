//! `sft`: supervised fine-tuning of an audio language model on questions and answers about sounds.
//!
//! ```text
//! out/final/                 the adapter (PEFT), or the trained tensors; `export` makes a model folder of it
//! out/metrics.jsonl          loss, accuracy, norms, counts; out/events.out.tfevents.*: the same for TensorBoard
//! out/report.html            the curves
//! out/checkpoints/step-N/    from which the same command continues with bit-identical results
//! out/index/                 manifests of the folders of shards
//! out/begin/                 the model with random weights, where training begins from scratch
//! out/rejects-train-*.jsonl  examples that were left out, and why
//! out/live/                  metrics while the training runs
//! ```
//!
//! The loop ([`FineTuning`]) takes any [`TrainableModel`].
//!
//! [`TrainableModel`]: audsem_models::train::TrainableModel

mod fine_tuning;
mod hearing;
mod loss;
mod outputs;
mod ranks;
mod state;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::Arc;

use audsem_core::device::DeviceChoice;
use audsem_core::run::{ReadBack, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary};
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use serde::Serialize;
use serde_json::{Map, Value};

pub use fine_tuning::{FineTuning, LoopConfig, TrainingEvent};
pub use hearing::{HearingProof, prove_hearing};
pub use loss::{LossNormalizer, TokenSums};
pub use state::LoopState;
pub use validate::Validation;

use crate::card;
use crate::checkpoint::Checkpoints;
use crate::data::{DataFault, Turns};
use crate::error::Result;
use crate::metrics::LiveMetrics;
use crate::reduce::AllReduce;
use crate::setup::{
    BegunTraining, HashedSetup, Inputs, TrainingData, TrainingSetup, count_examples, in_training_thread, purpose,
};
use crate::watch::Watcher;
use ranks::with_copies;

/// What `sft` is asked for.
#[derive(Debug, Clone)]
pub struct Config {
    /// Model and examples.
    pub setup: TrainingSetup,
    /// The loop.
    pub training: LoopConfig,
    /// Checkpoints that are kept, beside the best.
    pub keep_last: usize,
    /// Further devices with a copy of the model each, which share out the batches of each update.
    pub copies: Vec<DeviceChoice>,
}

/// Numbers that are shown of an update, and of a validation.
const SHOWN: [&str; 4] = ["loss", "mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy"];

/// What decides the outcome.
#[derive(Debug, Clone, Serialize)]
struct HashedConfig {
    setup: HashedSetup,
    training: LoopConfig,
    keep_last: usize,
    ranks: usize,
}

impl RunConfig for HashedConfig {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "sft";
}

/// Trains, and fills the run folder of `options`.
///
/// # Errors
/// The model or the data cannot be used, the training diverges, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary> {
    config.setup.check()?;
    // Refuses a model that is none before anything else.
    AudioCheckpoint::open(&config.setup.model, config.setup.processor.as_deref())?;
    let inputs = Inputs::read(&config.setup)?;
    let record = HashedConfig {
        setup: inputs.hashed(&config.setup),
        training: config.training,
        keep_last: config.keep_last,
        ranks: 1 + config.copies.len(),
    };
    let mut run = Run::open(options, RunSpec::new(&record).models(vec![inputs.model.clone()]))?;
    let checkpoints = Checkpoints::new(run.folder(), purpose(&record, options), config.keep_last);
    if options.fresh && !options.dry_run {
        checkpoints.clear()?;
    }
    let step = Step { name: "train", unit: "examples", physical: "tokens" };
    let plan = [Shard { name: "00000".to_owned(), fingerprint: inputs.fingerprint(), work: () }];
    run.must_keep(step).explain(DataFault::ALL);
    let train = |(): &(), out: &mut ShardOutput| match options.dry_run {
        true => count_examples(&config.setup, options, out),
        false => in_training_thread(|| fine_tune(config, options, &checkpoints, out)),
    };
    let trained = run.execute_via(&ReadBack(card::read_results), step, &plan, train)?;
    if trained.complete && !options.dry_run {
        LiveMetrics::remove(run.folder())?;
    }
    let mut summary = run.finish()?;
    for (name, value) in trained.values.into_iter().flatten() {
        summary = summary.with_result(&name, value);
    }
    Ok(summary)
}

fn fine_tune(
    config: &Config,
    options: &RunOptions,
    checkpoints: &Checkpoints,
    out: &mut ShardOutput,
) -> Result<Map<String, Value>, ShardError> {
    let setup = &config.setup;
    let begun = BegunTraining::open(setup, options)?;
    let mut checkpoint = begun.checkpoint.clone();
    let data = TrainingData::open(setup, setup.prompt(Turns::Answered(setup.target)), &mut checkpoint, options)?;
    checkpoint.notes().iter().for_each(|note| tracing::info!("{note}"));
    let job = Job { config, options, checkpoints, data: &data };
    out.on_stop("the training stops at its next update, and the next run continues there");
    let mut watcher = Watcher::new(options, "update", &SHOWN);
    let mut watch = |event: TrainingEvent<'_>| watcher.see(event, out);
    let copy = |device: DeviceChoice, rank: &dyn AllReduce| {
        let copied = TrainingSetup { device, ..setup.clone() };
        job.train(&BegunTraining::open(&copied, options)?, rank, &mut |_| Ok(())).map(drop)
    };
    let state = with_copies(setup.device, &config.copies, &copy, |rank| job.train(&begun, rank, &mut watch))?;
    let state = state.ok_or(ShardError::Stopped)?;
    outputs::Trained { config, begun: &begun, data: &data, state: &state, checkpoints }.write(out)
}

/// What all copies of the model are trained on.
struct Job<'a> {
    config: &'a Config,
    options: &'a RunOptions,
    checkpoints: &'a Checkpoints,
    data: &'a TrainingData,
}

impl Job<'_> {
    /// Trains one copy; none if a stop was requested.
    fn train(
        &self,
        begun: &BegunTraining,
        rank: &dyn AllReduce,
        watch: &mut dyn FnMut(TrainingEvent<'_>) -> Result<()>,
    ) -> Result<Option<LoopState>> {
        let Self { config: Config { training, .. }, options, checkpoints, data } = self;
        let validation = data.valid.as_ref().map(|valid| Validation {
            data: Arc::clone(valid),
            preparer: Arc::clone(&data.preparer),
            batches: training.batches,
            workers: options.workers,
        });
        let mut fine_tuning = FineTuning {
            config: *training,
            model: &begun.model,
            device: &begun.device,
            data: Arc::clone(&data.train),
            order: data.order.clone(),
            preparer: Arc::clone(&data.preparer),
            validation,
            workers: options.workers,
            max_left_out: options.max_fail_rate,
            reduce: rank,
            checkpoints: Some(checkpoints),
            files: &|| begun.adapter_files(),
            stop: &audsem_core::signals::stop_requested,
            watch,
        };
        fine_tuning.run()
    }
}
