//! Times steps of training, for `bench/run training` and `scripts/cuda`.
//!
//! `training_steps FOLDER` takes the model, the adapter and the description of the work that `bench/training.py make` has
//! written, and does what its `run` does: steps of supervised fine-tuning on one sequence about a sound or, with `--grpo`,
//! steps that write a group of completions of its question and learn from them. Losses go to stderr, with the median of the
//! seconds of each part of a step; the median of the seconds of a step goes to stdout.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the program's output")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use audsem_core::device::{DeviceChoice, Precision};
use audsem_core::hub::ModelDir;
use audsem_models::generate::{GenerationConfig, PromptGroup, SampledCompletion, sample_groups};
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use audsem_models::multimodal::trainable::{TrainableAudioModel, TrainingPlan};
use audsem_models::nn::lora::Adapter;
use audsem_models::nn::{Mode, limit_threads, settle_candle_threads};
use audsem_models::train::{
    Accumulated, AdamW, AdamWConfig, Sound, TargetScores, TrainableModel, TrainingSequence, audit_gradients,
};
use audsem_training::grpo::advantage::{AdvantageScale, advantages};
use audsem_training::grpo::objective::{CompletionRow, KlEstimator, LossKind, Objective, UpdateSize};
use clap::Parser;

const RATE: f64 = 1e-4;
const MAX_NORM: f64 = 1.0;

#[derive(Parser)]
struct Flags {
    /// What bench/training.py has made
    folder: PathBuf,
    /// Writes completions and learns from them
    #[arg(long)]
    grpo: bool,
    /// Memory, in layers, for graphs that are kept instead of being computed twice: by default that of all layers
    #[arg(long, default_value_t = usize::MAX)]
    kept: usize,
    #[arg(long, default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
    /// Of the weights; adapters are in f32
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    dtype: Precision,
}

/// `work.json` of the folder.
#[derive(serde::Deserialize)]
struct Work {
    /// The token that stands for sounds, and those for pictures.
    audio: u32,
    barred: Vec<u32>,
    /// Tokens of text are below this one.
    vocabulary: u32,
    /// Tokens of the sequence, and how many of the last ones are the answer.
    tokens: usize,
    answer: usize,
    /// Seconds of sound.
    seconds: usize,
    /// Completions of a group.
    group: usize,
    /// Steps that do not count, and that do.
    warm: usize,
    steps: usize,
}

impl Work {
    fn sequence(&self, model: &TrainableAudioModel) -> Result<TrainingSequence, Box<dyn Error>> {
        let sample = |n: usize| 0.3 * (std::f32::consts::TAU * 440.0 * n as f32 / 16_000.0).sin();
        let sound: Sound = (0..self.seconds * 16_000).map(sample).collect();
        let vectors = model.audio_tokens(sound.len())?;
        let token = |n: usize| match n < vectors {
            true => Ok(self.audio),
            false => u32::try_from(n * 7919 % self.vocabulary as usize),
        };
        let tokens = (0..self.tokens).map(token).collect::<Result<_, _>>()?;
        Ok(TrainingSequence {
            tokens,
            sounds: vec![sound],
            targets: (self.tokens - self.answer..self.tokens).collect(),
        })
    }
}

/// What is timed.
struct Steps {
    model: TrainableAudioModel,
    optimizer: AdamW,
    sequence: TrainingSequence,
    work: Work,
}

impl Steps {
    fn open(flags: &Flags) -> Result<Self, Box<dyn Error>> {
        let folder = |name: &str| flags.folder.join(name);
        let work: Work = serde_json::from_slice(&std::fs::read(folder("work.json"))?)?;
        let adapter = Adapter::open(&ModelDir::local(&folder("adapter")))?;
        let plan = TrainingPlan { kept_layers: flags.kept, ..TrainingPlan::of_adapters(adapter.config.clone(), 0) };
        let checkpoint = AudioCheckpoint::open(path_name(&folder("model"))?, None)?;
        let device = flags.device.open()?;
        let model = TrainableAudioModel::open(&checkpoint, &plan, Some(&adapter), (&device, flags.dtype.dtype()))?;
        let config = AdamWConfig { max_grad_norm: Some(MAX_NORM), ..AdamWConfig::default() };
        let optimizer = AdamW::new(model.vars().to_vec(), config)?;
        Ok(Self { sequence: work.sequence(&model)?, optimizer, model, work })
    }

    /// A step of supervised fine-tuning: its loss.
    fn fine_tune(&mut self, step: usize) -> Result<f32, Box<dyn Error>> {
        let mut loss = 0.0;
        let mut derivatives = |scores: &[TargetScores]| {
            let n = scores[0].log_probs.len() as f32;
            loss = -scores[0].log_probs.iter().sum::<f32>() / n;
            Ok(vec![vec![-1.0 / n; scores[0].log_probs.len()]])
        };
        let mut sum = Accumulated::default();
        let batch = std::slice::from_ref(&self.sequence);
        self.model.backward(batch, 1.0, mode(step), &mut derivatives, &mut sum)?;
        self.update(step, &sum)?;
        Ok(loss)
    }

