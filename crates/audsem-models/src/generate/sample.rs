//! Greedy decoding and sampling, one sequence for each prompt.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::batch::{Following, follow};
use super::processors::softmax;
use super::{CausalDecoder, Generated, GenerationConfig, GenerationError, LogitsProcessors, StopReason};
use crate::Result;

/// Chooses tokens from processed scores.
#[derive(Debug, Clone)]
pub struct Sampler {
    /// `None` takes the likeliest token.
    random: Option<ChaCha8Rng>,
}

impl Sampler {
    /// Draws with a seed, or takes the likeliest token where the configuration does not sample.
    pub fn new(config: &GenerationConfig, seed: u64) -> Self {
        Self { random: config.do_sample.then(|| ChaCha8Rng::seed_from_u64(seed)) }
    }

    /// The next token. One random number is used for each.
    ///
    /// # Errors
    /// A score is NaN, or every token is ruled out.
    pub fn choose(&mut self, scores: &[f32]) -> Result<u32> {
        check(scores)?;
        let index = match &mut self.random {
            None => best(scores),
            Some(random) => draw(&softmax(scores), random.random()),
        };
        #[expect(clippy::cast_possible_truncation, reason = "token ids have 32 bits")]
        Ok(index as u32)
    }
}

/// Refuses scores that no token can be chosen from.
pub(super) fn check(scores: &[f32]) -> Result<()> {
    let nan = scores.iter().position(|score| score.is_nan() || *score == f32::INFINITY);
    if let Some(token) = nan {
        return Err(GenerationError::Score { token, score: scores[token] }.into());
    }
    if scores.iter().all(|score| *score == f32::NEG_INFINITY) {
        return Err(GenerationError::NoTokenLeft.into());
    }
    Ok(())
}

/// The first of the largest scores.
fn best(scores: &[f32]) -> usize {
    let mut best = 0;
    for (id, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = id;
        }
    }
    best
}

/// The token in whose share of the unit interval `at` lies.
fn draw(probabilities: &[f64], at: f64) -> usize {
    let mut sum = 0.0;
    for (id, p) in probabilities.iter().enumerate() {
        sum += p;
        if at < sum {
            return id;
        }
    }
    // Rounding can leave the sum below 1: the last token that has any probability.
    probabilities.iter().rposition(|p| *p > 0.0).unwrap_or(0)
}

/// A sequence in the making.
pub(crate) struct Row<'a> {
    ids: Vec<u32>,
    prompt_length: usize,
    pub(super) config: &'a GenerationConfig,
    processors: LogitsProcessors<'a>,
    sampler: Sampler,
    finish: StopReason,
}

impl<'a> Row<'a> {
    pub(super) fn new(prompt: &[u32], seed: u64, config: &'a GenerationConfig) -> Result<Self> {
        let prompt_length = prompt.len();
        Ok(Self {
            ids: prompt.to_vec(),
            prompt_length,
            config,
            processors: LogitsProcessors::new(config, prompt_length)?,
            sampler: Sampler::new(config, seed),
            finish: StopReason::MaxLength,
        })
    }

    /// The token that was chosen last.
    pub(super) fn last(&self) -> Option<u32> {
        self.ids[self.prompt_length..].last().copied()
    }

    pub(super) fn generated(mut self) -> Generated {
        let tokens = self.ids.split_off(self.prompt_length);
        Generated { tokens, finish: self.finish, score: None }
    }
}

impl Continuation for Row<'_> {
    fn prompt(&self) -> &[u32] {
        &self.ids[..self.prompt_length]
    }

    fn advance(&mut self, scores: &mut [f32]) -> Result<Option<u32>> {
        self.processors.process(&self.ids, scores);
        let token = self.sampler.choose(scores)?;
        self.ids.push(token);
        if self.config.eos_token_id.contains(&token) {
            self.finish = StopReason::EndOfSequence;
            return Ok(None);
        }
        Ok((self.ids.len() < self.processors.max_length()).then_some(token))
    }
}

