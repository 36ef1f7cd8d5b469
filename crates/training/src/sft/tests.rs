//! The loop, with a model so small that its gradients are written out.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[allow(dead_code, reason = "tests of the loader use all of it")]
#[path = "../../tests/it/bytes.rs"]
mod bytes;
#[path = "../../tests/it/sounds.rs"]
mod sounds;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use audsem_core::files::write_atomically;
use audsem_core::instructions::{InstructionProfile, Wordings};
use audsem_core::run::RunOptions;
use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_media::audio::{BitDepth, Decoder, encode_flac};
use audsem_models::checkpoint::safetensors_bytes;
use audsem_models::nn::Mode;
use audsem_models::train::{Accumulated, LossGradient, PolicySnapshot, TargetScores, TrainableModel, TrainingSequence};
use candle_core::{D, DType, Device, Tensor, Var};
use serde_json::Value;

use super::*;
use crate::checkpoint::Checkpoints;
use crate::data::{
    BatchConfig, DataSet, DataSource, EpochOrder, Preparer, PromptConfig, SoundConfig, TargetStyle, Turns,
};
use crate::error::Result;
use crate::reduce::{AllReduce, LoopBack, SingleRank};
use crate::update::UpdateConfig;

const TOKENS: usize = 257;
const CPU: &Device = &Device::Cpu;

/// Logits of a token: a row of `table` for the token before it, and `ear` times how loud and how rough the sound is.
struct Bigrams {
    vars: Vec<(String, Var)>,
    /// Whether the sound is ignored.
    deaf: bool,
    /// Updates whose gradients are not finite.
    broken: Cell<usize>,
}

impl Bigrams {
    fn new(deaf: bool) -> Self {
        let var = |rows: usize| {
            let values = Tensor::arange(0f32, (rows * TOKENS) as f32, CPU).unwrap();
            let values = (values.sin().unwrap() * 0.02).unwrap().reshape((rows, TOKENS)).unwrap();
            Var::from_tensor(&values).unwrap()
        };
        let vars = vec![("ear".to_owned(), var(2)), ("table".to_owned(), var(TOKENS))];
        Self { vars, deaf, broken: Cell::new(0) }
    }

    /// One row of logits for each target of a sequence.
    fn logits(&self, sequence: &TrainingSequence) -> Tensor {
        let before: Vec<u32> = sequence.targets.iter().map(|target| sequence.tokens[target - 1]).collect();
        let rows = self.vars[1].1.embedding(&Tensor::new(before, CPU).unwrap()).unwrap();
        if self.deaf {
            return rows;
        }
        let sound = &sequence.sounds[0];
        let loud = sound.iter().map(|sample| sample.abs()).sum::<f32>() / sound.len() as f32;
        let rough = sound.windows(2).map(|two| (two[0] - two[1]).abs()).sum::<f32>() / sound.len() as f32;
        let heard = Tensor::new(&[[loud, rough]], CPU).unwrap().matmul(&self.vars[0].1).unwrap();
        rows.broadcast_add(&heard).unwrap()
    }

    fn log_probs(&self, sequence: &TrainingSequence) -> (Tensor, TargetScores) {
        let logits = self.logits(sequence);
        let targets: Vec<u32> = sequence.targets.iter().map(|target| sequence.tokens[*target]).collect();
        let index = Tensor::new(targets.clone(), CPU).unwrap().unsqueeze(1).unwrap();
        let most = logits.max_keepdim(D::Minus1).unwrap().detach();
        let shifted = logits.broadcast_sub(&most).unwrap();
        let sum = shifted.exp().unwrap().sum_keepdim(D::Minus1).unwrap().log().unwrap();
        let chosen = (shifted.gather(&index, 1).unwrap() - sum).unwrap().squeeze(1).unwrap();
        let best = logits.argmax(D::Minus1).unwrap().to_vec1::<u32>().unwrap();
        let correct = best.iter().zip(&targets).map(|(a, b)| a == b).collect();
        (chosen.clone(), TargetScores { log_probs: chosen.to_vec1().unwrap(), correct })
    }
}

impl TrainableModel for Bigrams {
    fn vars(&self) -> &[(String, Var)] {
        &self.vars
    }

    fn audio_tokens(&self, samples: usize) -> audsem_models::Result<usize> {
        Ok(samples / 640)
    }

    fn score(&self, batch: &[TrainingSequence], _: f64, _: bool) -> audsem_models::Result<Vec<TargetScores>> {
        Ok(batch.iter().map(|sequence| self.log_probs(sequence).1).collect())
    }

