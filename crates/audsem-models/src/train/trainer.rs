//! The training loop.

use candle_core::{Device, Tensor, Var};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::state::{Place, StateFile};
use super::{Accumulated, AdamW, AdamWConfig, Schedule};
use crate::error::{Error, Result};
use crate::nn::{Mode, Params};

/// Settings of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Number of epochs.
    pub epochs: usize,
    /// Examples in one forward pass.
    pub batch_size: usize,
    /// Forward passes in one update.
    pub accumulation: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// How it changes.
    pub schedule: Schedule,
    /// Warm-up updates, over which it rises from 0.
    pub warmup_steps: usize,
    /// The optimiser.
    pub optimizer: AdamWConfig,
    /// Seed of order, dropout and what a task draws.
    pub seed: u64,
    /// Number of updates between saves of the state, which is also saved at the end of an epoch and when a stop is requested.
    pub save_steps: Option<usize>,
}

impl TrainConfig {
    /// Examples of one update.
    #[must_use]
    pub fn examples_per_step(&self) -> usize {
        (self.batch_size * self.accumulation).max(1)
    }

    /// Updates of a training on so many examples. The last one of an epoch may have fewer than others.
    #[must_use]
    pub fn steps(&self, examples: usize) -> usize {
        self.epochs * examples.div_ceil(self.examples_per_step())
    }
}

/// What a network is trained on.
pub trait TrainTask {
    /// One example.
    type Example;
    /// The report of an epoch. It is saved with the state as JSON, which must represent it exactly.
    type Report: Serialize + DeserializeOwned;

    /// The mean loss of some examples, a scalar. `rng` is for what the task draws, such as changed inputs.
    ///
    /// # Errors
    /// The network cannot be run.
    fn loss(&self, examples: &[&Self::Example], rng: &mut ChaCha8Rng, mode: Mode) -> Result<Tensor>;

    /// Weight of the mean loss of these examples in an update of several forward passes; their number if the
    /// mean is over examples.
    fn weight(&self, examples: &[&Self::Example]) -> f64 {
        examples.len() as f64
    }

    /// Reports on a finished epoch, with the current network.
    ///
    /// # Errors
    /// The network cannot be run.
    fn report(&self, epoch: &EpochSummary) -> Result<Self::Report>;
}

/// One pass over the examples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochSummary {
    /// Its number, from 1.
    pub epoch: usize,
    /// Mean loss over the updates.
    pub train_loss: f64,
    /// Learning rate of the last update.
    pub learning_rate: f64,
}

/// Trains the tensors of `params`.
#[derive(Debug)]
pub struct Trainer<'a> {
    /// Settings.
    pub config: TrainConfig,
    /// What is trained: the task's network has been loaded from here.
    pub params: &'a Params,
    /// Where it lies.
    pub device: &'a Device,
    /// Where the state is kept.
    pub state: &'a StateFile,
    /// Whether to stop at the next update.
    pub stop: fn() -> bool,
}

impl Trainer<'_> {
    /// Learns from the examples and reports epoch by epoch, from where the kept state is. `None` when a stop was
    /// requested before the end: the state is saved then, and the same call continues with bit-identical results.
    ///
    /// # Errors
    /// A tensor without a gradient, or with one that is not finite; what the task says; the state cannot be read or
    /// written.
    pub fn run<T: TrainTask>(
        &self,
        task: &T,
        examples: &[T::Example],
        mut progress: impl FnMut(&T::Report),
    ) -> Result<Option<Vec<T::Report>>> {
        let vars = self.params.vars();
        let mut optimizer = AdamW::new(vars.clone(), self.config.optimizer)?;
        let (mut place, mut history) = match self.state.load::<T::Report>(&vars, &mut optimizer, self.device)? {
            Some((place, history)) => (place, history),
            None => (Place::default(), Vec::new()),
        };
        history.iter().for_each(&mut progress);
        let mut order: Vec<&T::Example> = examples.iter().collect();
        for epoch in 1..=self.config.epochs {
            let mut rng = epoch_rng(self.config.seed, epoch);
            // Each epoch shuffles the order of the previous one, even if another process ran that.
            order.shuffle(&mut rng);
            if epoch <= history.len() {
                continue;
            }
            let run = Epoch { trainer: self, task, vars: &vars, total: self.config.steps(examples.len()) };
            if !run.train(&order, &mut rng, &mut optimizer, &mut place, &history)? {
                return Ok(None);
            }
            let report = task.report(&place.summary(epoch))?;
            place = Place::default();
            progress(&report);
            history.push(report);
            // After the last epoch there is a result.
            if epoch < self.config.epochs {
                self.state.save(&vars, &optimizer, &place, &history)?;
            }
        }
        Ok(Some(history))
    }
}

fn epoch_rng(seed: u64, epoch: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::MAX - epoch as u64);
    rng
}

/// A running epoch.
struct Epoch<'a, T> {
    trainer: &'a Trainer<'a>,
    task: &'a T,
    vars: &'a [(String, Var)],
    /// Updates of the whole training.
    total: usize,
}

impl<T: TrainTask> Epoch<'_, T> {
    /// Continues from `place` to the end of the epoch; false if a stop was requested first.
    fn train(
        &self,
        order: &[&T::Example],
        rng: &mut ChaCha8Rng,
        optimizer: &mut AdamW,
        place: &mut Place,
        history: &[T::Report],
    ) -> Result<bool> {
        let Trainer { config, state, stop, .. } = self.trainer;
        place.restore(rng);
        for chunk in order.chunks(config.examples_per_step()).skip(place.steps) {
            if stop() {
                state.save(self.vars, optimizer, place, history)?;
                return Ok(false);
            }
            self.update(chunk, rng, optimizer, place)?;
            place.note(rng);
            if config.save_steps.is_some_and(|n| n > 0 && optimizer.steps().is_multiple_of(n)) {
                state.save(self.vars, optimizer, place, history)?;
            }
        }
        Ok(true)
    }

    /// One update, by the mean loss of the examples.
    fn update(
        &self,
        examples: &[&T::Example],
        rng: &mut ChaCha8Rng,
        optimizer: &mut AdamW,
        place: &mut Place,
    ) -> Result<()> {
        let config = &self.trainer.config;
        let step = optimizer.steps();
        let learning_rate = config.learning_rate * config.schedule.factor(step, config.warmup_steps, self.total);
        let batches = || examples.chunks(config.batch_size.max(1));
        let weight: f64 = batches().map(|batch| self.task.weight(batch)).sum();
        let (mut sum, mut mean) = (Accumulated::default(), 0.0);
        for (n, batch) in batches().enumerate() {
            let mode = Mode::Train { seed: config.seed, step: (step * config.accumulation + n) as u64 };
            let loss = self.task.loss(batch, rng, mode)?;
            let share = self.task.weight(batch) / weight;
            let value = f64::from(loss.to_scalar::<f32>()?);
            if !value.is_finite() || !share.is_finite() {
                return Err(Error::Gradient { step, what: "the loss is not finite", names: Vec::new() });
            }
            mean += share * value;
            let loss = if share == 1.0 { loss } else { (loss * share)? };
            sum.add(&loss.backward()?, self.vars)?;
        }
        optimizer.step(&sum, learning_rate)?;
        place.add(mean, learning_rate);
        Ok(())
    }
}
