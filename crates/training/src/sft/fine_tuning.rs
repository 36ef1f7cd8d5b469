//! The loop: batches, gradients, updates, records, checkpoints.

use std::sync::Arc;
use std::time::Duration;

use audsem_models::nn::Mode;
use audsem_models::train::{Accumulated, TargetScores, TrainableModel, TrainingSequence};
use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::hearing::{HearingProof, prove_hearing};
use super::loss::{LossNormalizer, TokenSums};
use super::state::LoopState;
use super::validate::Validation;
use crate::checkpoint::{Checkpoint, Checkpoints, Exact, NamedFiles};
use crate::data::{BatchConfig, DataSet, EpochOrder, Loader, LoaderConfig, MicroBatch, Preparer};
use crate::error::Result;
use crate::metrics::{History, MetricRecord, SpeedMeter};
use crate::reduce::{AllReduce, sum_gradients};
use crate::update::{Applied, TrainingProgress, UpdateConfig, Updater};

/// Answers by which hearing is proven.
const HEARING_EXAMPLES: usize = 8;

/// Settings of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LoopConfig {
    /// Passes over the data.
    pub epochs: usize,
    /// Updates after which the training ends, where it shall not be that of the last epoch.
    pub max_steps: Option<usize>,
    /// What is a batch.
    pub batches: BatchConfig,
    /// Batches of an update, on each rank.
    pub accumulation: usize,
    /// What the loss is a mean over.
    pub normalizer: LossNormalizer,
    /// Updates.
    pub update: UpdateConfig,
    /// Updates between two records.
    pub log_steps: usize,
    /// Updates between two validations; by default one at the end of each epoch.
    pub eval_steps: Option<usize>,
    /// Updates between two checkpoints; by default one at the end of each epoch.
    pub save_steps: Option<usize>,
    /// Validations one after the other without a better loss, after which the training ends.
    pub patience: Option<usize>,
    /// Seed of order and dropout.
    pub seed: u64,
}

/// A supervised fine-tuning: what it works on, and who is told.
pub struct FineTuning<'a> {
    /// Settings.
    pub config: LoopConfig,
    /// The model, which is changed.
    pub model: &'a dyn TrainableModel,
    /// Where its tensors lie.
    pub device: &'a Device,
    /// Examples to learn from.
    pub data: Arc<DataSet>,
    /// The order in which they come.
    pub order: EpochOrder,
    /// How they become sequences.
    pub preparer: Arc<Preparer>,
    /// What the model is judged by, if anything.
    pub validation: Option<Validation>,
    /// Threads that prepare examples; no number of them changes a bit.
    pub workers: usize,
    /// Largest share of examples that may be left out.
    pub max_left_out: f64,
    /// The ranks of a data-parallel training.
    pub reduce: &'a dyn AllReduce,
    /// Where checkpoints are kept. All ranks continue from them, and the first one writes them.
    pub checkpoints: Option<&'a Checkpoints>,
    /// Files of a checkpoint beside the trained tensors.
    pub files: &'a dyn Fn() -> Result<NamedFiles>,
    /// Whether to stop at the next update.
    pub stop: &'a dyn Fn() -> bool,
    /// Gets the tokens of each update, and what is to be told.
    pub watch: &'a mut dyn FnMut(TrainingEvent<'_>) -> Result<()>,
}

