//! Completions of prompts by the policy that is trained: written in this process, or by a server.
//!
//! Servers cut sounds, pad them or leave them out, and say nothing. So the tokens of every prompt that a server has read are
//! compared with the trainer's, and another number of them ends the training ([`RolloutError::OtherPrompt`]).

mod local;
mod server;
mod serving;
mod wire;

use audsem_models::generate::GenerationConfig;
use audsem_models::train::{Sound, TrainableModel};
use serde::{Deserialize, Serialize};

pub use local::LocalRollouts;
pub use server::{ServerRollouts, ServingAdapter, ServingConfig};
pub use serving::for_server;

use crate::error::Result;

/// How tokens are drawn. Defaults are those of TRL 0.17, with which the published models were trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SamplingConfig {
    /// Divisor of logits; log-probabilities are those at this temperature.
    pub temperature: f32,
    /// Tokens are drawn from this many of the likeliest; 0 for all.
    pub top_k: usize,
    /// Tokens are drawn from the fewest likeliest that have this much probability together.
    pub top_p: f32,
    /// Tokens are drawn from those with at least this share of the likeliest one's probability.
    pub min_p: Option<f32>,
    /// Divisor of tokens that occur already.
    pub repetition_penalty: f32,
    /// Most tokens of a completion.
    pub max_completion_tokens: usize,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            temperature: 0.9,
            top_k: 50,
            top_p: 1.0,
            min_p: None,
            repetition_penalty: 1.0,
            max_completion_tokens: 512,
        }
    }
}

impl SamplingConfig {
    /// The settings as the generator takes them.
    fn generation(&self, tokens: &CompletionTokens) -> GenerationConfig {
        GenerationConfig {
            max_new_tokens: Some(self.max_completion_tokens),
            eos_token_id: tokens.ends.clone(),
            suppress_tokens: Some(tokens.barred.clone()),
            do_sample: true,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            ..GenerationConfig::default()
        }
    }
}

/// Tokens with a meaning of their own in completions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompletionTokens {
    /// Those that end a completion.
    pub ends: Vec<u32>,
    /// Those that are never drawn: what stands for sounds or pictures would be read as such when the completion is learned from.
    pub barred: Vec<u32>,
}

/// A prompt, as tokens for this process and as a conversation for a server.
#[derive(Debug, Clone, Copy)]
pub struct RolloutPrompt<'a> {
    /// The key of its example.
    pub key: &'a str,
    /// Its tokens, with those of its sounds.
    pub tokens: &'a [u32],
    /// Its sounds.
    pub sounds: &'a [Sound],
    /// The system turn, where it is not that of the chat template.
    pub system: Option<&'a str>,
    /// The text of the user's turn, behind the sounds.
    pub question: &'a str,
}

/// Why a completion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// At the limit of its length.
    Length,
}

/// A completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Its tokens, the one that ends it included.
    pub tokens: Vec<u32>,
    /// Log-probabilities of its tokens by the sampler.
    pub log_probs: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

/// Which completions are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutRequest {
    /// Completions of each prompt.
    pub per_prompt: usize,
    /// Seed of the training.
    pub seed: u64,
    /// Steps done: other completions are drawn at each.
    pub step: usize,
}

/// Who writes completions.
pub trait RolloutSource {
    /// Completions of each prompt by the policy as it stands. They depend on prompt, seed and step, and on no other prompt.
    ///
    /// # Errors
    /// The model fails; a server fails, refuses, or hears something else than this process.
    fn roll_out(
        &mut self,
        model: &dyn TrainableModel,
        prompts: &[RolloutPrompt<'_>],
        request: RolloutRequest,
    ) -> Result<Vec<Vec<Rollout>>>;

    /// Whether the log-probabilities of rollouts are those of another program than the trainer.
    fn is_foreign(&self) -> bool;

    /// Gives back what is held elsewhere, at the end of a training.
    fn finish(&mut self) {}
}

/// What is wrong with completions of a server.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The server reads another prompt than the trainer, so it may hear less, or nothing.
    #[error(
        "the server's prompt of `{key}` has {server} tokens and the trainer's has {trainer}{}\n\
         hint: the server must hear the whole sound: compare its model, chat template and limits of audio with those of \
         the trainer",
        first_difference(*place)
    )]
    OtherPrompt {
        /// The example.
        key: String,
        /// Tokens of the server.
        server: usize,
        /// Tokens of the trainer.
        trainer: usize,
        /// The first token that differs, where the server tells its tokens.
        place: Option<usize>,
    },
    /// The answer lacks what training needs.
    #[error("the server's answer about `{key}`: {problem}")]
    Answer {
        /// The example.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// The server cannot use the weights of the training.
    #[error(
        "the server does not take the adapter `{name}`: {reason}\n\
         hint: start vLLM with --enable-lora, --max-lora-rank and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
    )]
    Adapter {
        /// The name of the adapter.
        name: String,
        /// What the server says.
        reason: audsem_llm::TextError,
    },
}

fn first_difference(place: Option<usize>) -> String {
    place.map_or_else(String::new, |place| format!(", and token {place} is the first that differs"))
}

/// The seed of a completion.
fn seed_of(request: RolloutRequest, key: &str, number: usize) -> u64 {
    audsem_core::tables::text_hash(&format!("{} rollout {} {key} {number}", request.seed, request.step))
}