    fn backward(
        &self,
        batch: &[TrainingSequence],
        _: f64,
        _: Mode,
        loss: &mut LossGradient<'_>,
        sum: &mut Accumulated,
    ) -> audsem_models::Result<()> {
        let (chosen, scores): (Vec<Tensor>, Vec<TargetScores>) =
            batch.iter().map(|sequence| self.log_probs(sequence)).unzip();
        let derivatives: Vec<f32> = loss(&scores)?.concat();
        let mut total = (Tensor::cat(&chosen, 0)? * Tensor::new(derivatives, CPU)?)?.sum_all()?;
        if self.broken.get() > 0 {
            self.broken.set(self.broken.get() - 1);
            total = (total * f64::NAN)?;
        }
        sum.add(&total.backward()?, &self.vars)
    }

    fn policy(&self, _: bool) -> audsem_models::Result<Box<dyn PolicySnapshot>> {
        Err(candle_core::Error::Msg("this model writes nothing".to_owned()).into())
    }
}

/// Shards and the data of a training.
struct Fixture {
    folder: tempfile::TempDir,
    data: Arc<DataSet>,
    preparer: Arc<Preparer>,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    write_atomically(&folder.path().join("train/0000.tar"), &sounds::shard(21, 1_000_000)).unwrap();
    let options = RunOptions::new(folder.path().join("out"));
    let source = DataSource { path: folder.path().join("train"), weight: 1.0 };
    let data = Arc::new(DataSet::open(&[source], "index/train", &options).unwrap());
    let prompt = PromptConfig {
        turns: Turns::Answered(TargetStyle::Answer),
        instruction: InstructionProfile::NONE,
        wordings: Wordings::built_in().clone(),
        system: None,
        max_tokens: 500,
        trailing_newline: true,
    };
    let preparer = Preparer::new(Arc::new(bytes::ByteTokenizer), Decoder::new(), SoundConfig::default(), prompt);
    Fixture { folder, data, preparer: Arc::new(preparer) }
}

fn config(batch_size: usize, accumulation: usize) -> LoopConfig {
    LoopConfig {
        epochs: 2,
        max_steps: None,
        batches: BatchConfig { batch_size, batch_tokens: None, window: 0 },
        accumulation,
        normalizer: LossNormalizer::Tokens,
        update: UpdateConfig { learning_rate: 0.5, ..UpdateConfig::default() },
        log_steps: 1,
        eval_steps: None,
        save_steps: None,
        patience: None,
        seed: 5,
    }
}

/// A process: trains in a folder until it is done, or stops after so many updates.
struct Process<'a> {
    config: LoopConfig,
    name: &'a str,
    reduce: &'a dyn AllReduce,
    updates: usize,
    broken: usize,
    validation: Option<Validation>,
}

impl<'a> Process<'a> {
    fn new(config: LoopConfig, name: &'a str) -> Self {
        Self { config, name, reduce: &SingleRank, updates: usize::MAX, broken: 0, validation: None }
    }
}

impl Fixture {
    /// Weights and state at the end; none if it was stopped.
    fn run(&self, process: &Process<'_>) -> Result<Option<(Vec<u8>, LoopState)>> {
        let output = self.folder.path().join(process.name);
        let model = Bigrams::new(false);
        model.broken.set(process.broken);
        let checkpoints = Checkpoints::new(&output, "test".to_owned(), 2);
        let left = Cell::new(process.updates);
        let stop = || left.replace(left.get().saturating_sub(1)) == 0;
        let mut tuning = FineTuning {
            config: process.config,
            model: &model,
            device: CPU,
            data: self.data.clone(),
            order: EpochOrder::shuffled(&self.data, 5, None),
            preparer: self.preparer.clone(),
            validation: process.validation.clone(),
            workers: 2,
            max_left_out: 0.1,
            reduce: process.reduce,
            checkpoints: Some(&checkpoints),
            files: &|| Ok(Vec::new()),
            stop: &stop,
            watch: &mut |_| Ok(()),
        };
        let state = tuning.run()?;
        let weights = safetensors_bytes(model.vars())?;
        Ok(state.map(|state| (weights, state)))
    }

    fn whole(&self, config: LoopConfig, name: &str) -> (Vec<u8>, LoopState) {
        self.run(&Process::new(config, name)).unwrap().unwrap()
    }

    fn checkpoint(&self, name: &str, step: usize) -> std::path::PathBuf {
        self.folder.path().join(name).join(format!("checkpoints/step-{step:08}"))
    }
}

