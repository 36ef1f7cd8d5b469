//! Beam search and beam sampling.
//!
//! Scores, ranks and stopping follow transformers 5.23 for a batch of one prompt, so that a prompt's result does not depend on
//! its neighbours.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::processors::log_softmax;
use super::sample::check;
use super::{EarlyStopping, Generated, GenerationConfig, GenerationRequest, LogitsProcessors, StopReason};
use crate::Result;

/// Replaces minus infinity where sums must stay finite.
const NEVER: f32 = -1e9;

/// A running or finished sequence, prompt included.
#[derive(Debug, Clone)]
struct Beam {
    ids: Vec<u32>,
    score: f32,
    is_finished: bool,
}

/// A running sequence with one more token.
#[derive(Debug, Clone)]
struct Candidate {
    /// The beam that it continues.
    parent: usize,
    beam: Beam,
}

/// The search for one prompt.
pub(crate) struct Search<'a> {
    config: &'a GenerationConfig,
    processors: LogitsProcessors<'a>,
    prompt_length: usize,
    running: Vec<Beam>,
    finished: Vec<Beam>,
    /// Whether a running sequence may still beat a finished one.
    improvable: bool,
    random: Option<ChaCha8Rng>,
}

impl<'a> Search<'a> {
    pub(super) fn new(request: &GenerationRequest, config: &'a GenerationConfig) -> Result<Self> {
        let prompt_length = request.prompt.len();
        let beam = |score| Beam { ids: request.prompt.clone(), score, is_finished: false };
        Ok(Self {
            config,
            processors: LogitsProcessors::new(config, prompt_length)?,
            prompt_length,
            // All copies of the prompt would continue identically, so only the first counts at the first step.
            running: (0..config.num_beams).map(|i| beam(if i == 0 { 0.0 } else { NEVER })).collect(),
            finished: vec![beam(NEVER); config.num_beams],
            improvable: true,
            random: config.do_sample.then(|| ChaCha8Rng::seed_from_u64(request.seed)),
        })
    }

    /// Sequences that are followed at a time. All begin as copies of the prompt.
    pub(super) fn beams(&self) -> usize {
        self.config.num_beams
    }

    /// Takes the logits after each beam. Returns which beam each running one continues, and with which token, or nothing when
    /// the search has ended.
    pub(super) fn advance(&mut self, logits: &mut [Vec<f32>]) -> Result<Vec<(usize, u32)>> {
        for (beam, scores) in self.running.iter().zip(logits.iter_mut()) {
            log_softmax(scores);
            self.processors.process(&beam.ids, scores);
            check(scores)?;
            scores.iter_mut().for_each(|score| *score += beam.score);
        }
        let candidates = self.candidates(logits);
        self.finish(&candidates);
        let all_ended = candidates.iter().all(|candidate| candidate.beam.is_finished);
        let (parents, running) = self.go_on_with(candidates);
        self.running = running;
        self.improvable &= self.can_improve();
        let is_full = self.config.early_stopping == EarlyStopping::WhenFull && self.is_full();
        if !self.improvable || is_full || all_ended {
            return Ok(Vec::new());
        }
        let tokens = self.running.iter().filter_map(|beam| beam.ids.last().copied());
        Ok(parents.into_iter().zip(tokens).collect())
    }

    /// The continuations that are looked at: enough that all beams can continue even if every end is among the best.
    fn candidates(&mut self, scores: &[Vec<f32>]) -> Vec<Candidate> {
        let n = self.config.num_beams * 2.max(1 + self.config.eos_token_id.len());
        let places = match &mut self.random {
            None => largest(scores, n, |score| score),
            // Adding Gumbel noise draws without replacement, in the order of the draws.
            Some(random) => {
                let mut noise = || -(-random.random::<f64>().ln()).ln();
                #[expect(clippy::cast_possible_truncation, reason = "only the order matters")]
                largest(scores, n, |score| (f64::from(score) + noise()) as f32)
            }
        };
        let candidate = |(parent, token): (usize, usize)| {
            let mut ids = self.running[parent].ids.clone();
            #[expect(clippy::cast_possible_truncation, reason = "a token id has 32 bits")]
            ids.push(token as u32);
            let is_finished = ids.last().is_some_and(|id| self.config.eos_token_id.contains(id))
                || ids.len() >= self.processors.max_length();
            Candidate { parent, beam: Beam { ids, score: scores[parent][token], is_finished } }
        };
        places.into_iter().map(candidate).collect()
    }

