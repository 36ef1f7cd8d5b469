//! Text generation: greedy decoding, sampling, beam search and beam sampling, as transformers does them.
//!
//! A network that continues token sequences implements [`CausalDecoder`]; [`generate`] does the rest, from a
//! [`GenerationConfig`] that reads a checkpoint's `generation_config.json`. Every sequence depends on its own prompt and seed,
//! never on what else lies in the batch. Goldens are made by transformers 5.23 (`fixtures/regen/generate.py`).

mod batch;
mod beams;
mod config;
mod error;
mod groups;
mod guided;
mod ngrams;
mod processors;
mod sample;
mod sequences;

pub(crate) use batch::Batch;
pub use config::{EarlyStopping, GenerationConfig};
pub use error::GenerationError;
pub use groups::{PromptGroup, SampledCompletion, sample_groups};
pub use guided::{Guide, GuidedAnswer};
pub use processors::LogitsProcessors;
pub(crate) use processors::log_softmax;
pub use sample::{Continuation, Sampler, decode};
pub(crate) use sequences::Sequences;

use crate::Result;

/// A network that predicts the next token of each row of a batch and keeps what it has read (keys and values).
pub trait CausalDecoder {
    /// Reads the prompts, of any lengths, and returns the logits of the token after each: (B, V).
    ///
    /// # Errors
    /// The network cannot be run on them.
    fn prefill(&mut self, prompts: &[&[u32]]) -> Result<Vec<Vec<f32>>>;

    /// Appends one token to each row and returns the logits of the token after it: (B, V).
    ///
    /// # Errors
    /// As for [`CausalDecoder::prefill`].
    fn step(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>>;

    /// Continues with these rows, in this order; a row may be repeated or omitted.
    ///
    /// # Errors
    /// As for [`CausalDecoder::prefill`].
    fn select(&mut self, rows: &[usize]) -> Result<()>;
}

/// A prompt to be continued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRequest {
    /// Its tokens; for an encoder-decoder network the tokens that the decoder starts with. Not empty.
    pub prompt: Vec<u32>,
    /// Seed of its random draws: derive it from the run's seed and the record's key, so that results repeat.
    pub seed: u64,
}

/// Why a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// With an end-of-sequence token.
    EndOfSequence,
    /// At the limit of its length.
    MaxLength,
}

/// A continuation.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// Its tokens without the prompt, the end-of-sequence token included.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: StopReason,
    /// For beams: the sum of processed log-probabilities over `length ^ length_penalty`.
    pub score: Option<f32>,
}

/// Continues every prompt: for each request `num_return_sequences` continuations, the best first.
///
/// # Errors
/// A prompt is empty or as long as `max_length`, the configuration asks for what contradicts itself, or the network fails.
pub fn generate(
    decoder: &mut dyn CausalDecoder,
    requests: &[GenerationRequest],
    config: &GenerationConfig,
) -> Result<Vec<Vec<Generated>>> {
    config.validate()?;
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let prompts: Vec<&[u32]> = requests.iter().map(|request| request.prompt.as_slice()).collect();
    let sequences = requests.iter().map(|request| Sequences::new(request, config)).collect::<Result<Vec<_>>>()?;
    let sequences = batch::follow(decoder, &prompts, sequences)?;
    Ok(sequences.into_iter().map(Sequences::generated).collect())
}
