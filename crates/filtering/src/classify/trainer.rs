//! The training loop.

use audsem_core::signals::stop_requested;
use audsem_models::bert::{BertClassifier, Config as BertConfig};
use audsem_models::nn::{Mode, Params};
use audsem_models::optim::{AdamW, AdamWConfig, linear_schedule};
use audsem_models::tokenizer::{Segmenter, Tokenizer};
use audsem_models::tokens::batch;
use audsem_models::{Error as NetworkError, Result};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_nn::loss::cross_entropy;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::labelled::{Example, Examples};
use super::metrics::Metrics;
use super::progress::StateFile;
use super::scorer::{Scorer, without_brackets};

/// Settings of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Loop {
    /// Passes over the data.
    pub epochs: usize,
    /// Captions in one step.
    pub batch_size: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises from 0.
    pub warmup_steps: usize,
    /// Decoupled weight decay, spared on biases and norms.
    pub weight_decay: f64,
    /// Share of tokens that are replaced by the unknown token while learning, special ones apart.
    pub token_dropout: f64,
    /// Probability with which a match is passed over in cutting words into pieces while learning.
    pub subword_dropout: f64,
    /// Seed of order, dropout and new weights.
    pub seed: u64,
}

/// One pass over the data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Mean loss over the steps.
    pub train_loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// The network on the held-out captions afterwards.
    pub heldout: Metrics,
}

/// A network in training.
#[derive(Debug)]
pub(super) struct Trainer<'a> {
    pub(super) config: &'a BertConfig,
    pub(super) params: &'a Params,
    pub(super) encoder: &'a Tokenizer,
    pub(super) max_length: usize,
    pub(super) device: &'a Device,
}

/// Token ids and class of a caption.
type Row = (Vec<u32>, u32);

impl Trainer<'_> {
    /// Learns from the one part and reports on the other, epoch by epoch, from where `state` is. `None` when a
    /// stop was requested before the end: the epochs that were done are in `state` then.
    pub(super) fn run(
        &self,
        settings: &Loop,
        examples: &Examples,
        state: &StateFile,
        mut progress: impl FnMut(&Epoch),
    ) -> crate::error::Result<Option<Vec<Epoch>>> {
        let model = BertClassifier::load(self.params.var_builder(DType::F32, self.device), self.config)?;
        let optimizer = AdamWConfig { weight_decay: settings.weight_decay, ..AdamWConfig::default() };
        let mut optimizer = AdamW::new(self.params.vars(), optimizer)?;
        let segmenter = Segmenter::new(self.encoder, self.max_length);
        let mut order: Vec<&Example> = examples.train.iter().collect();
        let total = settings.epochs * order.len().div_ceil(settings.batch_size);
        let mut history = state.load(self.params, &mut optimizer, self.device)?;
        if let Some(last) = history.last() {
            tracing::info!("going on after epoch {}", last.epoch);
        }
        history.iter().for_each(&mut progress);
        let mut step = optimizer.steps();
        for epoch in 1..=settings.epochs {
            let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
            rng.set_stream(u64::MAX - epoch as u64);
            // Each epoch shuffles the order of the one before, also where that was done by another process.
            order.shuffle(&mut rng);
            if epoch <= history.len() {
                continue;
            }
            let (mut loss_sum, mut n_steps, mut lr) = (0.0, 0, 0.0);
            for chunk in order.chunks(settings.batch_size) {
                if stop_requested() {
                    return Ok(None);
                }
                let rows = self.encode(chunk, settings, &segmenter, &mut rng)?;
                lr = settings.learning_rate * linear_schedule(step, settings.warmup_steps, total);
                let mode = Mode::Train { seed: settings.seed, step: step as u64 };
                loss_sum += self.learn(&model, &mut optimizer, &rows, lr, mode)?;
                (step, n_steps) = (step + 1, n_steps + 1);
            }
            let heldout = self.evaluate(&examples.heldout)?;
            let train_loss = loss_sum / f64::from(n_steps.max(1));
            let report = Epoch { epoch, train_loss, learning_rate: lr, heldout };
            progress(&report);
            history.push(report);
            // After the last epoch the checkpoint itself is written.
            if epoch < settings.epochs {
                state.save(self.params, &optimizer, &history)?;
            }
        }
        Ok(Some(history))
    }

    /// The network as it stands, on captions; a batch of one gives the same numbers.
    pub(super) fn probabilities(&self, examples: &[Example]) -> Result<Vec<f32>> {
        let frozen = self.params.vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor()));
        let vb = VarBuilder::from_tensors(frozen.collect(), DType::F32, self.device);
        let model = BertClassifier::load(vb, self.config)?;
        let scorer = Scorer::new(model, self.encoder.clone(), 64)?;
        let texts: Vec<&str> = examples.iter().map(|example| example.text.as_str()).collect();
        Ok(scorer.score(&texts, |_| ())?.iter().map(|score| score.probability).collect())
    }

    fn evaluate(&self, examples: &[Example]) -> Result<Metrics> {
        let probabilities = self.probabilities(examples)?;
        Ok(Metrics::of(probabilities.into_iter().zip(examples.iter().map(|example| example.sound))))
    }

    /// One update; gives the loss before it.
    fn learn(&self, model: &BertClassifier, optimizer: &mut AdamW, rows: &[Row], lr: f64, mode: Mode) -> Result<f64> {
        let loss = self.loss(model, rows, mode)?;
        optimizer.step(&loss.backward()?, lr)?;
        Ok(f64::from(loss.to_scalar::<f32>()?))
    }

    fn encode(
        &self,
        examples: &[&Example],
        settings: &Loop,
        segmenter: &Segmenter,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Row>> {
        let mut row = |example: &&Example| -> Result<Row> {
            let text = without_brackets(&example.text);
            let mut ids = match settings.subword_dropout {
                0.0 => self.encoder.ids(&text)?,
                share => segmenter.encode(&text, share, rng)?,
            };
            self.drop_tokens(&mut ids, settings.token_dropout, rng);
            Ok((ids, u32::from(example.sound)))
        };
        examples.iter().map(&mut row).collect()
    }

    /// Hides words: a network that saw few captions must not hang its verdict on one of them.
    fn drop_tokens(&self, ids: &mut [u32], share: f64, rng: &mut ChaCha8Rng) {
        let unknown = self.encoder.inner().token_to_id("[UNK]").filter(|_| share > 0.0);
        let (Some(unknown), Some(last)) = (unknown, ids.len().checked_sub(1)) else { return };
        for id in ids.iter_mut().take(last).skip(1) {
            if rng.random_bool(share) {
                *id = unknown;
            }
        }
    }

    fn loss(&self, model: &BertClassifier, rows: &[Row], mode: Mode) -> Result<Tensor> {
        let ids: Vec<&[u32]> = rows.iter().map(|(ids, _)| ids.as_slice()).collect();
        let classes: Vec<u32> = rows.iter().map(|(_, class)| *class).collect();
        let (ids, mask) = batch(&ids, self.encoder.pad_id(), self.device)?;
        let logits = model.forward(&ids, mask.as_ref(), mode)?;
        let loss = cross_entropy(&logits, &Tensor::new(classes, self.device)?)?;
        if loss.to_scalar::<f32>()?.is_finite() {
            return Ok(loss);
        }
        Err(NetworkError::Gradient { step: 0, what: "the loss is not finite", names: Vec::new() })
    }
}
