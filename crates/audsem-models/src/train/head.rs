//! The loss over a vocabulary in closed form: some tokens at a time, so that the logits of all tokens never lie in memory
//! together.
//!
//! With `p` the probabilities at temperature `T` and `W` the head, the gradient of the log-probability of token `t` is
//! `(W[t] - p W) / T` by the state that the head reads, and `(onehot(t) - p) / T` times that state by the head.

use candle_core::{D, DType, Tensor, Var};

use super::{Accumulated, TargetScores};
use crate::error::Result;
use crate::nn::RmsNorm;
use crate::nn::fused::{self, TokenScore, token_scores};

/// Tokens whose logits lie in memory at a time.
const CHUNK: usize = 128;

/// The last norm of a decoder and its head.
pub(crate) struct Head<'a> {
    pub(crate) norm: &'a RmsNorm,
    /// The head (V, D), without a bias.
    pub(crate) weight: &'a Tensor,
    /// What logits are divided by.
    pub(crate) temperature: f64,
}

/// Scores of tokens, and what is needed to go back.
pub(crate) struct Scored {
    pub(crate) scores: Vec<TokenScore>,
    /// The gradient (N, D) of each log-probability by the state behind the norm.
    slopes: Option<Tensor>,
}

impl Scored {
    /// The scores of sequences with so many targets each.
    pub(crate) fn split(&self, targets: impl Iterator<Item = usize>) -> Vec<TargetScores> {
        let mut rest = self.scores.as_slice();
        let part = |n: usize| {
            let (own, others) = rest.split_at(n.min(rest.len()));
            rest = others;
            let log_probs = own.iter().map(|score| score.log_prob).collect();
            TargetScores { log_probs, correct: own.iter().map(|score| score.is_top).collect() }
        };
        targets.map(part).collect()
    }
}

impl Head<'_> {
    /// Scores of `tokens`, each behind one of the states (N, D); with `is_back_wanted` also what [`Head::back`] needs.
    ///
    /// # Errors
    /// A token outside the vocabulary, shapes, memory, device.
    pub(crate) fn score(&self, states: &Tensor, tokens: &[u32], is_back_wanted: bool) -> Result<Scored> {
        let weight = self.weight.detach();
        let (mut scores, mut slopes) = (Vec::with_capacity(tokens.len()), Vec::new());
        for (n, tokens) in tokens.chunks(CHUNK).enumerate() {
            let states = states.narrow(0, n * CHUNK, tokens.len())?;
            let (probabilities, of_chunk) = self.chunk(&self.norm.forward(&states)?.detach(), &weight, tokens)?;
            scores.extend(of_chunk);
            if is_back_wanted {
                let ids = Tensor::new(tokens, weight.device())?;
                let own = weight.index_select(&ids, 0)?.to_dtype(DType::F32)?;
                let mean = probabilities.to_dtype(weight.dtype())?.matmul(&weight)?.to_dtype(DType::F32)?;
                slopes.push(((own - mean)? / self.temperature)?);
            }
        }
        let slopes = if slopes.is_empty() { None } else { Some(Tensor::cat(&slopes, 0)?) };
        Ok(Scored { scores, slopes })
    }

    /// Probabilities (C, V) in f32 behind some normalised states (C, D), and the scores of the tokens there.
    fn chunk(&self, normed: &Tensor, weight: &Tensor, tokens: &[u32]) -> Result<(Tensor, Vec<TokenScore>)> {
        let logits = normed.matmul(&weight.t()?)?.to_dtype(DType::F32)?;
        if fused::is_supported(&logits) {
            return Ok(token_scores(&logits, tokens, self.temperature as f32)?);
        }
        composed_scores(&logits, tokens, self.temperature)
    }

    /// The gradient (N, D) of states by the derivative of the loss by each log-probability; adds those of the norm and,
    /// under `head_name`, of the head to `sum` where they are trained.
    ///
    /// # Errors
    /// Shapes, memory, device.
    pub(crate) fn back(
        &self,
        states: &Tensor,
        tokens: &[u32],
        (scored, derivatives): (&Scored, &[f32]),
        (vars, head_name): (&[(String, Var)], &str),
        sum: &mut Accumulated,
    ) -> Result<Tensor> {
        let Some(slopes) = &scored.slopes else { return Ok(states.zeros_like()?) };
        let derivatives = Tensor::new(derivatives, states.device())?.unsqueeze(1)?; // (N, 1)
        let input = Var::from_tensor(states)?;
        let normed = self.norm.forward(&input)?;
        if self.weight.track_op() {
            sum.add_tensor(head_name, &self.head_gradient(&normed.detach(), tokens, &derivatives)?)?;
        }
        let grad = slopes.broadcast_mul(&derivatives)?.to_dtype(normed.dtype())?;
        let grads = (normed * grad)?.backward()?;
        sum.add(&grads, vars)?;
        Ok(grads.get(&input).map_or_else(|| states.zeros_like(), |grad| Ok(grad.detach()))?)
    }

    /// The gradient (V, D) of the head, from normalised states (N, D) and derivatives (N, 1).
    fn head_gradient(&self, normed: &Tensor, tokens: &[u32], derivatives: &Tensor) -> Result<Tensor> {
        let weight = self.weight.detach();
        let mut sum = Tensor::zeros(weight.shape(), DType::F32, weight.device())?;
        for (n, tokens) in tokens.chunks(CHUNK).enumerate() {
            let part = |x: &Tensor| x.narrow(0, n * CHUNK, tokens.len());
            let normed = part(normed)?;
            let (probabilities, _) = self.chunk(&normed, &weight, tokens)?;
            let scale = (part(derivatives)? / self.temperature)?;
            let own = normed.to_dtype(DType::F32)?.broadcast_mul(&scale)?; // (C, D)
            sum = sum.index_add(&Tensor::new(tokens, weight.device())?, &own, 0)?;
            sum = (sum - probabilities.t()?.matmul(&own)?)?;
        }
        Ok(sum)
    }
}

