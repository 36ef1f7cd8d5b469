//! Policies of audio language models against torch and PEFT (`fixtures/regen/training.py`): what answers in rollouts is what is
//! trained.

use audsem_models::generate::{GenerationConfig, PromptGroup, SampledCompletion, sample_groups};
use audsem_models::multimodal::trainable::TrainableAudioModel;
use audsem_models::nn::Mode;
use audsem_models::train::{Accumulated, Sound, TargetScores, TrainableModel, TrainingSequence};
use candle_core::Tensor;

use crate::golden::{Goldens, max_abs};
use crate::training::{CPU, batch, check_gradients, goldens, open, worst};

/// Fails unless the inference form, which answers in rollouts, is the training form and that of PEFT.
pub(crate) fn check_policy(goldens: &Goldens, model: &TrainableAudioModel, batch: &[TrainingSequence]) {
    for (adapter, prefix) in [(true, "logits."), (false, "logits.base.")] {
        let policy = model.policy(adapter).unwrap();
        let sounds: Vec<Vec<Sound>> = batch.iter().map(|sequence| sequence.sounds.clone()).collect();
        let prompts: Vec<&[u32]> = batch.iter().map(|sequence| &sequence.tokens[..sequence.targets[0]]).collect();
        let logits = policy.decoder(&sounds).unwrap().prefill(&prompts).unwrap();
        let scores = model.score(batch, 1.0, adapter).unwrap();
        for (n, logits) in logits.into_iter().enumerate() {
            let wanted = goldens.get(&format!("{prefix}{n}")).get(0).unwrap();
            let logits = Tensor::new(logits, CPU).unwrap();
            assert!(max_abs(&logits, &wanted) <= 1e-4, "{prefix}{n}");
            let of_first = candle_nn::ops::log_softmax(&logits, 0).unwrap().to_vec1::<f32>().unwrap();
            let token = batch[n].tokens[batch[n].targets[0]];
            assert!((of_first[token as usize] - scores[n].log_probs[0]).abs() <= 1e-5, "{prefix}{n}");
        }
    }
}

/// Four continuations of each prompt about a sound, by the policy as it stands.
fn rollouts(model: &TrainableAudioModel, prompts: &[TrainingSequence]) -> Vec<Vec<SampledCompletion>> {
    let policy = model.policy(true).unwrap();
    let sounds: Vec<Vec<Sound>> = prompts.iter().map(|prompt| prompt.sounds.clone()).collect();
    let group = |prompt: &TrainingSequence| PromptGroup {
        seeds: (0..4).map(|n| n + 100 * prompt.tokens.len() as u64).collect(),
        prompt: prompt.tokens.clone(),
    };
    let groups: Vec<PromptGroup> = prompts.iter().map(group).collect();
    let config = GenerationConfig {
        do_sample: true,
        temperature: 0.8,
        top_k: 30,
        max_new_tokens: Some(12),
        eos_token_id: vec![39],
        // What is drawn is scored as text: the token that stands for sounds must not be among it.
        suppress_tokens: Some(vec![37]),
        ..GenerationConfig::default()
    };
    sample_groups(&mut *policy.decoder(&sounds).unwrap(), &groups, &config).unwrap()
}

/// The sequences of the golden up to where their answers begin.
fn prompts(goldens: &Goldens) -> Vec<TrainingSequence> {
    let cut = |one: TrainingSequence| TrainingSequence { tokens: one.tokens[..one.targets[0]].to_vec(), ..one };
    batch(goldens).into_iter().map(cut).collect()
}

#[test]
fn groups_of_rollouts_are_each_alone_and_scored_as_they_were_drawn() {
    let (model, goldens) = (open(), goldens());
    let prompts = prompts(&goldens);
    let together = rollouts(&model, &prompts);
    assert!(together.iter().flatten().any(|drawn| drawn.tokens.len() < 12), "some end before the limit");
    for (prompt, group) in prompts.iter().zip(&together) {
        let alone = rollouts(&model, std::slice::from_ref(prompt)).remove(0);
        assert_ne!(group[0].tokens, group[1].tokens);
        for (drawn, alone) in group.iter().zip(&alone) {
            assert_eq!(drawn.tokens, alone.tokens);
            assert!(worst(&drawn.log_probs, &alone.log_probs) < 1e-5);
        }
        let sequence = |drawn: &SampledCompletion| {
            let tokens: Vec<u32> = prompt.tokens.iter().chain(&drawn.tokens).copied().collect();
            TrainingSequence { targets: (prompt.tokens.len()..tokens.len()).collect(), tokens, ..prompt.clone() }
        };
        let sequences: Vec<TrainingSequence> = group.iter().map(sequence).collect();
        let scores = model.score(&sequences, 0.8, true).unwrap();
        for (drawn, scores) in group.iter().zip(&scores) {
            assert!(worst(&drawn.log_probs, &scores.log_probs) < 1e-5);
        }
    }
}

#[test]
fn another_sound_changes_rollouts() {
    let (model, goldens) = (open(), goldens());
    let heard = prompts(&goldens).remove(0);
    let quieter: Sound = heard.sounds[0].iter().map(|x| 0.2 * x).rev().collect();
    let other = TrainingSequence { sounds: vec![quieter], ..heard.clone() };
    let [first, second] = [heard, other].map(|prompt| rollouts(&model, &[prompt]).remove(0));
    assert!(first.iter().zip(&second).any(|(a, b)| a.tokens != b.tokens), "the same seeds draw something else");
    assert!((first[0].log_probs[0] - second[0].log_probs[0]).abs() > 1e-4 || first[0].tokens[0] != second[0].tokens[0]);
}

#[test]
fn a_policy_is_what_is_trained() {
    let goldens = goldens();
    check_policy(&goldens, &open(), &batch(&goldens));
}

/// A weighted sum of log-probabilities at another temperature, as reinforcement learning has it.
pub(crate) fn check_policy_gradients(goldens: &Goldens, model: &TrainableAudioModel, batch: &[TrainingSequence]) {
    let weights = goldens.get("policy.weights").to_vec1::<f32>().unwrap();
    let mut sum = Accumulated::default();
    let mut derivatives = |scores: &[TargetScores]| {
        let mut rest = weights.iter().copied();
        Ok(scores.iter().map(|scores| rest.by_ref().take(scores.log_probs.len()).collect()).collect())
    };
    model.backward(batch, 0.7, Mode::Evaluate, &mut derivatives, &mut sum).unwrap();
    check_gradients(goldens, "policy.", model, &sum, 1e-4);
}

#[test]
fn gradients_of_a_policy_are_those_of_torch() {
    let goldens = goldens();
    check_policy_gradients(&goldens, &open(), &batch(&goldens));
}
