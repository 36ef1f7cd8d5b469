//! Updates against TRL, PEFT and torch (`fixtures/regen/grpo_steps.py`), and which completions are learned from.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use audsem_models::train::{AdamW, AdamWConfig, Sound};
use candle_core::{DType, Device, Tensor};

use super::super::objective::{KlEstimator, LossKind};
use super::super::rollout::Rollout;
use super::super::tiny::{goldens, model};
use super::*;
use crate::data::Prepared;
use crate::manifest::ExampleText;
use crate::rewards::RewardBreakdown;

const TEMPERATURE: f64 = 0.9;
const BETA: f64 = 0.04;

fn load(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(goldens().join(name), &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The sequences of `training.safetensors` as completions with these advantages, each of a prompt of its own.
fn groups(advantages: &[f32]) -> Vec<ScoredGroup> {
    let (stored, sounds) = (load("training.safetensors"), load("qwen2_audio_tiny.safetensors"));
    let group = |(n, advantage): (usize, &f32)| {
        let ids = |name: &str| numbers(&stored[&format!("{name}.{n}")]).into_iter().map(|id| id as u32);
        let (tokens, begin) = (ids("sequence").collect::<Vec<u32>>(), ids("targets").next().unwrap() as usize);
        let sound = numbers(&stored[&format!("sound.{n}")])[0];
        let sound = (sound >= 0.0).then(|| Sound::from(numbers(&sounds[&format!("samples.{sound}")])));
        let prompt = tokens[..begin].to_vec();
        let sequence = TrainingSequence { tokens: prompt, sounds: sound.into_iter().collect(), targets: Vec::new() };
        let text = ExampleText::default();
        let example = Prepared { row: n, key: format!("k{n}"), text, sequence, cropped: false };
        ScoredGroup { example, completions: vec![completion(&tokens[begin..], f64::from(*advantage))] }
    };
    advantages.iter().enumerate().map(group).collect()
}

fn completion(tokens: &[u32], advantage: f64) -> ScoredCompletion {
    ScoredCompletion {
        rollout: Rollout { tokens: tokens.to_vec(), log_probs: vec![0.0; tokens.len()], finish: Finish::Stop },
        text: String::new(),
        reward: RewardBreakdown { total: Some(advantage), values: vec![Some(advantage)], faults: Vec::new() },
        advantage: Some(advantage),
    }
}

fn objective(loss: LossKind) -> Objective {
    Objective {
        loss,
        epsilon_low: 0.1,
        epsilon_high: 0.15,
        delta: None,
        kl: KlEstimator::K3,
        corrects_kl: false,
        mismatch: None,
        max_completion_tokens: 8,
    }
}

const EVERYTHING: RowFilter = RowFilter { skip_flat_groups: false, mask_truncated: false };

/// Completions are used for five updates, so that ratios move and are clipped; two of them in each forward pass.
#[test]
fn five_updates_are_those_of_trl() {
    let golden = load("grpo_steps.safetensors");
    let groups = groups(&numbers(&golden["advantages"]));
    for (case, loss) in [("grpo", LossKind::Grpo), ("dapo", LossKind::Dapo), ("gspo", LossKind::Gspo)] {
        let (model, objective) = (model(), objective(loss));
        let learning =
            Learning { model: &model, objective: &objective, temperature: TEMPERATURE, batch_rows: 2, seed: 1 };
        let reference = ReferencePolicy::of(&model).unwrap();
        let mut rows = LearningRow::of_groups(&groups, EVERYTHING);
        learning.remember_old(&mut rows).unwrap();
        learning.ask_reference(&mut rows, &reference).unwrap();
        let config = AdamWConfig { max_grad_norm: Some(0.5), ..AdamWConfig::default() };
        let mut optimizer = AdamW::new(model.vars().to_vec(), config).unwrap();
        let (losses, clipped) =
            (numbers(&golden[&format!("{case}.losses")]), numbers(&golden[&format!("{case}.clipped")]));
        assert!(clipped[4] > 0.0, "{case}: the golden clips nothing");
        for step in 0..5 {
            let (sum, report) = learning.gradient(&rows, BETA, false, step).unwrap();
            assert!((report.loss - f64::from(losses[step])).abs() <= 1e-4, "{case} {step}: {} {losses:?}", report.loss);
            assert!(
                (report.sums.clip_ratios()[2] - f64::from(clipped[step])).abs() <= 1e-6,
                "{case} {step}: {report:?}"
            );
            optimizer.step(&sum, 1e-2).unwrap();
            for (name, var) in model.vars().iter().filter(|_| step == 0 || step == 4) {
                let wanted = &golden[&format!("{case}.{}.{name}", step + 1)];
                let worst = (var.as_tensor() - wanted).unwrap().abs().unwrap().max_all().unwrap();
                assert!(worst.to_scalar::<f32>().unwrap() <= 1e-4, "{case} {step} {name}: {worst}");
            }
        }
        // The reference is still the start, and asking it has changed nothing.
        let before = learning.scores(&rows, |batch| Ok(model.score(batch, TEMPERATURE, true)?)).unwrap();
        let first = rows[0].reference.clone();
        learning.ask_reference(&mut rows, &reference).unwrap();
        assert_eq!(rows[0].reference, first);
        assert_eq!(learning.scores(&rows, |batch| Ok(model.score(batch, TEMPERATURE, true)?)).unwrap(), before);
        assert_ne!(first.unwrap(), before[0].log_probs);
    }
}

/// A sampler that drew from another policy: what it said of its tokens decides how much they count.
#[test]
fn a_foreign_sampler_is_corrected_for_and_measured() {
    let (model, mut groups) = (model(), groups(&[1.0, -1.0, 0.5, -0.5]));
    let mut objective = objective(LossKind::Grpo);
    objective.mismatch = Some(super::super::mismatch::Mismatch::default());
    let learning = Learning { model: &model, objective: &objective, temperature: TEMPERATURE, batch_rows: 8, seed: 1 };
    let mut rows = LearningRow::of_groups(&groups, EVERYTHING);
    learning.remember_old(&mut rows).unwrap();
    let olds: Vec<Vec<f32>> = rows.iter().map(|row| row.old.clone().unwrap()).collect();
    for (group, old) in groups.iter_mut().zip(&olds) {
        group.completions[0].rollout.log_probs = old.iter().map(|log_prob| log_prob - 0.125).collect();
    }
    let mut rows = LearningRow::of_groups(&groups, EVERYTHING);
    learning.remember_old(&mut rows).unwrap();
    let (_, report) = learning.gradient(&rows, 0.0, true, 0).unwrap();
    let mismatch = report.mismatch.unwrap();
    assert!((mismatch.mean - 0.125).abs() < 1e-6 && (mismatch.largest - 0.125).abs() < 1e-6, "{mismatch:?}");
    // Each token of a completion of n has the factor exp(n / 8).
    let tokens: Vec<f64> = olds.iter().map(|old| old.len() as f64).collect();
    let wanted = tokens.iter().map(|n| n * (n * 0.125).exp()).sum::<f64>() / tokens.iter().sum::<f64>();
    assert!((report.sums.mean_correction() - wanted).abs() < 1e-5, "{} {wanted}", report.sums.mean_correction());
    assert!(learning.gradient(&rows, 0.0, false, 0).unwrap().1.mismatch.is_none());
}

#[test]
fn flat_groups_and_cut_completions_are_left_out_where_that_is_asked_for() {
    let mut groups = groups(&[1.0, 0.5]);
    groups[0].completions = vec![completion(&[5, 6], 1.0), completion(&[7], -1.0)];
    groups[0].completions[0].rollout.finish = Finish::Length;
    groups[1].completions = vec![completion(&[5], 0.25), completion(&[8], 0.25)];
    groups[1].completions.push(ScoredCompletion { advantage: None, ..completion(&[9], 0.25) });
    let rows = |skip_flat_groups, mask_truncated| {
        let rows = LearningRow::of_groups(&groups, RowFilter { skip_flat_groups, mask_truncated });
        rows.iter().map(|row| (row.sequence.targets.len(), row.counts(), row.has_signal())).collect::<Vec<_>>()
    };
    // Of the second group one has no reward and takes no part.
    assert_eq!(rows(false, false), [(2, true, true), (1, true, true), (1, true, true), (1, true, true)]);
    assert_eq!(rows(true, false), [(2, true, true), (1, true, true)]);
    assert_eq!(rows(true, true), [(2, false, false), (1, true, true)]);
}