fn losses(state: &LoopState) -> Vec<f64> {
    state.history.curve("loss").into_iter().map(|(_, loss)| loss).collect()
}

#[test]
fn the_loss_falls_and_the_rate_with_the_examples() {
    let fixture = fixture();
    let (_, state) = fixture.whole(config(3, 1), "out");
    let losses = losses(&state);
    assert_eq!((losses.len(), state.steps(), state.reached), (14, 14, 42));
    assert!(losses[13] < 0.6 * losses[0], "{losses:?}");
    let rates = state.history.curve("learning_rate");
    assert_eq!((rates[0].1, rates[7].1), (0.5, 0.25), "by the examples before the update");
    assert!((state.history.last("epoch").unwrap() - 2.0).abs() < 1e-12);
    for step in [7, 14] {
        assert!(fixture.checkpoint("out", step).join("trainer_state.json").is_file(), "one for each epoch");
    }
}

/// Two ranks, which stop after so many updates. Weights and state of each; none if they were stopped.
fn two_ranks(fixture: &Fixture, name: &str, updates: usize) -> Vec<Option<(Vec<u8>, LoopState)>> {
    std::thread::scope(|scope| {
        let run = |rank: LoopBack| {
            scope.spawn(move || {
                let process = Process::new(config(3, 1), name);
                // One is asked to stop, and the other has to heed it.
                let updates = if rank.rank() == 1 { updates } else { usize::MAX };
                fixture.run(&Process { reduce: &rank, updates, ..process }).unwrap()
            })
        };
        let threads: Vec<_> = LoopBack::group(2).into_iter().map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn two_ranks_are_one_with_twice_the_batches() {
    let fixture = fixture();
    let wanted = fixture.whole(config(3, 2), "alone");
    let check = |got: Vec<Option<(Vec<u8>, LoopState)>>| {
        for (weights, state) in got.into_iter().map(Option::unwrap) {
            assert!(weights == wanted.0, "weights, bit for bit");
            assert_eq!(losses(&state), losses(&wanted.1));
        }
    };
    check(two_ranks(&fixture, "two", usize::MAX));
    // Both stop before the same update, and both continue from the checkpoint of the first.
    let stopped = two_ranks(&fixture, "stopped", 3);
    assert!(stopped.iter().all(Option::is_none));
    assert!(fixture.checkpoint("stopped", 3).is_dir());
    check(two_ranks(&fixture, "stopped", usize::MAX));
}

#[test]
fn a_stopped_training_continues_in_the_middle_of_an_epoch_to_the_same_bits() {
    let fixture = fixture();
    // Two epochs of six updates each, the last of which has one example.
    let wanted = fixture.whole(config(2, 2), "alone");
    assert_eq!(wanted.1.steps(), 12);
    for updates in [1, 4, 5] {
        let name = format!("stopped-{updates}");
        let mut processes = 1;
        let got = loop {
            match fixture.run(&Process { updates, ..Process::new(config(2, 2), &name) }).unwrap() {
                Some(got) => break got,
                None => processes += 1,
            }
        };
        assert!(processes >= 12 / updates, "{processes}");
        assert!(got == wanted, "{updates} updates at a time");
    }
    // Again when all is done: nothing is learned any more, and a checkpoint too many, as a process leaves that ends between a
    // save and the removal of old ones, is removed.
    let [left, kept] = [3, 6].map(|step| fixture.checkpoint("alone", step));
    std::fs::create_dir(&left).unwrap();
    std::fs::copy(kept.join("trainer_state.json"), left.join("trainer_state.json")).unwrap();
    assert!(fixture.whole(config(2, 2), "alone").1 == wanted.1);
    assert!(!left.exists() && kept.is_dir());
}

#[test]
fn a_killed_training_continues_from_its_last_checkpoint_to_the_same_bits() {
    let fixture = fixture();
    let config = LoopConfig { save_steps: Some(5), max_steps: Some(10), ..config(2, 1) };
    let wanted = fixture.whole(config, "alone");
    // What a process that is killed behind its seventh update has not saved is lost: the checkpoint of the fifth is left.
    fixture.run(&Process { updates: 7, ..Process::new(config, "killed") }).unwrap();
    let interim = fixture.checkpoint("killed", 7);
    assert!(interim.is_dir());
    std::fs::remove_dir_all(interim).unwrap();
    assert!(fixture.checkpoint("killed", 5).is_dir());
    let got = fixture.whole(config, "killed");
    assert!(got == wanted, "weights, curve and state");
}

#[test]
fn a_mean_over_batches_is_another_loss_than_one_over_tokens() {
    let fixture = fixture();
    let batches = LoopConfig { normalizer: LossNormalizer::MicroBatch, ..config(2, 2) };
    assert_ne!(fixture.whole(config(2, 2), "tokens").0, fixture.whole(batches, "batches").0);
}

#[test]
fn gradients_that_are_not_finite_are_skipped_counted_and_end_the_training() {
    let fixture = fixture();
    let process = |broken: usize, most: usize, name| {
        let mut config = config(3, 1);
        config.update.max_bad_steps = most;
        fixture.run(&Process { broken, ..Process::new(config, name) })
    };
    // The audit of the first gradients refuses them.
    let error = process(1, 5, "first").unwrap_err().to_string();
    assert!(error.contains("gradient is not finite"), "{error}");
    // One process behind the first update: the next three are broken.
    for (most, name, ends) in [(3, "counted", false), (2, "diverged", true)] {
        let mut config = config(3, 1);
        config.update.max_bad_steps = most;
        assert!(fixture.run(&Process { updates: 1, ..Process::new(config, name) }).unwrap().is_none());
        match process(3, most, name) {
            Ok(state) => {
                let state = state.unwrap().1;
                assert_eq!((ends, state.updates.bad, state.steps()), (false, 3, 14));
                assert_eq!(state.history.last("skipped_updates"), Some(3.0));
            }
            Err(error) => assert!(ends && error.to_string().contains("training diverged"), "{error}"),
        }
    }
}

#[test]
fn the_best_validation_is_kept_and_patience_ends_a_training() {
    let fixture = fixture();
    // A full stop behind a full stop, where the training always has a blank: what is learned makes it ever less probable.
    let mut shard = ShardWriter::new(Vec::new(), ShardOptions::default());
    let flac = encode_flac(&sounds::sound(0, 7), 1, 16_000, BitDepth::Sixteen).unwrap();
    let json = serde_json::json!({ "question": "What is it?", "answer": ".".repeat(60) }).to_string();
    shard.write_sample("other (0_0-0_8)", &[("flac", &flac), ("json", json.as_bytes())]).unwrap();
    write_atomically(&fixture.folder.path().join("valid/0000.tar"), &shard.finish().unwrap().0).unwrap();
    let source = DataSource { path: fixture.folder.path().join("valid"), weight: 1.0 };
    let options = RunOptions::new(fixture.folder.path().join("out"));
    let valid = DataSet::open(&[source], "index/valid", &options).unwrap();
    let validation = Validation {
        data: Arc::new(valid),
        preparer: fixture.preparer.clone(),
        batches: BatchConfig { batch_size: 4, batch_tokens: None, window: 0 },
        workers: 1,
    };
    let mut config = LoopConfig { eval_steps: Some(1), patience: Some(2), ..config(3, 1) };
    config.update.learning_rate = 50.0;
    let process = Process { validation: Some(validation), ..Process::new(config, "out") };
    let (_, state) = fixture.run(&process).unwrap().unwrap();
    let valid = state.history.curve("valid_loss");
    let best = valid.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(state.best.unwrap().0 as f64, best.0);
    assert_eq!(state.steps(), state.best.unwrap().0 + 2, "two validations without a better one: {valid:?}");
    assert!(fixture.checkpoint("out", state.best.unwrap().0).is_dir());
}

#[test]
fn a_model_that_does_not_hear_is_refused() {
    let fixture = fixture();
    let example = fixture.preparer.prepare(0, &fixture.data.rows[0]).unwrap().unwrap().sequence;
    let proof = prove_hearing(&Bigrams::new(false), std::slice::from_ref(&example)).unwrap();
    assert!(proof.largest > 0.0 && proof.answers == 1 && proof.tokens == example.targets.len());
    assert!(proof.to_string().starts_with("the model hears: mean log-probability of"), "{proof}");
    let error = prove_hearing(&Bigrams::new(true), &[example]).unwrap_err().to_string();
    assert!(error.contains("does not hear"), "{error}");
}

#[test]
fn a_state_survives_its_json() {
    let fixture = fixture();
    let (_, state) = fixture.whole(config(3, 1), "out");
    let json: Value = serde_json::to_value(&state).unwrap();
    assert!(serde_json::from_value::<LoopState>(json).unwrap() == state);
    assert_eq!(Bigrams::new(false).vars()[1].1.dtype(), DType::F32);
    assert!(Path::new(&fixture.data.rows[0].tar).is_file());
}
