//! Prompts with their completions, rewards and advantages: what one step learns from.

use std::path::PathBuf;

use audsem_models::multimodal::processor::AudioProcessor;
use audsem_models::train::{TrainableModel, TrainingSequence};

use super::advantage::{AdvantageScale, advantages, is_flat};
use super::rollout::{Finish, Rollout, RolloutPrompt, RolloutRequest, RolloutSource};
use crate::data::{Prepared, PromptConfig};
use crate::error::Result;
use crate::rewards::{RewardBreakdown, RewardItem, RewardSet};

/// A completion and what it is worth.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScoredCompletion {
    pub(super) rollout: Rollout,
    pub(super) text: String,
    pub(super) reward: RewardBreakdown,
    /// Absent where no reward applies.
    pub(super) advantage: Option<f64>,
}

/// The completions of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScoredGroup {
    pub(super) example: Prepared,
    pub(super) completions: Vec<ScoredCompletion>,
}

impl ScoredGroup {
    /// The sums of rewards.
    pub(super) fn rewards(&self) -> Vec<Option<f64>> {
        self.completions.iter().map(|completion| completion.reward.total).collect()
    }

    /// Whether all rewards are equal.
    pub(super) fn is_flat(&self) -> bool {
        is_flat(&self.rewards())
    }

    /// Prompt and completion as a sequence whose targets are the tokens of the completion.
    pub(super) fn sequence(&self, completion: &ScoredCompletion) -> TrainingSequence {
        let prompt = &self.example.sequence;
        let tokens: Vec<u32> = prompt.tokens.iter().chain(&completion.rollout.tokens).copied().collect();
        let targets = (prompt.tokens.len()..tokens.len()).collect();
        TrainingSequence { tokens, sounds: prompt.sounds.clone(), targets }
    }

    /// Tokens of all sequences.
    pub(super) fn tokens(&self) -> usize {
        let prompt = self.example.sequence.tokens.len();
        self.completions.iter().map(|completion| prompt + completion.rollout.tokens.len()).sum()
    }
}

/// What it takes to make experience of completions.
pub(super) struct Experience<'a> {
    pub(super) rewards: RewardSet,
    pub(super) processor: &'a AudioProcessor,
    pub(super) prompt: &'a PromptConfig,
    pub(super) scale: AdvantageScale,
}

impl Experience<'_> {
    /// Names of the rewards.
    pub(super) fn names(&self) -> Vec<String> {
        self.rewards.weights().map(|(name, _)| name.to_owned()).collect()
    }

    /// Has completions of all examples written by `source`, and scores them.
    pub(super) fn gather(
        &mut self,
        source: &mut dyn RolloutSource,
        model: &dyn TrainableModel,
        examples: &[Prepared],
        request: RolloutRequest,
    ) -> Result<Vec<ScoredGroup>> {
        let rollouts = self.roll_out(source, model, examples, request)?;
        let texts = rollouts.iter().map(|group| group.iter().map(|rollout| self.text(rollout)).collect());
        let texts: Vec<Vec<String>> = texts.collect::<Result<_>>()?;
        let mut scored = self.score(examples, &texts)?.into_iter();
        let mut groups: Vec<ScoredGroup> = Vec::with_capacity(examples.len());
        for ((example, rollouts), texts) in examples.iter().zip(rollouts).zip(texts) {
            let completions = rollouts.into_iter().zip(texts).zip(scored.by_ref());
            let completions = completions
                .map(|((rollout, text), reward)| ScoredCompletion { rollout, text, reward, advantage: None })
                .collect();
            groups.push(ScoredGroup { example: example.clone(), completions });
        }
        self.weigh(&mut groups);
        Ok(groups)
    }

    fn roll_out(
        &self,
        source: &mut dyn RolloutSource,
        model: &dyn TrainableModel,
        examples: &[Prepared],
        request: RolloutRequest,
    ) -> Result<Vec<Vec<Rollout>>> {
        let questions: Vec<String> = examples.iter().map(|example| self.prompt.ask(&example.text)).collect();
        let prompts = examples.iter().zip(&questions).map(|(example, question)| RolloutPrompt {
            key: &example.key,
            tokens: &example.sequence.tokens,
            sounds: &example.sequence.sounds,
            system: self.prompt.system.as_deref(),
            question,
        });
        source.roll_out(model, &prompts.collect::<Vec<_>>(), request)
    }

    fn score(&mut self, examples: &[Prepared], texts: &[Vec<String>]) -> Result<Vec<RewardBreakdown>> {
        let mut items = Vec::new();
        for (example, texts) in examples.iter().zip(texts) {
            items.extend(texts.iter().map(|completion| RewardItem {
                key: &example.key,
                question: &example.text.question,
                choices: example.text.choices.as_ref(),
                answer: &example.text.answer,
                further_references: &[],
                completion,
            }));
        }
        Ok(self.rewards.score(&items)?)
    }

    fn weigh(&self, groups: &mut [ScoredGroup]) {
        let rewards: Vec<Vec<Option<f64>>> = groups.iter().map(ScoredGroup::rewards).collect();
        for (group, advantages) in groups.iter_mut().zip(advantages(&rewards, self.scale)) {
            for (completion, advantage) in group.completions.iter_mut().zip(advantages) {
                completion.advantage = advantage;
            }
        }
    }

    /// What a model wrote, without the token that ends it. Tags may be special tokens, which count as text here.
    fn text(&self, rollout: &Rollout) -> Result<String> {
        let spoken = match (rollout.finish, rollout.tokens.split_last()) {
            (Finish::Stop, Some((_, before))) => before,
            _ => &rollout.tokens[..],
        };
        let decoded = self.processor.tokenizer().decode(spoken, false);
        let failed = |message: String| audsem_models::Error::Tokenizer { path: PathBuf::new(), message };
        Ok(decoded.map_err(|error| failed(error.to_string()))?)
    }
}
