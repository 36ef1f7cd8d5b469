//! `grpo`: reinforcement learning from groups of completions (GRPO and its relatives).
//!
//! ```text
//! prompts ─► rollouts: G completions of each ─► rewards ─► advantages within groups ─► loss ─► update
//!               │ policy as it stands, in this process or on a server        │ objective, reference policy
//!
//! out/final/                 the adapter (PEFT), or the trained tensors; `export` makes a model folder of it
//! out/completions.jsonl      every completion with its rewards; `audsem-training rewards` reads it
//! out/metrics.jsonl          rewards, lengths, losses by the names of TRL; events.out.tfevents.*: for TensorBoard
//! out/report.html            the curves
//! out/checkpoints/step-N/    from which the same command continues with bit-identical results
//! out/live/                  metrics and completions while the training runs
//! ```
//!
//! A group is never divided: rewards are compared among completions of one question about one sound. The arithmetic is plain
//! functions of numbers:
//!
//! ```
//! use audsem_training::grpo::advantage::{AdvantageScale, advantages};
//!
//! // Four completions of one question; the last one has no reward.
//! let groups = [vec![Some(1.0), Some(0.0), Some(0.5), None]];
//! let advantages = advantages(&groups, AdvantageScale::None);
//! assert_eq!(advantages, [vec![Some(0.5), Some(-0.5), Some(0.0), None]]);
//! ```

pub mod advantage;
mod completions_log;
mod config;
mod evaluation;
mod experience;
mod learning;
pub mod mismatch;
pub mod objective;
mod outputs;
mod record;
mod reference;
pub mod rollout;
pub mod schedule;
mod sources;
mod state;
#[cfg(test)]
mod tiny;
mod training;

use std::sync::Arc;

use audsem_core::run::{ReadBack, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary};
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use serde::Serialize;
use serde_json::{Map, Value};

pub use config::{Config, RolloutChoice, ServerChoice};
pub use learning::RowFilter;
pub use state::GrpoState;
pub use training::GrpoLoopConfig;

use crate::card;
use crate::checkpoint::Checkpoints;
use crate::data::DataFault;
use crate::error::Result;
use crate::metrics::LiveMetrics;
use crate::rewards::{RewardConfig, RewardSet};
use crate::setup::{BegunTraining, HashedSetup, Inputs, TrainingData, count_examples, in_training_thread, purpose};
use crate::sft::TrainingEvent;
use crate::watch::Watcher;
use evaluation::EvaluationSet;
use experience::Experience;
use rollout::{LocalRollouts, SamplingConfig};
use training::GrpoTraining;

/// Numbers that are shown of a step, and of an evaluation.
const SHOWN: [&str; 4] = ["reward", "loss", "completions/mean_length", "eval/reward"];

/// What decides the outcome.
#[derive(Serialize)]
struct HashedConfig {
    setup: HashedSetup,
    rewards: RewardConfig,
    sampling: SamplingConfig,
    scale: advantage::AdvantageScale,
    training: GrpoLoopConfig,
    keep_last: usize,
    /// Who writes completions: another program gives other ones.
    rollouts: &'static str,
}

impl RunConfig for HashedConfig {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "grpo";
}

/// Trains, and fills the run folder of `options`.
///
/// # Errors
/// The model, the data or the rewards cannot be used, the training diverges, a server fails or hears something else, or the
/// output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary> {
    config.check()?;
    // Refused before anything is read.
    RewardSet::new(&config.rewards, config.form())?;
    sources::prompt(config, &AudioCheckpoint::open(&config.setup.model, config.setup.processor.as_deref())?)?;
    let inputs = Inputs::read(&config.setup)?;
    let record = HashedConfig {
        setup: inputs.hashed(&config.setup),
        rewards: config.rewards.clone(),
        sampling: config.sampling,
        scale: config.scale,
        training: config.training,
        keep_last: config.keep_last,
        rollouts: config.rollouts.name(),
    };
    let mut run = Run::open(options, RunSpec::new(&record).models(vec![inputs.model.clone()]))?;
    let checkpoints = Checkpoints::new(run.folder(), purpose(&record, options), config.keep_last);
    if options.fresh && !options.dry_run {
        checkpoints.clear()?;
        LiveMetrics::remove(run.folder())?;
    }
    let step = Step { name: "train", unit: "prompts", physical: "tokens" };
    let plan = [Shard { name: "00000".to_owned(), fingerprint: inputs.fingerprint(), work: () }];
    run.must_keep(step).explain(DataFault::ALL);
    let train = |(): &(), out: &mut ShardOutput| match options.dry_run {
        true => count_examples(&config.setup, options, out),
        false => in_training_thread(|| train(config, options, &checkpoints, out)),
    };
    let trained = run.execute_via(&ReadBack(card::read_results), step, &plan, train)?;
    // Completions are collected there until the run folder has them.
    if trained.complete && !options.dry_run {
        LiveMetrics::remove(run.folder())?;
    }
    let mut summary = run.finish()?;
    for (name, value) in trained.values.into_iter().flatten() {
        summary = summary.with_result(&name, value);
    }
    Ok(summary)
}

fn train(
    config: &Config,
    options: &RunOptions,
    checkpoints: &Checkpoints,
    out: &mut ShardOutput,
) -> Result<Map<String, Value>, ShardError> {
    let begun = BegunTraining::open(&config.setup, options)?;
    let mut checkpoint = begun.checkpoint.clone();
    let prompt = sources::prompt(config, &checkpoint)?;
    let data = TrainingData::open(&config.setup, prompt.clone(), &mut checkpoint, options)?;
    checkpoint.notes().iter().for_each(|note| tracing::info!("{note}"));
    let tokens = sources::completion_tokens(&checkpoint, &data.processor)?;
    let mut source = sources::rollouts(config, &begun, &tokens, options)?;
    let rows = config.training.batch_rows;
    let evaluation = data.valid.as_ref().map(|valid| EvaluationSet {
        data: Arc::clone(valid),
        preparer: Arc::clone(&data.preparer),
        source: LocalRollouts::likeliest(&config.sampling, &tokens, rows),
        rows,
        workers: options.workers,
    });
    let rewards = sources::rewards(config, &data)?;
    out.on_stop("the training stops at its next update, and the next run continues there");
    let mut watcher = Watcher::new(options, "step", &SHOWN);
    let mut watch = |event: TrainingEvent<'_>| watcher.see(event, out);
    let mut training = GrpoTraining {
        config: config.training,
        model: &begun.model,
        device: &begun.device,
        data: Arc::clone(&data.train),
        order: data.order.clone(),
        preparer: Arc::clone(&data.preparer),
        source: &mut *source,
        experience: Experience { rewards, processor: &data.processor, prompt: &prompt, scale: config.scale },
        evaluation,
        workers: options.workers,
        max_left_out: options.max_fail_rate,
        checkpoints,
        folder: &options.output,
        files: &|| begun.adapter_files(),
        stop: &audsem_core::signals::stop_requested,
        watch: &mut watch,
    };
    let state = training.run()?.ok_or(ShardError::Stopped)?;
    let folder = &options.output;
    outputs::Trained { config, begun: &begun, data: &data, state: &state, checkpoints, folder }.write(out)
}
