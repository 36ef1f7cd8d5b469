//! The rules that change scores before a token is chosen, in the order of transformers.

use super::GenerationConfig;
use super::ngrams::repeating;
use crate::Result;

/// The rules of a configuration for one prompt.
#[derive(Debug, Clone)]
pub struct LogitsProcessors<'a> {
    config: &'a GenerationConfig,
    prompt_length: usize,
    /// Tokens of prompt and continuation at which a sequence ends at the latest.
    max_length: usize,
}

impl<'a> LogitsProcessors<'a> {
    /// For a prompt of `prompt_length` tokens.
    ///
    /// # Errors
    /// The prompt leaves no room for a continuation.
    pub fn new(config: &'a GenerationConfig, prompt_length: usize) -> Result<Self> {
        Ok(Self { config, prompt_length, max_length: prompt_length + config.limit(prompt_length)? })
    }

    /// Tokens of prompt and continuation at which a sequence ends at the latest.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Changes the scores (V) of the token after `ids`, prompt included. Scores are logits, or log-probabilities in a beam
    /// search; tokens that are ruled out have minus infinity.
    pub fn process(&self, ids: &[u32], scores: &mut [f32]) {
        self.penalise_repetition(ids, scores);
        if self.config.no_repeat_ngram_size > 0 {
            rule_out(scores, repeating(ids, self.config.no_repeat_ngram_size));
        }
        self.hold_back_the_end(ids.len(), scores);
        self.force(ids.len(), scores);
        rule_out(scores, self.config.suppress_tokens.iter().flatten().copied());
        if ids.len() == self.begin() {
            rule_out(scores, self.config.begin_suppress_tokens.iter().flatten().copied());
        }
        if self.config.do_sample {
            self.narrow(scores);
        }
    }

    fn penalise_repetition(&self, ids: &[u32], scores: &mut [f32]) {
        #[expect(clippy::float_cmp, reason = "exactly 1 changes nothing")]
        if self.config.repetition_penalty == 1.0 {
            return;
        }
        let mut seen = ids.to_vec();
        seen.sort_unstable();
        seen.dedup();
        for id in seen {
            if let Some(score) = scores.get_mut(id as usize) {
                let penalty = self.config.repetition_penalty;
                *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
            }
        }
    }

    /// Rules the end out as long as the sequence is too short.
    fn hold_back_the_end(&self, length: usize, scores: &mut [f32]) {
        let config = self.config;
        if length < config.min_length || length - self.prompt_length.min(length) < config.min_new_tokens {
            rule_out(scores, config.eos_token_id.iter().copied());
        }
    }

    /// Leaves one token only where a rule names it.
    fn force(&self, length: usize, scores: &mut [f32]) {
        if let (1, Some(id)) = (length, self.config.forced_bos_token_id) {
            only(scores, &[id]);
        }
        if length + 1 == self.max_length && !self.config.forced_eos_token_id.is_empty() {
            only(scores, &self.config.forced_eos_token_id);
        }
    }

    /// Length at which a continuation begins; a forced first token comes before it.
    fn begin(&self) -> usize {
        let forced = self.prompt_length <= 1 && self.config.forced_bos_token_id.is_some();
        self.prompt_length + usize::from(forced)
    }

    /// Temperature and the limits of sampling: top-k, top-p, min-p.
    fn narrow(&self, scores: &mut [f32]) {
        let config = self.config;
        scores.iter_mut().for_each(|score| *score /= config.temperature);
        let least = config.min_tokens_to_keep();
        if config.top_k > 0 {
            keep_top_k(scores, config.top_k.max(least));
        }
        if config.top_p < 1.0 {
            keep_top_p(scores, config.top_p, least);
        }
        if let Some(min_p) = config.min_p {
            keep_min_p(scores, min_p, least);
        }
    }
}

fn rule_out(scores: &mut [f32], ids: impl Iterator<Item = u32>) {
    for id in ids {
        if let Some(score) = scores.get_mut(id as usize) {
            *score = f32::NEG_INFINITY;
        }
    }
}

fn only(scores: &mut [f32], ids: &[u32]) {
    scores.fill(f32::NEG_INFINITY);
    for id in ids {
        if let Some(score) = scores.get_mut(*id as usize) {
            *score = 0.0;
        }
    }
}

/// Rules out what scores less than the k-th best; equals of it stay.
fn keep_top_k(scores: &mut [f32], k: usize) {
    if k >= scores.len() {
        return;
    }
    let mut sorted = scores.to_vec();
    let (_, limit, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let limit = *limit;
    scores.iter_mut().filter(|score| **score < limit).for_each(|score| *score = f32::NEG_INFINITY);
}

/// Rules out the least likely tokens that have at most `1 - top_p` of the probability together.
fn keep_top_p(scores: &mut [f32], top_p: f32, least: usize) {
    let probabilities = softmax(scores);
    let mut ascending: Vec<usize> = (0..scores.len()).collect();
    ascending.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let mut sum = 0.0;
    for &id in &ascending[..scores.len().saturating_sub(least)] {
        sum += probabilities[id];
        if sum > 1.0 - f64::from(top_p) {
            break;
        }
        scores[id] = f32::NEG_INFINITY;
    }
}

/// Rules out what is less likely than `min_p` times the likeliest token.
fn keep_min_p(scores: &mut [f32], min_p: f32, least: usize) {
    let probabilities = softmax(scores);
    let mut descending: Vec<usize> = (0..scores.len()).collect();
    descending.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
    let Some(best) = descending.first().map(|id| probabilities[*id]) else { return };
    for &id in descending.iter().skip(least) {
        if probabilities[id] < f64::from(min_p) * best {
            scores[id] = f32::NEG_INFINITY;
        }
    }
}

/// Probabilities of scores, in 64 bits.
pub(super) fn softmax(scores: &[f32]) -> Vec<f64> {
    let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut out: Vec<f64> = scores.iter().map(|score| f64::from(score - best).exp()).collect();
    let sum: f64 = out.iter().sum();
    out.iter_mut().for_each(|p| *p /= sum);
    out
}

/// Log-probabilities of logits, in place.
pub(crate) fn log_softmax(scores: &mut [f32]) {
    let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores.iter().map(|score| f64::from(score - best).exp()).sum();
    #[expect(clippy::cast_possible_truncation, reason = "scores have 32 bits")]
    let normalizer = sum.ln() as f32;
    scores.iter_mut().for_each(|score| *score = (*score - best) - normalizer);
}
