//! The training task of the classifier: the class of a caption.

use audsem_models::Result;
use audsem_models::bert::BertClassifier;
use audsem_models::nn::Mode;
use audsem_models::tokenizer::Segmenter;
use audsem_models::tokens::batch;
use audsem_models::train::{AdamWConfig, EpochSummary, Schedule, TrainConfig, TrainTask};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_nn::loss::cross_entropy;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::begin::Begun;
use super::epoch::{Epoch, EpochBits};
use super::labelled::Example;
use super::metrics::Metrics;
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
    /// Decoupled weight decay, not applied to biases and norms.
    pub weight_decay: f64,
    /// Share of tokens that are replaced by the unknown token during training, special tokens excepted.
    pub token_dropout: f64,
    /// MaxMatch-Dropout: probability with which a match is skipped while splitting words during training.
    pub subword_dropout: f64,
    /// Seed of order, dropout and new weights.
    pub seed: u64,
}

impl Loop {
    /// The settings of the training loop.
    pub(super) fn train_config(&self) -> TrainConfig {
        TrainConfig {
            epochs: self.epochs,
            batch_size: self.batch_size,
            accumulation: 1,
            learning_rate: self.learning_rate,
            schedule: Schedule::Linear,
            warmup_steps: self.warmup_steps,
            optimizer: AdamWConfig { weight_decay: self.weight_decay, ..AdamWConfig::default() },
            seed: self.seed,
            save_steps: None,
        }
    }
}

/// A classifier in training.
#[derive(Debug)]
pub(super) struct Learner<'a> {
    begun: &'a Begun,
    settings: &'a Loop,
    heldout: &'a [Example],
    device: &'a Device,
    segmenter: Segmenter,
    model: BertClassifier,
}

/// Token ids and class of a caption.
type Row = (Vec<u32>, u32);

impl TrainTask for Learner<'_> {
    type Example = Example;
    type Report = EpochBits;

    fn loss(&self, examples: &[&Example], rng: &mut ChaCha8Rng, mode: Mode) -> Result<Tensor> {
        let rows = self.encode(examples, rng)?;
        let ids: Vec<&[u32]> = rows.iter().map(|(ids, _)| ids.as_slice()).collect();
        let classes: Vec<u32> = rows.iter().map(|(_, class)| *class).collect();
        let (ids, mask) = batch(&ids, self.begun.encoder.pad_id(), self.device)?;
        let logits = self.model.forward(&ids, mask.as_ref(), mode)?;
        Ok(cross_entropy(&logits, &Tensor::new(classes, self.device)?)?)
    }

    fn report(&self, epoch: &EpochSummary) -> Result<EpochBits> {
        let EpochSummary { epoch, train_loss, learning_rate } = *epoch;
        let heldout = self.evaluate(self.heldout)?;
        Ok(Epoch { epoch, train_loss, learning_rate, heldout }.to_bits())
    }
}

impl<'a> Learner<'a> {
    /// Loads the network that training begins with.
    pub(super) fn new(
        begun: &'a Begun,
        settings: &'a Loop,
        heldout: &'a [Example],
        device: &'a Device,
    ) -> Result<Self> {
        let model = BertClassifier::load(begun.params.var_builder(DType::F32, device), &begun.network)?;
        let segmenter = Segmenter::new(&begun.encoder, begun.encoder.max_tokens());
        Ok(Self { begun, settings, heldout, device, segmenter, model })
    }

    /// The network as it stands, on captions; a batch of one gives the same numbers.
    pub(super) fn probabilities(&self, examples: &[Example]) -> Result<Vec<f32>> {
        let vb = VarBuilder::from_tensors(self.begun.params.without_adapters(), DType::F32, self.device);
        let model = BertClassifier::load(vb, &self.begun.network)?;
        let scorer = Scorer::new(model, self.begun.encoder.clone(), 64, self.begun.sound)?;
        let texts: Vec<&str> = examples.iter().map(|example| example.text.as_str()).collect();
        // `read_labelled` leaves out captions that are too long for the tokenizer, so each has a score.
        Ok(scorer.score(&texts, |_| ())?.into_iter().flatten().map(|score| score.probability).collect())
    }

    fn evaluate(&self, examples: &[Example]) -> Result<Metrics> {
        let probabilities = self.probabilities(examples)?;
        Ok(Metrics::of(probabilities.into_iter().zip(examples.iter().map(|example| example.sound))))
    }

    fn encode(&self, examples: &[&Example], rng: &mut ChaCha8Rng) -> Result<Vec<Row>> {
        let mut row = |example: &&Example| -> Result<Row> {
            let text = without_brackets(&example.text);
            let mut ids = match self.settings.subword_dropout {
                0.0 => self.begun.encoder.ids(&text)?,
                share => self.segmenter.encode(&text, share, rng)?,
            };
            self.drop_tokens(&mut ids, self.settings.token_dropout, rng);
            Ok((ids, self.begun.class_of(example.sound)))
        };
        examples.iter().map(&mut row).collect()
    }

    /// Masks words, so that a network trained on few captions does not depend on single words.
    fn drop_tokens(&self, ids: &mut [u32], share: f64, rng: &mut ChaCha8Rng) {
        let unknown = self.begun.encoder.inner().token_to_id("[UNK]").filter(|_| share > 0.0);
        let (Some(unknown), Some(last)) = (unknown, ids.len().checked_sub(1)) else { return };
        for id in ids.iter_mut().take(last).skip(1) {
            if rng.random_bool(share) {
                *id = unknown;
            }
        }
    }
}