/// What happens in a fine-tuning.
#[derive(Debug)]
pub enum TrainingEvent<'a> {
    /// What earlier processes have recorded, before anything else.
    Begun(&'a History),
    /// The proof that the model hears, before the first update.
    Hearing(&'a HearingProof),
    /// Tokens that an update has read.
    Tokens(usize),
    /// A validation.
    Validation(&'a MetricRecord),
    /// A record, with what depends on the clock.
    Record {
        /// The record.
        record: &'a MetricRecord,
        /// Tokens per second since the record before.
        tokens_per_s: f64,
        /// Time left, where it can be told.
        left: Option<Duration>,
    },
}

/// The batches of one update.
#[derive(Default)]
struct UpdateBatches {
    /// Those of this rank, with their numbers in the update.
    mine: Vec<(usize, Vec<TrainingSequence>)>,
    /// Those of all ranks.
    n: usize,
    /// Whether they end an epoch.
    ends_epoch: bool,
}

impl FineTuning<'_> {
    /// Trains from where the last checkpoint is to the end. None when a stop was requested before: the state is saved
    /// then, and the same call continues with bit-identical results.
    ///
    /// Run it on a thread with a stack of 64 MiB: candle drops the graph of a network by recursion.
    ///
    /// # Errors
    /// The model does not hear, a tensor gets no gradient, gradients stay not finite, too many examples are left out, a
    /// shard has changed, or a checkpoint cannot be written.
    pub fn run(&mut self) -> Result<Option<LoopState>> {
        let vars = self.model.vars().to_vec();
        let mut updater = Updater::new(self.config.update, &vars)?;
        let restored = match self.checkpoints {
            Some(checkpoints) => checkpoints.restore::<LoopState>(&vars, &mut updater.optimizer, self.device)?,
            None => None,
        };
        if let (Some(checkpoints), Some(state)) = (self.own_checkpoints(), &restored) {
            checkpoints.tidy(state.steps(), state.best.map(|(step, _)| step))?;
        }
        let mut state = restored.unwrap_or_default();
        updater.counts = state.updates;
        if state.finished {
            return Ok(Some(state));
        }
        (self.watch)(TrainingEvent::Begun(&state.history))?;
        let mut loader = self.loader(&state);
        let mut speed = SpeedMeter::start(self.progress(&state).share());
        let before = state.tokens;
        while !state.finished {
            if self.must_stop()? {
                self.save(&state, &updater, true)?;
                return Ok(None);
            }
            let begun = self.progress(&state);
            let Some(batches) = self.next_update(&mut loader, &mut state)? else { break };
            if state.steps() == 0 {
                self.prove_hearing(&batches, &mut state)?;
            }
            let applied = self.update(&batches, &mut updater, begun, &mut state)?;
            state.updates = updater.counts;
            self.record(applied, &mut state, &mut speed, before)?;
            self.validate(batches.ends_epoch, &mut state)?;
            state.finished |= self.config.max_steps.is_some_and(|most| state.steps() >= most);
            if !state.finished && self.must_save(batches.ends_epoch, &state) {
                self.save(&state, &updater, false)?;
            }
        }
        state.finished = true;
        self.validate_at_end(&mut state)?;
        self.save(&state, &updater, false)?;
        Ok(Some(state))
    }

    /// Whether a stop was requested, which all ranks have to see before the same update.
    fn must_stop(&self) -> Result<bool> {
        let mut requests = [f64::from((self.stop)())];
        self.reduce.sum_f64(&mut requests)?;
        Ok(requests[0] > 0.0)
    }

    /// Whether a checkpoint is due, or this is the best one so far: later ones have other weights.
    fn must_save(&self, ends_epoch: bool, state: &LoopState) -> bool {
        let is_best = state.best.is_some_and(|(step, _)| step == state.steps());
        is_best || self.is_due(self.config.save_steps, ends_epoch, state)
    }

    fn loader(&self, state: &LoopState) -> Loader {
        let LoopConfig { batches, seed, .. } = self.config;
        // With a number of updates, as many epochs as they take.
        let epochs = if self.config.max_steps.is_some() { usize::MAX } else { self.config.epochs };
        let config = LoaderConfig { batches, seed, workers: self.workers, epochs };
        let (data, preparer) = (Arc::clone(&self.data), Arc::clone(&self.preparer));
        Loader::start(data, preparer, self.order.clone(), config, state.cursor)
    }

    /// Examples done of all, or updates where their number is given.
    fn progress(&self, state: &LoopState) -> TrainingProgress {
        match self.config.max_steps {
            Some(total) => TrainingProgress { done: state.steps(), total },
            None => TrainingProgress { done: state.reached, total: self.config.epochs * self.order.len() },
        }
    }

    /// The batches of the next update: as many as accumulation and ranks ask for, or those up to the end of an epoch.
    /// None at the end of the training.
    fn next_update(&self, loader: &mut Loader, state: &mut LoopState) -> Result<Option<UpdateBatches>> {
        let (rank, ranks) = (self.reduce.rank(), self.reduce.ranks());
        let wanted = self.config.accumulation.max(1) * ranks;
        let mut update = UpdateBatches::default();
        // Of an epoch whose last examples are all left out, nothing is to be learned: the next one is taken.
        while update.n < wanted && !(update.ends_epoch && update.n > 0) {
            let Some(batch) = loader.next_batch()? else { break };
            state.pass(&batch);
            state.check_left_out(self.data.rows.len(), self.max_left_out)?;
            let MicroBatch { examples, ends_epoch, .. } = batch;
            update.ends_epoch = ends_epoch;
            if examples.is_empty() {
                continue;
            }
            if update.n % ranks == rank {
                let sequences = examples.into_iter().map(|example| example.sequence).collect();
                update.mine.push((update.n, sequences));
            }
            update.n += 1;
        }
        Ok((update.n > 0).then_some(update))
    }

    fn prove_hearing(&mut self, update: &UpdateBatches, state: &mut LoopState) -> Result<()> {
        let sequences: Vec<TrainingSequence> =
            update.mine.iter().flat_map(|(_, sequences)| sequences.iter().cloned()).take(HEARING_EXAMPLES).collect();
        if sequences.is_empty() {
            return Ok(());
        }
        let proof = prove_hearing(self.model, &sequences)?;
        state.history.push(proof.record());
        (self.watch)(TrainingEvent::Hearing(&proof))
    }

    fn update(
        &mut self,
        batches: &UpdateBatches,
        updater: &mut Updater,
        progress: TrainingProgress,
        state: &mut LoopState,
    ) -> Result<Applied> {
        let LoopConfig { normalizer, seed, accumulation, .. } = self.config;
        let targets = |sequences: &[TrainingSequence]| sequences.iter().map(|s| s.targets.len()).sum::<usize>();
        let mut tokens = [batches.mine.iter().map(|(_, sequences)| targets(sequences)).sum::<usize>() as f64];
        self.reduce.sum_f64(&mut tokens)?;
        let (mut sum, mut sums) = (Accumulated::default(), TokenSums::default());
        let slots = accumulation.max(1) * self.reduce.ranks();
        for (number, sequences) in &batches.mine {
            let weight = normalizer.weight(tokens[0], targets(sequences), batches.n);
            // Dropout depends on the batch's number among all, whichever rank it falls to.
            let mode = Mode::Train { seed, step: (state.steps() * slots + number) as u64 };
            let mut loss = |scores: &[TargetScores]| -> audsem_models::Result<Vec<Vec<f32>>> {
                sums.add(TokenSums::of(scores));
                Ok(scores.iter().map(|score| vec![-weight as f32; score.log_probs.len()]).collect())
            };
            self.model.backward(sequences, 1.0, mode, &mut loss, &mut sum)?;
            (self.watch)(TrainingEvent::Tokens(sequences.iter().map(|sequence| sequence.tokens.len()).sum()))?;
        }
        self.complete(&mut sum)?;
        let sum = sum_gradients(self.reduce, sum)?;
        let mut all = sums.to_array();
        self.reduce.sum_f64(&mut all)?;
        state.recent.add(TokenSums::from_array(all));
        updater.apply(&sum, progress)
    }

    /// Zeros for a rank that had no batch in the last update of an epoch.
    fn complete(&self, sum: &mut Accumulated) -> Result<()> {
        if sum.iter().next().is_none() {
            for (name, var) in self.model.vars() {
                sum.add_tensor(name, &var.zeros_like().map_err(audsem_models::Error::from)?)?;
            }
        }
        Ok(())
    }

    fn is_due(&self, every: Option<usize>, ends_epoch: bool, state: &LoopState) -> bool {
        every.map_or(ends_epoch, |every| every > 0 && state.steps().is_multiple_of(every))
    }

    fn record(
        &mut self,
        applied: Applied,
        state: &mut LoopState,
        speed: &mut SpeedMeter,
        tokens_before: u64,
    ) -> Result<()> {
        let steps = state.steps();
        if steps != 1 && !steps.is_multiple_of(self.config.log_steps.max(1)) {
            return Ok(());
        }
        let (grad_norm, learning_rate) = match applied {
            Applied::Changed { grad_norm, learning_rate } => (grad_norm, learning_rate),
            Applied::Skipped => (f64::NAN, 0.0),
        };
        let recent = std::mem::take(&mut state.recent);
        let record = MetricRecord::new(steps)
            .with("loss", recent.mean_loss())
            .with("mean_token_accuracy", recent.accuracy())
            .with("grad_norm", grad_norm)
            .with("learning_rate", learning_rate)
            .with("epoch", state.reached as f64 / self.order.len().max(1) as f64)
            .with("num_tokens", state.tokens as f64)
            .with("skipped_updates", state.updates.bad as f64)
            .with("left_out_examples", state.left_out.len() as f64)
            .with("cropped_sounds", state.cropped as f64);
        let (tokens_per_s, left) = speed.read((state.tokens - tokens_before) as f64, self.progress(state).share());
        (self.watch)(TrainingEvent::Record { record: &record, tokens_per_s, left })?;
        state.history.push(record);
        Ok(())
    }

    fn validate(&mut self, ends_epoch: bool, state: &mut LoopState) -> Result<()> {
        if self.is_due(self.config.eval_steps, ends_epoch, state) { self.validate_now(state) } else { Ok(()) }
    }

    fn validate_at_end(&mut self, state: &mut LoopState) -> Result<()> {
        let last = state.history.records.iter().rev().find(|record| record.get("valid_loss").is_some());
        if last.is_some_and(|record| record.step == state.steps()) { Ok(()) } else { self.validate_now(state) }
    }

    fn validate_now(&mut self, state: &mut LoopState) -> Result<()> {
        let Some(validation) = &self.validation else { return Ok(()) };
        let (sums, left_out) = self.validated(validation)?;
        let (steps, loss) = (state.steps(), sums.mean_loss());
        let record = MetricRecord::new(steps)
            .with("valid_loss", loss)
            .with("valid_mean_token_accuracy", sums.accuracy())
            .with("valid_left_out_examples", left_out as f64);
        (self.watch)(TrainingEvent::Validation(&record))?;
        state.history.push(record);
        if state.best.is_none_or(|(_, best)| loss < best.0) {
            state.best = Some((steps, Exact(loss)));
            state.not_better = 0;
        } else {
            state.not_better += 1;
            if self.config.patience.is_some_and(|patience| state.not_better >= patience) {
                tracing::info!(
                    "the validation loss has not fallen for {} validations: the training ends",
                    state.not_better
                );
                state.finished = true;
            }
        }
        Ok(())
    }

    /// The sums of a validation, which the first rank makes for all: their weights are the same.
    fn validated(&self, validation: &Validation) -> Result<(TokenSums, usize)> {
        let (sums, left_out) = match self.reduce.rank() {
            0 => validation.run(self.model)?,
            _ => (TokenSums::default(), 0),
        };
        let [loss, tokens, correct] = sums.to_array();
        let mut all = [loss, tokens, correct, left_out as f64];
        self.reduce.sum_f64(&mut all)?;
        let [loss, tokens, correct, left_out] = all;
        Ok((TokenSums::from_array([loss, tokens, correct]), left_out as usize))
    }

    /// The checkpoints, where this process writes them.
    fn own_checkpoints(&self) -> Option<&Checkpoints> {
        self.checkpoints.filter(|_| self.reduce.rank() == 0)
    }

    /// Saves a checkpoint.
    fn save(&self, state: &LoopState, updater: &Updater, interim: bool) -> Result<()> {
        let Some(checkpoints) = self.own_checkpoints() else { return Ok(()) };
        let best = state.best.map(|(step, _)| step);
        let checkpoint = Checkpoint {
            step: state.steps(),
            interim,
            vars: self.model.vars(),
            optimizer: &updater.optimizer,
            state,
            files: (self.files)()?,
        };
        checkpoints.save(checkpoint, best)
    }
}