/// A sequence that [`decode`] continues.
pub trait Continuation {
    /// The tokens that it begins with; not empty.
    fn prompt(&self) -> &[u32];

    /// Takes the logits (V) of the next token, which may be changed; returns the token, or nothing if the sequence has
    /// ended and needs no further logits.
    ///
    /// # Errors
    /// The whole batch ends.
    fn advance(&mut self, logits: &mut [f32]) -> Result<Option<u32>>;
}

/// Continues all sequences to their ends. Rows that have ended leave the batch.
///
/// # Errors
/// The network fails, or a sequence does.
pub fn decode<C: Continuation>(decoder: &mut dyn CausalDecoder, sequences: &mut [C]) -> Result<()> {
    decode_groups(decoder, sequences, 1)
}

/// Continues all sequences to their ends, of which each `per_prompt` in a row begin with the same prompt: it is read once,
/// and what was read is copied for each of them.
pub(super) fn decode_groups<C: Continuation>(
    decoder: &mut dyn CausalDecoder,
    sequences: &mut [C],
    per_prompt: usize,
) -> Result<()> {
    let prompts: Vec<Vec<u32>> = sequences.iter().step_by(per_prompt).map(|first| first.prompt().to_vec()).collect();
    if prompts.is_empty() {
        return Ok(());
    }
    let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
    let members = sequences.chunks_mut(per_prompt);
    let groups = members.map(|members| Group { open: (0..members.len()).collect(), members }).collect();
    follow(decoder, &prompts, groups)?;
    Ok(())
}

/// Sequences of one prompt that are continued each for itself.
struct Group<'s, C> {
    members: &'s mut [C],
    /// Those that have not ended.
    open: Vec<usize>,
}

impl<C: Continuation> Following for Group<'_, C> {
    fn width(&self) -> usize {
        self.members.len()
    }

    fn advance(&mut self, logits: &mut [Vec<f32>]) -> Result<Vec<(usize, u32)>> {
        let (mut next, mut going) = (Vec::new(), Vec::new());
        for (row, (number, logits)) in std::mem::take(&mut self.open).into_iter().zip(logits).enumerate() {
            if let Some(token) = self.members[number].advance(logits)? {
                next.push((row, token));
                going.push(number);
            }
        }
        self.open = going;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn draws_follow_the_probabilities_and_repeat_with_the_seed() {
        let config = GenerationConfig { do_sample: true, ..GenerationConfig::default() };
        let scores = [0.1f32.ln(), 0.6f32.ln(), f32::NEG_INFINITY, 0.3f32.ln()];
        let draws = |seed| {
            let mut sampler = Sampler::new(&config, seed);
            (0..20_000).map(|_| sampler.choose(&scores).unwrap()).collect::<Vec<_>>()
        };
        let first = draws(7);
        for (id, p) in [(0, 0.1), (1, 0.6), (2, 0.0), (3, 0.3)] {
            let share = first.iter().filter(|token| **token == id).count() as f64 / 20_000.0;
            // Four standard deviations of a binomial share.
            assert!((share - p).abs() <= 4.0 * (p * (1.0 - p) / 20_000.0f64).sqrt(), "{id}: {share}");
        }
        assert_eq!(first, draws(7));
        assert_ne!(first, draws(8));
    }

    #[test]
    fn the_likeliest_token_is_the_first_of_equals() {
        let mut sampler = Sampler::new(&GenerationConfig::default(), 0);
        assert_eq!(sampler.choose(&[0.0, 2.0, 2.0]).unwrap(), 1);
        assert!(sampler.choose(&[0.0, f32::NAN]).unwrap_err().to_string().contains("token 1 is NaN"));
        assert!(sampler.choose(&[f32::NEG_INFINITY; 3]).unwrap_err().to_string().contains("ruled out"));
    }
}