/// As [`token_scores`], composed of operations of any device.
fn composed_scores(logits: &Tensor, tokens: &[u32], temperature: f64) -> Result<(Tensor, Vec<TokenScore>)> {
    let ids = Tensor::new(tokens, logits.device())?.unsqueeze(1)?;
    let scaled = (logits / temperature)?;
    let log_probs = candle_nn::ops::log_softmax(&scaled, D::Minus1)?;
    let own = log_probs.gather(&ids, 1)?.squeeze(1)?.to_vec1::<f32>()?;
    let top = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
    let scores = own.into_iter().zip(top.iter().zip(tokens));
    let scores = scores.map(|(log_prob, (top, token))| TokenScore { log_prob, is_top: top == token }).collect();
    Ok((log_probs.exp()?, scores))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::train::Gradients;
    use candle_core::Device;

    fn wave(shape: (usize, usize), shift: f64) -> Tensor {
        let x = Tensor::arange(0f32, (shape.0 * shape.1) as f32, &Device::Cpu).unwrap();
        (x.affine(0.7, shift).unwrap().sin().unwrap().reshape(shape).unwrap() * 2.0).unwrap()
    }

    fn worst(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
    }

    /// More tokens than a chunk; a head that is trained and one that is not; against one graph of candle's operations.
    #[test]
    fn gradients_are_those_of_log_softmax() {
        let (n, vocabulary, dim) = (CHUNK + 9, 23, 6);
        let states = wave((n, dim), 0.2);
        let tokens: Vec<u32> = (0..n as u32).map(|n| n * 5 % 23).collect();
        let derivatives: Vec<f32> = (0..n).map(|n| (n as f32 * 0.3).cos() * 0.01).collect();
        let norm_weight = Var::from_tensor(&wave((1, dim), 0.9).squeeze(0).unwrap()).unwrap();
        let weight = Var::from_tensor(&wave((vocabulary, dim), 1.4)).unwrap();
        let norm = RmsNorm::from_weight(norm_weight.as_tensor().clone(), 1e-5);
        let vars = [("norm".to_owned(), norm_weight.clone())];
        for (temperature, is_trained) in [(1.0, true), (0.7, false)] {
            let frozen = weight.as_detached_tensor();
            let weight = if is_trained { weight.as_tensor() } else { &frozen };
            let head = Head { norm: &norm, weight, temperature };
            let scored = head.score(&states, &tokens, true).unwrap();
            let mut sum = Accumulated::default();
            let got = head.back(&states, &tokens, (&scored, &derivatives), (&vars, "head"), &mut sum).unwrap();

            let input = Var::from_tensor(&states).unwrap();
            let logits = norm.forward(&input).unwrap().matmul(&weight.t().unwrap()).unwrap();
            let log_probs = candle_nn::ops::log_softmax(&(logits / temperature).unwrap(), D::Minus1).unwrap();
            let ids = Tensor::new(tokens.as_slice(), &Device::Cpu).unwrap().unsqueeze(1).unwrap();
            let own = log_probs.gather(&ids, 1).unwrap().squeeze(1).unwrap();
            for (score, wanted) in scored.scores.iter().zip(own.to_vec1::<f32>().unwrap()) {
                assert!((score.log_prob - wanted).abs() < 2e-6);
            }
            let loss = (own * Tensor::new(derivatives.as_slice(), &Device::Cpu).unwrap()).unwrap().sum_all().unwrap();
            let wanted = loss.backward().unwrap();
            assert!(worst(&got, wanted.get(&input).unwrap()) < 2e-6);
            assert!(worst(sum.gradient("norm", &norm_weight).unwrap(), wanted.get(&norm_weight).unwrap()) < 2e-5);
            match sum.gradient("head", &norm_weight) {
                Some(got) => assert!(is_trained && worst(got, wanted.get(weight).unwrap()) < 1e-5),
                None => assert!(!is_trained),
            }
        }
    }

    #[test]
    fn composed_scores_are_the_fused_ones() {
        let logits = wave((5, 40), 0.3);
        let tokens = [0, 39, 7, 8, 9];
        let (a, b) = (composed_scores(&logits, &tokens, 0.8).unwrap(), token_scores(&logits, &tokens, 0.8).unwrap());
        assert!(worst(&a.0, &b.0) < 1e-6);
        for (a, b) in a.1.iter().zip(&b.1) {
            assert!((a.log_prob - b.log_prob).abs() < 2e-6 && a.is_top == b.is_top);
        }
    }

    #[test]
    fn scores_are_split_by_sequences() {
        let score = |n: f32| TokenScore { log_prob: -n, is_top: n == 2.0 };
        let scored = Scored { scores: [1.0, 2.0, 3.0].map(score).to_vec(), slopes: None };
        let parts = scored.split([2, 0, 1].into_iter());
        assert_eq!(parts[0].log_probs, [-1.0, -2.0]);
        assert_eq!((parts[1].log_probs.len(), parts[2].log_probs.as_slice()), (0, &[-3.0][..]));
        assert_eq!(parts[0].correct, [false, true]);
    }
}
