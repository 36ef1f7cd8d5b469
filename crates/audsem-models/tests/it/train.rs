//! Training: schedules against transformers, accumulation against one large batch, and interruption at every update.

use std::cell::Cell;

use audsem_models::checkpoint::safetensors_bytes;
use audsem_models::nn::{Dropout, Linear, Mode, Params};
use audsem_models::train::{AdamWConfig, EpochSummary, Schedule, StateFile, TrainConfig, TrainTask, Trainer};
use audsem_models::{Error, Result};
use candle_core::{DType, Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::golden::Goldens;

const CPU: &Device = &Device::Cpu;

#[test]
fn schedules_are_those_of_transformers() {
    let goldens = Goldens::load("nn.safetensors");
    let kinds = [("linear", Schedule::Linear), ("cosine", Schedule::Cosine)];
    for (kind, schedule) in kinds.into_iter().chain([("constant_with_warmup", Schedule::ConstantWithWarmup)]) {
        for (warmup, total) in [(0, 10), (4, 10), (3, 17), (10, 10)] {
            let name = format!("schedule.{kind}.{warmup}.{total}");
            let factors = goldens.get(&name).to_vec1::<f64>().unwrap();
            assert_eq!(factors.len(), total + 2);
            // Behind its last step transformers lets the cosine rise again; there is no such step.
            for (step, factor) in factors.into_iter().enumerate().take(total + 1) {
                let got = schedule.factor(step, warmup, total);
                assert!((got - factor).abs() < 1e-12, "{name}, step {step}: {got}, not {factor}");
            }
        }
    }
}

/// Learns a sum of products from noisy inputs, with dropout.
struct Sums {
    layers: [Linear; 2],
    dropout: Dropout,
    noise: f32,
    /// Counts losses, and breaks the loss of this number.
    losses: Cell<usize>,
    breaks_at: usize,
}

impl Sums {
    fn new(params: &Params, p: f64, noise: f32) -> Self {
        let vb = params.var_builder(DType::F32, CPU);
        let layers = [("up", 3, 8), ("down", 8, 1)];
        let layers = layers.map(|(name, inputs, outputs)| Linear::load(&vb.pp(name), inputs, outputs, 0.5).unwrap());
        let dropout = Dropout::new(p, "dropout").unwrap();
        Self { layers, dropout, noise, losses: Cell::new(0), breaks_at: usize::MAX }
    }
}

impl TrainTask for Sums {
    type Example = [f32; 4];
    type Report = (usize, u64);

    fn loss(&self, examples: &[&[f32; 4]], rng: &mut ChaCha8Rng, mode: Mode) -> Result<Tensor> {
        let inputs: Vec<f32> = examples
            .iter()
            .flat_map(|example| [0, 1, 2].map(|n| example[n] + rng.random_range(-1.0..1.0) * self.noise))
            .collect();
        let targets: Vec<f32> = examples.iter().map(|example| example[3]).collect();
        let x = Tensor::from_vec(inputs, (examples.len(), 3), CPU)?;
        let y = self.dropout.forward(&self.layers[0].forward_in(&x, mode)?.tanh()?, mode)?;
        let y = self.layers[1].forward_in(&y, mode)?.squeeze(1)?;
        let loss = (y - Tensor::from_vec(targets, examples.len(), CPU)?)?.sqr()?.mean_all()?;
        self.losses.set(self.losses.get() + 1);
        if self.losses.get() > self.breaks_at { Ok((loss * f64::INFINITY)?) } else { Ok(loss) }
    }

    fn report(&self, epoch: &EpochSummary) -> Result<(usize, u64)> {
        Ok((epoch.epoch, epoch.train_loss.to_bits()))
    }
}

fn examples() -> Vec<[f32; 4]> {
    let example = |n: usize| {
        let [a, b, c] = [0.9, 1.7, 2.3].map(|step: f32| (step * n as f32).sin());
        [a, b, c, a * b - 0.5 * c]
    };
    (0..22).map(example).collect()
}

fn config() -> TrainConfig {
    TrainConfig {
        epochs: 3,
        batch_size: 2,
        accumulation: 2,
        learning_rate: 0.02,
        schedule: Schedule::Cosine,
        warmup_steps: 2,
        optimizer: AdamWConfig { weight_decay: 0.01, ..AdamWConfig::default() },
        seed: 5,
        save_steps: None,
    }
}

/// Reports, and weights as bytes; none if the training was stopped.
type Outcome = Option<(Vec<(usize, u64)>, Vec<u8>)>;

/// One process: begins with new weights, or continues from the state in the folder.
fn process(folder: &std::path::Path, config: TrainConfig, stop: fn() -> bool, breaks_at: usize) -> Result<Outcome> {
    let params = Params::new(9);
    let task = Sums { breaks_at, ..Sums::new(&params, 0.2, 0.1) };
    let state = StateFile::new(folder, "sums".to_owned());
    let trainer = Trainer { config, params: &params, device: CPU, state: &state, stop };
    let history = trainer.run(&task, &examples(), |_| ())?;
    history.map(|history| Ok((history, safetensors_bytes(&params.vars())?))).transpose()
}

thread_local! {
    /// Updates that are still allowed.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn stops_when_none_is_left() -> bool {
    LEFT.with(|left| {
        let n = left.get();
        left.set(n.saturating_sub(1));
        n == 0
    })
}

/// Weights, optimiser, order, noise, dropout and reports: stopped after any number of updates, again and again.
#[test]
fn a_stopped_training_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = process(folder.path(), config(), || false, usize::MAX).unwrap().unwrap();
    assert_eq!(wanted.0.len(), 3);
    for updates in [1, 2, 5, 6, 7] {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = 0;
        let got = loop {
            processes += 1;
            LEFT.set(updates);
            if let Some(got) = process(folder.path(), config(), stops_when_none_is_left, usize::MAX).unwrap() {
                break got;
            }
        };
        // Three epochs of six updates each.
        assert_eq!(processes, 18usize.div_ceil(updates), "{updates} updates at a time");
        assert!(got == wanted, "{updates} updates at a time");
    }
}

