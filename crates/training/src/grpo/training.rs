//! The loop: prompts, completions, rewards, updates, records, checkpoints.

use std::path::Path;
use std::sync::Arc;

use audsem_models::train::{TrainableModel, TrainingSequence};
use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::completions_log::CompletionLog;
use super::evaluation::EvaluationSet;
use super::experience::{Experience, ScoredGroup};
use super::learning::{Learning, LearningRow, RowFilter, UpdateReport};
use super::objective::Objective;
use super::record::{with_experience, with_update};
use super::reference::ReferencePolicy;
use super::rollout::{RolloutRequest, RolloutSource};
use super::schedule::KlWeight;
use super::state::GrpoState;
use crate::checkpoint::{Checkpoint, Checkpoints, Exact, NamedFiles};
use crate::data::{
    BatchConfig, DataSet, EpochOrder, Loader, LoaderConfig, MicroBatch, Prepared, Preparer, check_left_out,
};
use crate::error::Result;
use crate::metrics::{MetricRecord, SpeedMeter};
use crate::sft::{TrainingEvent, prove_hearing};
use crate::update::{Applied, TrainingProgress, UpdateConfig, Updater};

/// Completions by which hearing is proven.
const HEARING_EXAMPLES: usize = 8;

/// Settings of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GrpoLoopConfig {
    /// Passes over the prompts.
    pub epochs: usize,
    /// Steps after which the training ends, where it shall not be at the end of the last epoch.
    pub max_steps: Option<usize>,
    /// Prompts of a step.
    pub prompts: usize,
    /// Completions of each prompt.
    pub generations: usize,
    /// Updates that each step's completions are used for.
    pub iterations: usize,
    /// Completions in one forward pass.
    pub batch_rows: usize,
    /// Divisor of logits, as in sampling.
    pub temperature: f32,
    /// The loss.
    pub objective: Objective,
    /// The weight of the distance to the reference policy.
    pub beta: KlWeight,
    /// Which completions are learned from.
    pub filter: RowFilter,
    /// Updates.
    pub update: UpdateConfig,
    /// Steps between two records.
    pub log_steps: usize,
    /// Steps between two evaluations; by default one at the end of each epoch.
    pub eval_steps: Option<usize>,
    /// Steps between two checkpoints; by default one at the end of each epoch.
    pub save_steps: Option<usize>,
    /// Seed of order, sampling and dropout.
    pub seed: u64,
}

/// What a training works on.
pub(super) struct GrpoTraining<'a> {
    pub(super) config: GrpoLoopConfig,
    pub(super) model: &'a dyn TrainableModel,
    pub(super) device: &'a Device,
    pub(super) data: Arc<DataSet>,
    pub(super) order: EpochOrder,
    pub(super) preparer: Arc<Preparer>,
    /// Who writes the completions that are learned from.
    pub(super) source: &'a mut dyn RolloutSource,
    pub(super) experience: Experience<'a>,
    pub(super) evaluation: Option<EvaluationSet>,
    pub(super) workers: usize,
    /// Largest share of prompts that may be left out.
    pub(super) max_left_out: f64,
    pub(super) checkpoints: &'a Checkpoints,
    /// The run folder.
    pub(super) folder: &'a Path,
    /// Files of a checkpoint beside the trained tensors.
    pub(super) files: &'a dyn Fn() -> Result<NamedFiles>,
    /// Whether to stop at the next step.
    pub(super) stop: &'a dyn Fn() -> bool,
    /// Gets the tokens of each step, and what is to be told.
    pub(super) watch: &'a mut dyn FnMut(TrainingEvent<'_>) -> Result<()>,
}

/// What changes from step to step.
struct Ongoing {
    state: GrpoState,
    updater: Updater,
    log: CompletionLog,
    reference: ReferencePolicy,
    speed: SpeedMeter,
    /// Tokens of earlier processes.
    tokens_before: u64,
}

/// The updates of a step.
#[derive(Default)]
struct StepOutcome {
    report: UpdateReport,
    applied: Option<Applied>,
    beta: f64,
}

