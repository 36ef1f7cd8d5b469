//! Times steps of training, for `bench/run training`.
//!
//! `bench_training FOLDER [KEPT]` takes the model and the adapter that `bench/training.py make` has written, and does what
//! its `run` does: steps of `AdamW` on one sequence about a sound. It prints the losses, which are those of torch, to stderr
//! and the median of the seconds of a step. KEPT layers keep their graphs instead of being computed twice.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the program's output")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use audsem_core::hub::ModelDir;
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use audsem_models::multimodal::trainable::{TrainableAudioModel, TrainingPlan};
use audsem_models::nn::lora::Adapter;
use audsem_models::nn::{Mode, limit_threads};
use audsem_models::train::{
    Accumulated, AdamW, AdamWConfig, Sound, TargetScores, TrainableModel, TrainingSequence, audit_gradients,
};
use candle_core::{DType, Device};

const AUDIO: u32 = 31_999;
const TOKENS: u32 = 512;
const ANSWER: usize = 128;
const SECONDS: usize = 2;
const WARM: usize = 2;
const STEPS: usize = 10;
const RATE: f64 = 1e-4;

/// Layers that keep their graphs by default: as many as half of torch's memory has room for.
const KEPT: usize = 4;

fn sequence(vectors: usize) -> TrainingSequence {
    let sample = |n: usize| 0.3 * (std::f32::consts::TAU * 440.0 * n as f32 / 16_000.0).sin();
    let sound: Sound = (0..SECONDS * 16_000).map(sample).collect();
    let token = |n: u32| if (n as usize) < vectors { AUDIO } else { n * 7919 % 31_000 };
    let tokens = (0..TOKENS).map(token).collect();
    TrainingSequence { tokens, sounds: vec![sound], targets: (TOKENS as usize - ANSWER..TOKENS as usize).collect() }
}

fn main() -> Result<(), Box<dyn Error>> {
    limit_threads(2);
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("the folder that bench/training.py has made")?;
    let kept_layers = args.next().map_or(Ok(KEPT), |kept| kept.parse())?;
    let dir = |name: &str| ModelDir::local(&Path::new(&folder).join(name));
    let adapter = Adapter::open(&dir("adapter"))?;
    let plan = TrainingPlan { kept_layers, ..TrainingPlan::of_adapters(adapter.config.clone(), 0) };
    let checkpoint = AudioCheckpoint::open(&format!("{folder}/model"), None)?;
    let model = TrainableAudioModel::open(&checkpoint, &plan, Some(&adapter), (&Device::Cpu, DType::F32))?;
    let batch = [sequence(model.audio_tokens(SECONDS * 16_000)?)];
    let mut optimizer = AdamW::new(model.vars().to_vec(), AdamWConfig::default())?;
    let (mut losses, mut seconds) = (Vec::new(), Vec::new());
    for step in 0..WARM + STEPS {
        let begin = Instant::now();
        let mut sum = Accumulated::default();
        let mut loss = |scores: &[TargetScores]| {
            losses.push(-scores[0].log_probs.iter().sum::<f32>() / ANSWER as f32);
            Ok(vec![vec![-1.0 / ANSWER as f32; ANSWER]])
        };
        let mode = Mode::Train { seed: 0, step: step as u64 };
        model.backward(&batch, 1.0, mode, &mut loss, &mut sum)?;
        if step == 0 {
            audit_gradients(&sum, model.vars())?;
        }
        optimizer.step(&sum, RATE)?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    eprintln!("losses {losses:.5?}");
    let mut seconds = seconds.split_off(WARM);
    seconds.sort_by(f64::total_cmp);
    println!("{}", f64::midpoint(seconds[STEPS / 2 - 1], seconds[STEPS / 2]));
    Ok(())
}
