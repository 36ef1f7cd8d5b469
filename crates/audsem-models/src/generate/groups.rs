//! Groups of continuations of one prompt, with the log-probabilities of their tokens: what reinforcement learning compares.

use super::sample::{Row, decode_groups};
use super::{CausalDecoder, Continuation, Generated, GenerationConfig, GenerationError, StopReason};
use crate::Result;

/// A prompt of which several continuations are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptGroup {
    /// Its tokens; not empty.
    pub prompt: Vec<u32>,
    /// A seed for each continuation. All groups of a call have as many.
    pub seeds: Vec<u64>,
}

/// A continuation with the log-probabilities of its tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledCompletion {
    /// Its tokens without the prompt, the end-of-sequence token included.
    pub tokens: Vec<u32>,
    /// Natural logarithms of the tokens' probabilities among all tokens at the temperature of the configuration, whatever
    /// else narrows the draw: what [`TrainableModel::score`](crate::train::TrainableModel::score) says of them.
    pub log_probs: Vec<f32>,
    /// Why it ended.
    pub finish: StopReason,
}

/// Continues each prompt once for each of its seeds. A prompt is read once, and what was read is copied for its
/// continuations; each of them depends on its prompt and its seed, never on what else lies in the batch.
///
/// # Errors
/// A prompt is empty or as long as `max_length`, groups have different numbers of seeds, the configuration contradicts
/// itself or asks for beams, or the network fails.
pub fn sample_groups(
    decoder: &mut dyn CausalDecoder,
    groups: &[PromptGroup],
    config: &GenerationConfig,
) -> Result<Vec<Vec<SampledCompletion>>> {
    config.validate()?;
    let Some(first) = groups.first() else { return Ok(Vec::new()) };
    let per_prompt = first.seeds.len();
    if per_prompt == 0 || config.num_beams > 1 || groups.iter().any(|group| group.seeds.len() != per_prompt) {
        return Err(GenerationError::UnequalGroups.into());
    }
    if groups.iter().any(|group| group.prompt.is_empty()) {
        return Err(GenerationError::EmptyPrompt.into());
    }
    let rows = groups.iter().flat_map(|group| group.seeds.iter().map(|seed| (&group.prompt, *seed)));
    let rows = rows.map(|(prompt, seed)| Ok(Draw { row: Row::new(prompt, seed, config)?, log_probs: Vec::new() }));
    let mut rows = rows.collect::<Result<Vec<_>>>()?;
    decode_groups(decoder, &mut rows, per_prompt)?;
    let mut rows = rows.into_iter().map(Draw::completion);
    Ok(groups.iter().map(|_| rows.by_ref().take(per_prompt).collect()).collect())
}

/// A continuation in the making.
struct Draw<'a> {
    row: Row<'a>,
    log_probs: Vec<f32>,
}

impl Draw<'_> {
    fn completion(self) -> SampledCompletion {
        let Generated { tokens, finish, .. } = self.row.generated();
        SampledCompletion { tokens, log_probs: self.log_probs, finish }
    }
}

impl Continuation for Draw<'_> {
    fn prompt(&self) -> &[u32] {
        self.row.prompt()
    }

    fn advance(&mut self, logits: &mut [f32]) -> Result<Option<u32>> {
        let raw = logits.to_vec();
        let next = self.row.advance(logits)?;
        let temperature = self.row.config.temperature;
        self.log_probs.extend(self.row.last().map(|token| log_prob(&raw, token, temperature)));
        Ok(next)
    }
}

