//! Probabilities of chosen tokens.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::super::math::{exp, max, sum};
use super::super::rows::with_values;
use super::super::simd::{Kernel, Simd, dispatch};

/// What the logits of one place say of the token that stands there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TokenScore {
    /// Natural logarithm of its probability.
    pub(crate) log_prob: f32,
    /// Whether it is the most probable token; of equals the first.
    pub(crate) is_top: bool,
}

/// The probabilities (N, V) of logits (N, V) divided by `temperature`, and what they say of one token of each row. On the
/// CPU in f32, without gradients.
///
/// # Errors
/// Another number of tokens than rows, a token outside the vocabulary, another type or device, memory.
pub(crate) fn token_scores(logits: &Tensor, tokens: &[u32], temperature: f32) -> Result<(Tensor, Vec<TokenScore>)> {
    let (rows, width) = logits.dims2()?;
    if tokens.len() != rows || tokens.iter().any(|token| *token as usize >= width) {
        bail!("{} tokens for logits ({rows}, {width})", tokens.len());
    }
    let mut probabilities = vec![0f32; rows * width];
    let scores = with_values(logits, |values| {
        let rows = probabilities.par_chunks_mut(width.max(1)).zip(values.par_chunks(width.max(1)));
        rows.zip(tokens).map(|((out, logits), token)| of_row(logits, *token as usize, temperature, out)).collect()
    })?;
    Ok((Tensor::from_vec(probabilities, (rows, width), logits.device())?, scores))
}

fn of_row(logits: &[f32], token: usize, temperature: f32, out: &mut [f32]) -> TokenScore {
    let mut score = TokenScore { log_prob: 0.0, is_top: false };
    dispatch(Row { logits, token, scale: 1.0 / temperature, out, score: &mut score });
    score
}

struct Row<'a> {
    logits: &'a [f32],
    token: usize,
    scale: f32,
    out: &'a mut [f32],
    score: &'a mut TokenScore,
}

impl Kernel for Row<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (largest, own) = (max(self.logits), self.logits[self.token]);
        for (out, logit) in self.out.iter_mut().zip(self.logits) {
            *out = exp::<S>((*logit - largest) * self.scale);
        }
        let total = sum(self.out, |x| x);
        self.out.iter_mut().for_each(|x| *x /= total);
        let first = self.logits.iter().position(|logit| *logit == largest);
        *self.score =
            TokenScore { log_prob: (own - largest) * self.scale - total.ln(), is_top: first == Some(self.token) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::{D, Device};

    #[test]
    fn scores_are_those_of_log_softmax() {
        let logits = Tensor::arange(0f32, 3.0 * 101.0, &Device::Cpu).unwrap().affine(0.9, 0.4).unwrap().sin().unwrap();
        let logits = (logits.reshape((3, 101)).unwrap() * 9.0).unwrap();
        let tokens = [0u32, 100, 7];
        for temperature in [1.0f32, 0.7, 2.5] {
            let (probabilities, scores) = token_scores(&logits, &tokens, temperature).unwrap();
            let wanted = candle_nn::ops::log_softmax(&(&logits / f64::from(temperature)).unwrap(), D::Minus1).unwrap();
            for (row, (score, token)) in scores.iter().zip(tokens).enumerate() {
                let wanted = wanted.get(row).unwrap().to_vec1::<f32>().unwrap();
                assert!((score.log_prob - wanted[token as usize]).abs() < 2e-6);
                let top = (0..101).max_by(|a, b| wanted[*a].total_cmp(&wanted[*b])).unwrap();
                assert_eq!(score.is_top, top == token as usize);
                let got = probabilities.get(row).unwrap().to_vec1::<f32>().unwrap();
                assert!(got.iter().zip(&wanted).all(|(p, lp)| (p - lp.exp()).abs() < 1e-6));
            }
        }
        assert!(token_scores(&logits, &[0, 1], 1.0).is_err() && token_scores(&logits, &[0, 1, 101], 1.0).is_err());
    }

    /// A probability that underflows has a logarithm all the same; of equals the first is the most probable.
    #[test]
    fn improbable_tokens_keep_their_logarithm() {
        let logits = Tensor::new(&[[0f32, -200.0, 0.0]], &Device::Cpu).unwrap();
        let score = |token| token_scores(&logits, &[token], 1.0).unwrap().1[0];
        assert!((score(1).log_prob + 200.0 + 2f32.ln()).abs() < 1e-4);
        assert!(score(0).is_top && !score(1).is_top && !score(2).is_top);
    }
}