/// A process that dies keeps what was saved last: here every two updates, and at the end of an epoch.
#[test]
fn a_killed_training_goes_on_to_the_same_bytes() {
    let whole = tempfile::tempdir().unwrap();
    let config = TrainConfig { save_steps: Some(2), ..config() };
    let wanted = process(whole.path(), config, || false, usize::MAX).unwrap().unwrap();
    for losses in 1..25 {
        let folder = tempfile::tempdir().unwrap();
        let error = process(folder.path(), config, || false, losses).unwrap_err();
        assert!(matches!(error, Error::Gradient { what: "the loss is not finite", .. }), "{error}");
        let got = process(folder.path(), config, || false, usize::MAX).unwrap().unwrap();
        assert!(got == wanted, "after {losses} losses");
    }
}

#[test]
fn a_state_of_something_else_is_passed_over_and_a_broken_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    LEFT.set(3);
    assert!(process(folder.path(), config(), stops_when_none_is_left, usize::MAX).unwrap().is_none());
    let params = Params::new(9);
    let task = Sums::new(&params, 0.0, 0.0);
    let other = StateFile::new(folder.path(), "differences".to_owned());
    let trainer = Trainer { config: config(), params: &params, device: CPU, state: &other, stop: || false };
    let mut epochs = 0;
    trainer.run(&task, &examples(), |_| epochs += 1).unwrap().unwrap();
    assert_eq!(epochs, 3);

    let file = folder.path().join(".train-state.tmp");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..40]).unwrap();
    let error = trainer.run(&task, &examples(), |_| ()).unwrap_err().to_string();
    assert!(error.contains("cannot continue") && error.contains("--fresh"), "{error}");
    StateFile::remove(folder.path()).unwrap();
    StateFile::remove(folder.path()).unwrap();
    assert!(!file.exists());
}

/// Without dropout and noise the mean over two batches of two is the mean over one of four, also where the last of an
/// epoch is smaller.
#[test]
fn accumulated_gradients_are_those_of_one_large_batch() {
    let weights = |batch_size, accumulation| {
        let folder = tempfile::tempdir().unwrap();
        let params = Params::new(9);
        let task = Sums::new(&params, 0.0, 0.0);
        let state = StateFile::new(folder.path(), String::new());
        let config = TrainConfig { batch_size, accumulation, ..config() };
        let trainer = Trainer { config, params: &params, device: CPU, state: &state, stop: || false };
        let examples = &examples()[..21];
        let history = trainer.run(&task, examples, |_| ()).unwrap().unwrap();
        let losses: Vec<f64> = history.into_iter().map(|(_, loss)| f64::from_bits(loss)).collect();
        assert!(losses[2] < losses[0], "it learns: {losses:?}");
        let values =
            params.vars().into_iter().flat_map(|(_, var)| var.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        (losses, values.collect::<Vec<f32>>())
    };
    let (losses, wanted) = weights(4, 1);
    for (batch_size, accumulation) in [(2, 2), (1, 4), (3, 1)] {
        let (other_losses, got) = weights(batch_size, accumulation);
        let difference = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if batch_size * accumulation == 4 {
            assert!(difference < 1e-5, "{batch_size} × {accumulation}: {difference:e}");
            assert!(losses.iter().zip(&other_losses).all(|(a, b)| (a - b).abs() < 1e-5));
        } else {
            assert!(difference > 1e-3, "another batch is another training");
        }
    }
}