    /// Keeps the best finished sequences. A candidate counts only among the first `num_beams`: the others are a reserve.
    fn finish(&mut self, candidates: &[Candidate]) {
        if !self.improvable || (self.config.early_stopping == EarlyStopping::WhenFull && self.is_full()) {
            return;
        }
        let beams = self.config.num_beams;
        for Candidate { beam, .. } in candidates.iter().take(beams).filter(|candidate| candidate.beam.is_finished) {
            let score = beam.score / self.weight(beam.ids.len());
            self.finished.push(Beam { ids: beam.ids.clone(), score, is_finished: true });
        }
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished.truncate(beams);
    }

    /// The best candidates that have not ended, and which beams they continue.
    fn go_on_with(&self, mut candidates: Vec<Candidate>) -> (Vec<usize>, Vec<Beam>) {
        for Candidate { beam, .. } in candidates.iter_mut().filter(|candidate| candidate.beam.is_finished) {
            beam.score += NEVER;
        }
        candidates.sort_by(|a, b| b.beam.score.total_cmp(&a.beam.score));
        candidates.truncate(self.config.num_beams);
        candidates.into_iter().map(|Candidate { parent, beam }| (parent, Beam { is_finished: false, ..beam })).unzip()
    }

    /// What the score of a sequence is divided by.
    fn weight(&self, length: usize) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^24")]
        ((length - self.prompt_length) as f32).powf(self.config.length_penalty)
    }

    fn is_full(&self) -> bool {
        self.finished.iter().all(|beam| beam.is_finished)
    }

    /// Whether the best running sequence may still beat the worst finished one.
    fn can_improve(&self) -> bool {
        let Some(best) = self.running.first() else { return false };
        let reaches_far = self.config.early_stopping == EarlyStopping::Never && self.config.length_penalty > 0.0;
        let length = if reaches_far { self.processors.max_length() } else { best.ids.len() };
        let possible = best.score / self.weight(length);
        let worst = self.finished.iter().map(|beam| beam.score).fold(f32::INFINITY, f32::min);
        // A place that no sequence has taken yet can always be taken.
        self.finished.iter().any(|beam| possible > if beam.is_finished { worst } else { NEVER })
    }

    /// The best finished sequences.
    pub(super) fn best(self) -> Vec<Generated> {
        let (prompt_length, eos) = (self.prompt_length, &self.config.eos_token_id);
        let best = self.finished.into_iter().filter(|beam| beam.is_finished).take(self.config.num_return_sequences);
        best.map(|beam| {
            let tokens = beam.ids[prompt_length..].to_vec();
            let finish = if tokens.last().is_some_and(|id| eos.contains(id)) {
                StopReason::EndOfSequence
            } else {
                StopReason::MaxLength
            };
            Generated { tokens, finish, score: Some(beam.score) }
        })
        .collect()
    }
}

/// Row and column of the `n` largest keys, the largest first, equal ones in order of place.
fn largest(scores: &[Vec<f32>], n: usize, mut key: impl FnMut(f32) -> f32) -> Vec<(usize, usize)> {
    let mut keyed: Vec<(f32, usize, usize)> = Vec::new();
    for (row, scores) in scores.iter().enumerate() {
        keyed.extend(scores.iter().enumerate().map(|(column, score)| (key(*score), row, column)));
    }
    let order =
        |a: &(f32, usize, usize), b: &(f32, usize, usize)| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2)));
    if n < keyed.len() {
        keyed.select_nth_unstable_by(n, order);
        keyed.truncate(n);
    }
    keyed.sort_by(order);
    keyed.into_iter().map(|(_, row, column)| (row, column)).collect()
}