/// The log-probability of a token among all, at a temperature.
#[expect(clippy::cast_possible_truncation, reason = "scores have 32 bits")]
fn log_prob(logits: &[f32], token: u32, temperature: f32) -> f32 {
    let scaled = |logit: f32| f64::from(logit) / f64::from(temperature);
    let most = scaled(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|logit| (scaled(*logit) - most).exp()).sum();
    (scaled(logits[token as usize]) - most - sum.ln()) as f32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::generate::{GenerationRequest, generate};

    /// A network whose scores follow from all that a row has read.
    #[derive(Default)]
    struct Reader {
        rows: Vec<Vec<u32>>,
        prompts_read: usize,
    }

    impl Reader {
        fn scores(&self) -> Vec<Vec<f32>> {
            let score = |sum: u32, id: u32| ((sum * 31 + id * 17) % 11) as f32 / 3.0;
            self.rows.iter().map(|row| (0..7).map(|id| score(row.iter().sum(), id)).collect()).collect()
        }
    }

    impl CausalDecoder for Reader {
        fn prefill(&mut self, prompts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
            self.prompts_read += prompts.len();
            self.rows = prompts.iter().map(|prompt| prompt.to_vec()).collect();
            Ok(self.scores())
        }

        fn step(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
            self.rows.iter_mut().zip(tokens).for_each(|(row, token)| row.push(*token));
            Ok(self.scores())
        }

        fn select(&mut self, rows: &[usize]) -> Result<()> {
            self.rows = rows.iter().map(|row| self.rows[*row].clone()).collect();
            Ok(())
        }
    }

    fn config() -> GenerationConfig {
        GenerationConfig {
            do_sample: true,
            max_new_tokens: Some(6),
            eos_token_id: vec![3],
            temperature: 1.5,
            top_k: 5,
            ..GenerationConfig::default()
        }
    }

    fn groups() -> Vec<PromptGroup> {
        [vec![1, 2], vec![5]]
            .into_iter()
            .zip([0..4, 10..14])
            .map(|(prompt, seeds)| PromptGroup { prompt, seeds: seeds.collect() })
            .collect()
    }

    #[test]
    fn a_group_is_its_continuations_one_by_one_from_a_prompt_that_is_read_once() {
        let mut reader = Reader::default();
        let together = sample_groups(&mut reader, &groups(), &config()).unwrap();
        assert_eq!(reader.prompts_read, 2);
        for (group, sampled) in groups().iter().zip(&together) {
            for (seed, sampled) in group.seeds.iter().zip(sampled) {
                let request = GenerationRequest { prompt: group.prompt.clone(), seed: *seed };
                let alone = generate(&mut Reader::default(), &[request], &config()).unwrap().remove(0).remove(0);
                assert_eq!((&sampled.tokens, sampled.finish), (&alone.tokens, alone.finish));
                assert_eq!(sampled.log_probs.len(), sampled.tokens.len());
            }
        }
        let lengths: Vec<usize> = together.iter().flatten().map(|sampled| sampled.tokens.len()).collect();
        assert!(lengths.iter().any(|n| *n < 6) && lengths.contains(&6), "some end before others: {lengths:?}");
        assert_ne!(together[0][0], together[0][1], "each has a seed of its own");
    }

    #[test]
    fn log_probabilities_are_among_all_tokens_at_the_temperature() {
        let logits = [1.0f32, 3.0, 2.0];
        for temperature in [1.0f32, 0.5, 2.0] {
            let sum: f64 = (0..3).map(|token| f64::from(log_prob(&logits, token, temperature)).exp()).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{temperature}");
            let lead = log_prob(&logits, 1, temperature) - log_prob(&logits, 2, temperature);
            assert!((lead - 1.0 / temperature).abs() < 1e-6, "{temperature}");
        }
    }

    #[test]
    fn groups_that_differ_in_size_and_beams_are_refused() {
        let mut unequal = groups();
        unequal[1].seeds.pop();
        let refused = |groups: &[PromptGroup], config: &GenerationConfig| {
            sample_groups(&mut Reader::default(), groups, config).unwrap_err().to_string()
        };
        assert!(refused(&unequal, &config()).contains("as many seeds"));
        assert!(refused(&groups(), &GenerationConfig { num_beams: 2, ..config() }).contains("as many seeds"));
        let empty = [PromptGroup { prompt: Vec::new(), seeds: vec![1] }];
        assert!(refused(&empty, &config()).contains("no token"));
    }
}
