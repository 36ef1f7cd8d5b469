//! Completions by the model in this process.

use audsem_models::generate::{GenerationConfig, PromptGroup, SampledCompletion, StopReason, sample_groups};
use audsem_models::train::{Sound, TrainableModel};

use super::{CompletionTokens, Finish, Rollout, RolloutPrompt, RolloutRequest, RolloutSource, SamplingConfig, seed_of};
use crate::error::Result;

/// Writes completions with the weights of the trainer.
#[derive(Debug, Clone)]
pub struct LocalRollouts {
    config: GenerationConfig,
    /// Most completions that are written at a time.
    rows: usize,
}

impl LocalRollouts {
    /// At most `rows` completions are written at a time, and at least those of one prompt.
    #[must_use]
    pub fn new(sampling: &SamplingConfig, tokens: &CompletionTokens, rows: usize) -> Self {
        Self { config: sampling.generation(tokens), rows }
    }

    /// Takes the likeliest token each time, as evaluations do.
    #[must_use]
    pub fn likeliest(sampling: &SamplingConfig, tokens: &CompletionTokens, rows: usize) -> Self {
        Self { config: GenerationConfig { do_sample: false, ..sampling.generation(tokens) }, rows }
    }
}

impl RolloutSource for LocalRollouts {
    fn roll_out(
        &mut self,
        model: &dyn TrainableModel,
        prompts: &[RolloutPrompt<'_>],
        request: RolloutRequest,
    ) -> Result<Vec<Vec<Rollout>>> {
        let policy = model.policy(true)?;
        let group = |prompt: &RolloutPrompt<'_>| PromptGroup {
            prompt: prompt.tokens.to_vec(),
            seeds: (0..request.per_prompt).map(|number| seed_of(request, prompt.key, number)).collect(),
        };
        let mut all = Vec::with_capacity(prompts.len());
        for prompts in prompts.chunks((self.rows / request.per_prompt.max(1)).max(1)) {
            let sounds: Vec<Vec<Sound>> = prompts.iter().map(|prompt| prompt.sounds.to_vec()).collect();
            let groups: Vec<PromptGroup> = prompts.iter().map(group).collect();
            let sampled = sample_groups(&mut *policy.decoder(&sounds)?, &groups, &self.config)?;
            all.extend(sampled.into_iter().map(|group| group.into_iter().map(Rollout::from).collect()));
        }
        Ok(all)
    }

    fn is_foreign(&self) -> bool {
        false
    }
}

impl From<SampledCompletion> for Rollout {
    fn from(sampled: SampledCompletion) -> Self {
        let finish = match sampled.finish {
            StopReason::EndOfSequence => Finish::Stop,
            StopReason::MaxLength => Finish::Length,
        };
        Self { tokens: sampled.tokens, log_probs: sampled.log_probs, finish }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::super::tiny;
    use super::*;

    #[test]
    fn completions_depend_on_prompt_sound_seed_and_step_and_on_nothing_else() {
        let model = tiny::model();
        let sound = |pitch: f32| -> Sound { (0..1000).map(|n| (n as f32 * pitch).sin() * 0.2).collect() };
        let sounds = [[sound(0.05)], [sound(0.3)]];
        let tokens = [3, 37, 37, 5];
        let prompt = |key, sound: usize| RolloutPrompt {
            key,
            tokens: &tokens,
            sounds: &sounds[sound],
            system: None,
            question: "",
        };
        let sampling = SamplingConfig { max_completion_tokens: 8, ..SamplingConfig::default() };
        let special = CompletionTokens { ends: vec![39], barred: vec![37] };
        let write = |rows: usize, prompts: &[RolloutPrompt<'_>], step: usize| {
            let request = RolloutRequest { per_prompt: 3, seed: 7, step };
            let mut source = LocalRollouts::new(&sampling, &special, rows);
            let tokens = |group: Vec<Rollout>| group.into_iter().map(|one| one.tokens).collect::<Vec<_>>();
            source.roll_out(&model, prompts, request).unwrap().into_iter().map(tokens).collect::<Vec<_>>()
        };
        let all = [prompt("a", 0), prompt("b", 0), prompt("c", 1)];
        let wanted = write(9, &all, 0);
        assert_eq!(write(1, &all, 0), wanted, "however many are written at a time");
        assert_eq!(write(9, &all[1..2], 0), wanted[1..2], "whatever else is asked");
        assert!(!wanted.concat().concat().contains(&37), "no sound is written");
        assert_ne!(wanted[0], wanted[1], "each prompt has seeds of its own");
        assert_ne!(write(9, &all, 1), wanted, "each step draws anew");
        assert_ne!(write(9, &[prompt("a", 1)], 0)[0], wanted[0], "another sound");
        let mut likeliest = LocalRollouts::likeliest(&sampling, &special, 9);
        let request = |seed| RolloutRequest { per_prompt: 1, seed, step: 0 };
        let [first, second] = [1, 2].map(|seed| likeliest.roll_out(&model, &all, request(seed)).unwrap());
        assert_eq!(first, second, "no draw, no seed");
    }
}
