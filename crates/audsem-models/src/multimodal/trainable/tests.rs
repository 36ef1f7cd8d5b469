#![allow(clippy::unwrap_used)]

use std::path::Path;

use audsem_core::hub::ModelDir;
use candle_core::{D, Tensor};

use super::network::Pass;
use super::pack::{Limits, Packed};
use super::*;
use crate::train::layerwise::StepFunction;
use crate::train::{Gradients, Sound};

fn open() -> TrainableAudioModel {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens");
    let adapter = Adapter::open(&ModelDir::local(&goldens.join("training/adapter"))).unwrap();
    let plan = TrainingPlan::of_adapters(adapter.config.clone(), 3);
    let checkpoint = AudioCheckpoint::open(goldens.join("qwen2_audio_tiny").to_str().unwrap(), None).unwrap();
    TrainableAudioModel::open(&checkpoint, &plan, Some(&adapter), (&Device::Cpu, DType::F32)).unwrap()
}

/// Two sequences about one sound, and one about another.
fn batch() -> Vec<TrainingSequence> {
    let sound = |n: usize, pitch: f32| -> Sound { (0..n).map(|n| (n as f32 * pitch).sin() * 0.2).collect() };
    let (low, high) = (sound(1000, 0.05), sound(2500, 0.3));
    let sequence = |sound: &Sound, vectors: usize, answer: [u32; 3]| {
        let tokens: Vec<u32> = [3].into_iter().chain(vec![37; vectors]).chain(answer).collect();
        let n = tokens.len();
        TrainingSequence { tokens, sounds: vec![Arc::clone(sound)], targets: vec![n - 3, n - 1] }
    };
    let again = Arc::from(low.to_vec());
    vec![sequence(&low, 2, [5, 9, 11]), sequence(&high, 4, [6, 6, 7]), sequence(&again, 2, [21, 1, 8])]
}

/// The gradients of [`TrainableModel::backward`] against those of one graph through the whole network.
#[test]
fn layer_wise_gradients_are_those_of_one_graph() {
    let (model, batch) = (open(), batch());
    let pass = model.pass(&batch, 0.8, Mode::Train { seed: 1, step: 2 });
    let log_probs = model.network.whole_graph(pass);
    let n = log_probs.elem_count();
    let weights: Vec<f32> = (0..n).map(|n| (n as f32 * 1.3).cos()).collect();
    let wanted = (&log_probs * Tensor::new(weights.as_slice(), &Device::Cpu).unwrap()).unwrap().sum_all().unwrap();
    let wanted = wanted.backward().unwrap();
    let mut sum = Accumulated::default();
    let mut loss = |scores: &[TargetScores]| {
        let mut weights = weights.iter().copied();
        Ok(scores.iter().map(|own| weights.by_ref().take(own.log_probs.len()).collect()).collect())
    };
    model.backward(&batch, 0.8, Mode::Train { seed: 1, step: 2 }, &mut loss, &mut sum).unwrap();
    for (name, var) in model.vars() {
        let (got, wanted) = (sum.gradient(name, var).unwrap(), wanted.get(var).unwrap());
        let worst = (got - wanted).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(worst < 2e-6, "{name}: {worst:e}");
    }
}

impl Network {
    /// Log-probabilities of all targets with a graph through everything.
    fn whole_graph(&self, pass: Pass<'_>) -> Tensor {
        let packed = self.pack(pass).unwrap();
        let hearing = self.hearing(&packed, pass, &[]).unwrap();
        let features = self.features(&packed).unwrap();
        let sounds = hearing.steps.iter().fold(features, |x, step| match &step.run {
            StepFunction::Graph(run) => run(&x).unwrap(),
            StepFunction::Own(_) => panic!("a part of the tower with a backward pass of its own"),
        });
        let x = packed.merge(&self.embed(&packed).unwrap(), Some(&sounds)).unwrap();
        let angles = self.angles(&packed).unwrap();
        let x = (0..self.stack.layers()).fold(x, |x, n| {
            let x = self.stack.attend_packed(n, &x, &angles, &packed.cu_seqlens, pass.mode).unwrap();
            self.stack.feed_forward(n, &x, pass.mode).unwrap()
        });
        let head = self.head(pass.temperature);
        let normed = head.norm.forward(&packed.predicting(&x).unwrap()).unwrap();
        let logits = (normed.matmul(&head.weight.t().unwrap()).unwrap() / pass.temperature).unwrap();
        let ids = Tensor::new(packed.targets.as_slice(), &Device::Cpu).unwrap().unsqueeze(1).unwrap();
        candle_nn::ops::log_softmax(&logits, D::Minus1).unwrap().gather(&ids, 1).unwrap().squeeze(1).unwrap()
    }
}

#[test]
fn a_sound_is_heard_once_for_all_sequences_about_it() {
    let limits = Limits { audio_token: 37, vision_tokens: None, vocab_size: 40, max_tokens: 256 };
    let vectors = |samples| Ok(crate::multimodal::SoundLengths::of(samples, 480_000)?.vectors);
    let packed = Packed::new(&batch(), limits, vectors).unwrap();
    assert_eq!(packed.sounds.iter().map(|sound| sound.len()).collect::<Vec<_>>(), [1000, 2500]);
    assert_eq!(packed.cu_seqlens, [0, 6, 14, 20]);
    let rows = |n: usize, value: f32| Tensor::full(value, (n, 1), &Device::Cpu).unwrap();
    let sounds = Tensor::cat(&[rows(2, 1.0), rows(4, 2.0)], 0).unwrap();
    let merged = packed.merge(&rows(20, 0.0), Some(&sounds)).unwrap();
    let wanted = [0, 1, 1, 0, 0, 0, 0, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 0, 0, 0].map(|x| x as f32);
    assert_eq!(merged.flatten_all().unwrap().to_vec1::<f32>().unwrap(), wanted);
    // Both sequences about a sound add to its gradient.
    let of_sounds = packed.of_sounds(&Tensor::ones((1, 20, 1), DType::F32, &Device::Cpu).unwrap(), 6).unwrap();
    assert_eq!(of_sounds.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [2.0, 2.0, 1.0, 1.0, 1.0, 1.0]);
    let positions = packed.positions(&Device::Cpu).unwrap().to_vec2::<u32>().unwrap().concat();
    assert_eq!(positions, [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5]);
}