impl GrpoTraining<'_> {
    /// Trains from where the last checkpoint is to the end. None when a stop was requested before: the state is saved
    /// then, and the same call continues with bit-identical results.
    pub(super) fn run(&mut self) -> Result<Option<GrpoState>> {
        let mut ongoing = self.begin()?;
        if ongoing.state.finished {
            return Ok(Some(ongoing.state));
        }
        let mut loader = self.loader(&ongoing.state);
        while !ongoing.state.finished {
            if (self.stop)() {
                self.save(&ongoing, true)?;
                return Ok(None);
            }
            let Some(batch) = loader.next_batch()? else { break };
            match self.step(&batch, &mut ongoing) {
                Err(error) if error.is_stop() => {
                    self.save(&ongoing, true)?;
                    return Ok(None);
                }
                result => result?,
            }
            self.after_step(batch.ends_epoch, &mut ongoing)?;
        }
        let is_evaluated = |record: &MetricRecord| record.step == ongoing.state.steps && has_evaluation(record);
        if !ongoing.state.history.records.iter().any(is_evaluated) {
            self.evaluate(&mut ongoing.state)?;
        }
        ongoing.state.finished = true;
        self.save(&ongoing, false)?;
        self.source.finish();
        Ok(Some(ongoing.state))
    }

    /// What the last checkpoint has, or the start with an evaluation of it.
    fn begin(&mut self) -> Result<Ongoing> {
        let vars = self.model.vars().to_vec();
        // Before the tensors of a checkpoint replace those of the start.
        let reference = ReferencePolicy::of(self.model)?;
        let mut updater = Updater::new(self.config.update, &vars)?;
        let restored = self.checkpoints.restore::<GrpoState>(&vars, &mut updater.optimizer, self.device)?;
        if let Some(state) = &restored {
            self.checkpoints.tidy(state.steps, state.best.map(|(step, _)| step))?;
        }
        let is_new = restored.is_none();
        let state = restored.unwrap_or_default();
        updater.counts = state.updates;
        let log = CompletionLog::open(self.folder, state.completions)?;
        let (speed, tokens_before) = (SpeedMeter::start(self.progress(&state).share()), state.tokens);
        let mut ongoing = Ongoing { state, updater, log, reference, speed, tokens_before };
        if !ongoing.state.finished {
            (self.watch)(TrainingEvent::Begun(&ongoing.state.history))?;
        }
        if is_new {
            self.evaluate(&mut ongoing.state)?;
        }
        Ok(ongoing)
    }

    fn loader(&self, state: &GrpoState) -> Loader {
        let GrpoLoopConfig { prompts, seed, .. } = self.config;
        // With a number of steps, as many epochs as they take.
        let epochs = if self.config.max_steps.is_some() { usize::MAX } else { self.config.epochs };
        let batches = BatchConfig { batch_size: prompts, batch_tokens: None, window: 0 };
        let config = LoaderConfig { batches, seed, workers: self.workers, epochs };
        let (data, preparer) = (Arc::clone(&self.data), Arc::clone(&self.preparer));
        Loader::start(data, preparer, self.order.clone(), config, state.cursor)
    }

    /// Prompts done of all, or steps where their number is given.
    fn progress(&self, state: &GrpoState) -> TrainingProgress {
        match self.config.max_steps {
            Some(total) => TrainingProgress { done: state.steps, total },
            None => TrainingProgress { done: state.reached, total: self.config.epochs * self.order.len() },
        }
    }

    /// Completions of some prompts, and the updates that they are used for. Nothing of the state changes before the
    /// completions are there.
    fn step(&mut self, batch: &MicroBatch, ongoing: &mut Ongoing) -> Result<()> {
        let groups = match batch.examples.is_empty() {
            true => Vec::new(),
            false => self.gather(&batch.examples, &ongoing.state)?,
        };
        let begun = self.progress(&ongoing.state);
        ongoing.state.pass(batch);
        let state = &ongoing.state;
        check_left_out(&state.left_out, (state.reached, self.data.rows.len()), self.max_left_out)?;
        if groups.is_empty() {
            return Ok(());
        }
        if ongoing.state.steps == 0 {
            self.prove_hearing(&groups, &mut ongoing.state)?;
        }
        let outcome = self.learn(&groups, begun, ongoing)?;
        let state = &mut ongoing.state;
        state.steps += 1;
        state.updates = ongoing.updater.counts;
        state.completions = ongoing.log.add(state.steps, &groups, &self.experience.names())?;
        let tokens: usize = groups.iter().map(ScoredGroup::tokens).sum();
        state.tokens += tokens as u64;
        (self.watch)(TrainingEvent::Tokens(tokens))?;
        self.record(&groups, &outcome, ongoing)
    }

    fn gather(&mut self, examples: &[Prepared], state: &GrpoState) -> Result<Vec<ScoredGroup>> {
        let GrpoLoopConfig { generations, seed, .. } = self.config;
        let request = RolloutRequest { per_prompt: generations, seed, step: state.steps };
        self.experience.gather(self.source, self.model, examples, request)
    }

    fn prove_hearing(&mut self, groups: &[ScoredGroup], state: &mut GrpoState) -> Result<()> {
        let all = groups.iter().flat_map(|group| group.completions.iter().map(|one| group.sequence(one)));
        let sequences: Vec<TrainingSequence> = all.take(HEARING_EXAMPLES).collect();
        let proof = prove_hearing(self.model, &sequences)?;
        state.history.push(proof.record());
        (self.watch)(TrainingEvent::Hearing(&proof))
    }

    fn learn(&self, groups: &[ScoredGroup], begun: TrainingProgress, ongoing: &mut Ongoing) -> Result<StepOutcome> {
        let GrpoLoopConfig { iterations, batch_rows, seed, .. } = self.config;
        let (objective, temperature) = (&self.config.objective, f64::from(self.config.temperature));
        let learning = Learning { model: self.model, objective, temperature, batch_rows, seed };
        let mut rows = LearningRow::of_groups(groups, self.config.filter);
        let Ongoing { state, updater, reference, .. } = ongoing;
        let beta = self.config.beta.at(state.steps);
        // Where all rewards are equal nothing is learned, and before the first update the reference is the policy itself.
        let pulls_back = beta > 0.0 && updater.counts.steps > 0 && rows.iter().any(LearningRow::counts);
        if !pulls_back && !rows.iter().any(LearningRow::has_signal) {
            state.idle += 1;
            return Ok(StepOutcome { beta, ..StepOutcome::default() });
        }
        let is_foreign = self.source.is_foreign();
        if iterations > 1 || is_foreign {
            learning.remember_old(&mut rows)?;
        }
        if beta > 0.0 {
            learning.ask_reference(&mut rows, reference)?;
        }
        let mut outcome = StepOutcome { beta, ..StepOutcome::default() };
        for _ in 0..iterations.max(1) {
            let (sum, report) = learning.gradient(&rows, beta, is_foreign, updater.counts.steps)?;
            outcome.applied = Some(updater.apply(&sum, begun)?);
            outcome.report = report;
        }
        Ok(outcome)
    }

    fn record(&mut self, groups: &[ScoredGroup], outcome: &StepOutcome, ongoing: &mut Ongoing) -> Result<()> {
        let steps = ongoing.state.steps;
        if steps != 1 && !steps.is_multiple_of(self.config.log_steps.max(1)) {
            return Ok(());
        }
        let (grad_norm, learning_rate) = match outcome.applied {
            Some(Applied::Changed { grad_norm, learning_rate }) => (grad_norm, learning_rate),
            Some(Applied::Skipped) => (f64::NAN, 0.0),
            None => (0.0, 0.0),
        };
        let Ongoing { state, speed, tokens_before, .. } = ongoing;
        let record = with_experience(MetricRecord::new(steps), groups, &self.experience.names(), "");
        let record = with_update(record, &outcome.report, outcome.beta)
            .with("grad_norm", grad_norm)
            .with("learning_rate", learning_rate)
            .with("epoch", state.reached as f64 / self.order.len().max(1) as f64)
            .with("num_tokens", state.tokens as f64)
            .with("idle_steps", state.idle as f64)
            .with("skipped_updates", state.updates.bad as f64)
            .with("left_out_examples", state.left_out.len() as f64);
        let done = self.progress(state).share();
        let (tokens_per_s, left) = speed.read((state.tokens - *tokens_before) as f64, done);
        (self.watch)(TrainingEvent::Record { record: &record, tokens_per_s, left })?;
        state.history.push(record);
        Ok(())
    }

    /// Evaluates and saves where it is time.
    fn after_step(&mut self, ends_epoch: bool, ongoing: &mut Ongoing) -> Result<()> {
        let steps = ongoing.state.steps;
        let is_due = |every: Option<usize>| every.map_or(ends_epoch, |every| every > 0 && steps.is_multiple_of(every));
        if steps > 0 && is_due(self.config.eval_steps) {
            self.evaluate(&mut ongoing.state)?;
        }
        ongoing.state.finished |= self.config.max_steps.is_some_and(|most| steps >= most);
        // Later checkpoints than the best one have other weights.
        let is_best = ongoing.state.best.is_some_and(|(step, _)| step == steps);
        if !ongoing.state.finished && steps > 0 && (is_best || is_due(self.config.save_steps)) {
            self.save(ongoing, false)?;
        }
        Ok(())
    }

    /// Scores the likeliest completions of held-out examples.
    fn evaluate(&mut self, state: &mut GrpoState) -> Result<()> {
        let Some(set) = &mut self.evaluation else { return Ok(()) };
        let (groups, left_out) = set.run(self.model, &mut self.experience)?;
        let names = self.experience.names();
        let record = with_experience(MetricRecord::new(state.steps), &groups, &names, "eval/")
            .with("eval/left_out_examples", left_out as f64);
        let reward = record.get(EVALUATED).filter(|reward| reward.is_finite());
        // The start itself is no result of a training.
        if let Some(reward) =
            reward.filter(|reward| state.steps > 0 && state.best.is_none_or(|(_, best)| *reward > best.0))
        {
            state.best = Some((state.steps, Exact(reward)));
        }
        (self.watch)(TrainingEvent::Validation(&record))?;
        state.history.push(record);
        Ok(())
    }

    /// Saves a checkpoint, with the completions on disk before it.
    fn save(&self, ongoing: &Ongoing, interim: bool) -> Result<()> {
        let Ongoing { state, updater, log, .. } = ongoing;
        log.flush()?;
        let checkpoint = Checkpoint {
            step: state.steps,
            interim,
            vars: self.model.vars(),
            optimizer: &updater.optimizer,
            state,
            files: (self.files)()?,
        };
        self.checkpoints.save(checkpoint, state.best.map(|(step, _)| step))
    }
}

/// The number by which the best checkpoint is found.
const EVALUATED: &str = "eval/reward";

fn has_evaluation(record: &MetricRecord) -> bool {
    record.get(EVALUATED).is_some()
}