    /// A group of completions as long as the answer.
    fn roll_out(&self, step: usize) -> Result<Vec<SampledCompletion>, Box<dyn Error>> {
        let config = GenerationConfig {
            do_sample: true,
            top_k: 50,
            max_new_tokens: Some(self.work.answer),
            suppress_tokens: Some(self.work.barred.clone()),
            ..GenerationConfig::default()
        };
        let seeds = (0..self.work.group).map(|n| (step * self.work.group + n) as u64).collect();
        let prompt = self.sequence.tokens[..self.work.tokens - self.work.answer].to_vec();
        let policy = self.model.policy(true)?;
        let mut decoder = policy.decoder(std::slice::from_ref(&self.sequence.sounds))?;
        Ok(sample_groups(&mut *decoder, &[PromptGroup { prompt, seeds }], &config)?.remove(0))
    }

    /// An update by completions, of which later ones count as better: its loss.
    fn learn(&mut self, step: usize, group: &[SampledCompletion]) -> Result<f32, Box<dyn Error>> {
        let begin = self.work.tokens - self.work.answer;
        let sequence = |drawn: &SampledCompletion| {
            let tokens = [&self.sequence.tokens[..begin], &drawn.tokens].concat();
            TrainingSequence { targets: (begin..tokens.len()).collect(), tokens, sounds: self.sequence.sounds.clone() }
        };
        let batch: Vec<TrainingSequence> = group.iter().map(sequence).collect();
        let rewards = vec![(0..group.len()).map(|n| Some(n as f64)).collect()];
        let advantages = advantages(&rewards, AdvantageScale::Group).remove(0);
        let objective = self.objective();
        let mut loss = 0.0;
        let mut derivatives = |scores: &[TargetScores]| {
            let masks: Vec<Vec<bool>> = scores.iter().map(|scores| vec![true; scores.log_probs.len()]).collect();
            let rows = scores.iter().zip(&masks).zip(&advantages);
            let rows: Vec<CompletionRow<'_>> =
                rows.map(|((scores, mask), advantage)| row(scores, mask, *advantage)).collect();
            let value = objective.value(&rows, 0.0, UpdateSize::of(&rows));
            loss = value.loss as f32;
            Ok(value.gradients.iter().map(|row| row.iter().map(|slope| *slope as f32).collect()).collect())
        };
        let mut sum = Accumulated::default();
        self.model.backward(&batch, 1.0, mode(step), &mut derivatives, &mut sum)?;
        self.update(step, &sum)?;
        Ok(loss)
    }

    fn objective(&self) -> Objective {
        let (epsilon_low, epsilon_high) = LossKind::Dapo.usual_clipping();
        Objective {
            loss: LossKind::Dapo,
            epsilon_low,
            epsilon_high,
            delta: None,
            kl: KlEstimator::K3,
            corrects_kl: false,
            mismatch: None,
            max_completion_tokens: self.work.answer,
        }
    }

    fn update(&mut self, step: usize, sum: &Accumulated) -> Result<(), Box<dyn Error>> {
        if step == 0 {
            audit_gradients(sum, self.model.vars())?;
        }
        self.optimizer.step(sum, RATE)?;
        Ok(())
    }
}

/// A completion by the policy that learns from it.
fn row<'a>(scores: &'a TargetScores, mask: &'a [bool], advantage: Option<f64>) -> CompletionRow<'a> {
    CompletionRow {
        log_probs: &scores.log_probs,
        old: &scores.log_probs,
        reference: None,
        sampler: None,
        mask,
        advantage: advantage.unwrap_or_default(),
    }
}

fn mode(step: usize) -> Mode {
    Mode::Train { seed: 0, step: step as u64 }
}

fn path_name(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{}: not a name in UTF-8", path.display()))
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n => f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]),
    }
}

#[allow(unsafe_code, reason = "an environment variable, before anything reads one")]
fn main() -> Result<(), Box<dyn Error>> {
    // SAFETY: no other thread runs yet.
    unsafe { settle_candle_threads() };
    limit_threads(2);
    let flags = Flags::parse();
    let mut steps = Steps::open(&flags)?;
    let (mut losses, mut rolling, mut learning) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..steps.work.warm + steps.work.steps {
        let begin = Instant::now();
        let group = if flags.grpo { Some(steps.roll_out(step)?) } else { None };
        rolling.push(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        losses.push(match &group {
            Some(group) => steps.learn(step, group)?,
            None => steps.fine_tune(step)?,
        });
        learning.push(begin.elapsed().as_secs_f64());
    }
    let (rolling, learning) = (&rolling[steps.work.warm..], &learning[steps.work.warm..]);
    let all: Vec<f64> = rolling.iter().zip(learning).map(|(a, b)| a + b).collect();
    eprintln!("losses {losses:.5?}");
    eprintln!("seconds of completions {:.3}, of the update {:.3}", median(rolling), median(learning));
    println!("{}", median(&all));
    Ok(())
}
