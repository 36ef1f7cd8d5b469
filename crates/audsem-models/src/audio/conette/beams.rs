//! CoNeTTE's beam search. Unlike that of transformers, a caption that ends leaves its place empty, so that fewer and fewer
//! are followed; the best is the one with the highest mean log-probability of its words.

use crate::Result;
use crate::generate::{CausalDecoder, GenerationError, log_softmax};

/// What a search is bound by.
#[derive(Debug, Clone, Copy)]
pub(super) struct BeamRules<'a> {
    /// The token that captions start with.
    pub(super) start: u32,
    /// The token that ends a caption.
    pub(super) end: u32,
    /// Captions that are followed at first.
    pub(super) beams: usize,
    /// Words before which a caption does not end.
    pub(super) least: usize,
    /// Most words of a caption, its end included.
    pub(super) most: usize,
    /// For each token, whether it occurs at most once.
    pub(super) once: &'a [bool],
}

/// A caption as tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptionTokens {
    /// Its tokens without the first, the end included where there is one.
    pub tokens: Vec<u32>,
    /// Mean log-probability of its tokens.
    pub mean_log_probability: f32,
}

/// A caption in the making.
#[derive(Debug, Clone)]
struct Beam {
    /// Tokens, the first included.
    ids: Vec<u32>,
    log_probability: f32,
    /// Its place among the beams, which it keeps.
    place: usize,
}

/// The finished captions by place, from the one row that `decoder` stands for.
pub(super) fn search(decoder: &mut dyn CausalDecoder, rules: &BeamRules<'_>) -> Result<Vec<CaptionTokens>> {
    let mut finished: Vec<Option<CaptionTokens>> = vec![None; rules.beams];
    let start = Beam { ids: vec![rules.start], log_probability: 0.0, place: 0 };
    let mut logits = decoder.prefill(&[&[rules.start]])?;
    let mut beams = vec![start];
    for step in 0..rules.most {
        let places: Vec<usize> =
            if step == 0 { (0..rules.beams).collect() } else { beams.iter().map(|beam| beam.place).collect() };
        for (beam, scores) in beams.iter().zip(&mut logits) {
            score(beam, scores, step, rules)?;
        }
        let (mut parents, mut going) = (Vec::new(), Vec::new());
        for (place, (parent, token, log_probability)) in places.iter().zip(best(&logits, places.len())) {
            let ids: Vec<u32> = beams[parent].ids.iter().copied().chain([token]).collect();
            if token == rules.end || step + 1 == rules.most {
                #[expect(clippy::cast_precision_loss, reason = "captions have few words")]
                let mean_log_probability = log_probability / (step + 1) as f32;
                finished[*place] = Some(CaptionTokens { tokens: ids[1..].to_vec(), mean_log_probability });
            } else {
                parents.push(parent);
                going.push(Beam { ids, log_probability, place: *place });
            }
        }
        beams = going;
        if beams.is_empty() {
            break;
        }
        decoder.select(&parents)?;
        let tokens: Vec<u32> = beams.iter().filter_map(|beam| beam.ids.last().copied()).collect();
        logits = decoder.step(&tokens)?;
    }
    Ok(finished.into_iter().flatten().collect())
}

/// Turns the logits after a beam into the log-probabilities of its continuations.
fn score(beam: &Beam, scores: &mut [f32], step: usize, rules: &BeamRules<'_>) -> Result<()> {
    if let Some(token) = scores.iter().position(|score| score.is_nan() || *score == f32::INFINITY) {
        return Err(GenerationError::Score { token, score: scores[token] }.into());
    }
    let used = beam.ids.iter().map(|id| *id as usize).filter(|id| rules.once.get(*id).is_some_and(|once| *once));
    let early_end = (step < rules.least).then_some(rules.end as usize);
    for id in used.chain(early_end) {
        if let Some(score) = scores.get_mut(id) {
            *score = f32::NEG_INFINITY;
        }
    }
    if scores.iter().all(|score| *score == f32::NEG_INFINITY) {
        return Err(GenerationError::NoTokenLeft.into());
    }
    log_softmax(scores);
    scores.iter_mut().for_each(|score| *score += beam.log_probability);
    Ok(())
}

/// Beam, token and score of the `n` best continuations, the best first, equal ones in order.
fn best(scores: &[Vec<f32>], n: usize) -> Vec<(usize, u32, f32)> {
    let of_beam = |(beam, scores): (usize, &Vec<f32>)| {
        scores.iter().zip(0u32..).map(move |(score, token)| (beam, token, *score)).collect::<Vec<_>>()
    };
    let mut all: Vec<(usize, u32, f32)> = scores.iter().enumerate().flat_map(of_beam).collect();
    all.sort_by(|a, b| b.2.total_cmp(&a.2));
    all.truncate(n);
    all
}
