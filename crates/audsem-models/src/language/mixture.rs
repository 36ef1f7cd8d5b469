//! Feed-forward blocks of a layer: one for all tokens, or several among which each token chooses.

use candle_core::{D, DType, Result as TensorResult, Tensor};
use candle_nn::VarBuilder;

use super::LanguageConfig;
use super::config::Experts;
use super::network::map_all;
use crate::nn::{Activation, Linear, RowLinear, gated};

/// What a layer does to each token behind attention.
#[derive(Debug, Clone)]
pub(super) enum FeedForward {
    /// One block.
    Dense(GatedBlock),
    /// Blocks among which each token chooses (Jiang et al., "Mixtral of Experts", 2024).
    Mixture(Mixture),
}

/// Maps tokens to a gate and a value, and their product back.
#[derive(Debug, Clone)]
pub(super) struct GatedBlock {
    /// Gate and up: one map of both, or one of each.
    pub(super) wide: Vec<RowLinear>,
    pub(super) down: RowLinear,
}

/// Several blocks, of which each token goes through those that the router finds best.
#[derive(Debug, Clone)]
pub(super) struct Mixture {
    router: RowLinear,
    experts: Vec<GatedBlock>,
    per_token: usize,
}

/// How rows are mapped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    pub(super) activation: Activation,
    /// Whether the rows are tokens of one sequence.
    pub(super) are_sequence: bool,
}

impl FeedForward {
    /// Loads `mlp`, or the experts of `block_sparse_moe`, below a layer.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub(super) fn load(vb: &VarBuilder<'_>, config: &LanguageConfig) -> TensorResult<Self> {
        match config.experts {
            None => Ok(Self::Dense(GatedBlock::load(&vb.pp("mlp"), ["gate_proj", "up_proj", "down_proj"], config)?)),
            Some(experts) => Ok(Self::Mixture(Mixture::load(&vb.pp("block_sparse_moe"), experts, config)?)),
        }
    }

    /// Rows (B, D) to (B, D).
    pub(super) fn forward(&self, x: &Tensor, rows: Rows) -> TensorResult<Tensor> {
        match self {
            Self::Dense(block) => block.forward(x, rows),
            Self::Mixture(mixture) => mixture.forward(x, rows.activation),
        }
    }
}

impl GatedBlock {
    fn load(vb: &VarBuilder<'_>, [gate, up, down]: [&str; 3], config: &LanguageConfig) -> TensorResult<Self> {
        let (dim, wide) = (config.hidden_size, config.intermediate_size);
        let linear = |name, inputs, outputs| Linear::load_with(&vb.pp(name), inputs, outputs, config.mlp_bias, 0.02);
        Ok(Self {
            wide: vec![RowLinear::concat(&[&linear(gate, dim, wide)?, &linear(up, dim, wide)?])?],
            down: RowLinear::new(linear(down, wide, dim)?)?,
        })
    }

    fn forward(&self, x: &Tensor, rows: Rows) -> TensorResult<Tensor> {
        let wide = map_all(&self.wide, x, rows.are_sequence)?;
        let wide = gated(&wide, rows.activation)?;
        map_all(std::slice::from_ref(&self.down), &wide, rows.are_sequence)
    }
}

impl Mixture {
    fn load(vb: &VarBuilder<'_>, experts: Experts, config: &LanguageConfig) -> TensorResult<Self> {
        let expert = |n| GatedBlock::load(&vb.pp("experts").pp(n), ["w1", "w3", "w2"], config);
        let router = Linear::load_no_bias(&vb.pp("gate"), config.hidden_size, experts.number, 0.02)?;
        Ok(Self {
            router: RowLinear::new(router)?,
            experts: (0..experts.number).map(expert).collect::<TensorResult<_>>()?,
            per_token: experts.per_token,
        })
    }

    /// Each token goes through its best experts, whose results are weighted by their probabilities among these. Experts run
    /// over rows that do not depend on each other, so that no token changes another.
    fn forward(&self, x: &Tensor, activation: Activation) -> TensorResult<Tensor> {
        let logits = self.router.forward(x)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        let chosen: Vec<Vec<(usize, f32)>> = logits.iter().map(|row| chosen(row, self.per_token)).collect();
        let mut sum = x.zeros_like()?;
        for (n, expert) in self.experts.iter().enumerate() {
            let (mut rows, mut weights) = (Vec::new(), Vec::new());
            for (row, chosen) in chosen.iter().enumerate() {
                if let Some((_, weight)) = chosen.iter().find(|(expert, _)| *expert == n) {
                    rows.push(row as u32);
                    weights.push(*weight);
                }
            }
            if rows.is_empty() {
                continue;
            }
            let rows = Tensor::new(rows, x.device())?;
            let seen = x.index_select(&rows, 0)?;
            let said = expert.forward(&seen, Rows { activation, are_sequence: false })?;
            let weights = Tensor::new(weights, x.device())?.unsqueeze(D::Minus1)?.to_dtype(said.dtype())?;
            sum = sum.index_add(&rows, &said.broadcast_mul(&weights)?, 0)?;
        }
        Ok(sum)
    }
}

/// The `n` likeliest experts, equal ones in order, with their probabilities among each other.
fn chosen(logits: &[f32], n: usize) -> Vec<(usize, f32)> {
    let mut ranked: Vec<(usize, f32)> = logits.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.truncate(n);
    let best = ranked.first().map_or(0.0, |(_, logit)| *logit);
    ranked.iter_mut().for_each(|(_, logit)| *logit = (*logit - best).exp());
    let sum: f32 = ranked.iter().map(|(_, weight)| weight).sum();
    ranked.iter_mut().for_each(|(_, weight)| *weight /= sum);
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_experts_share_the_weight_of_one() {
        let two = chosen(&[0.0, 3f32.ln(), -1.0, 0.0], 2);
        assert_eq!(two.iter().map(|(expert, _)| *expert).collect::<Vec<_>>(), [1, 0]);
        assert!((two[0].1 - 0.75).abs() < 1e-6 && (two[1].1 - 0.25).abs() < 1e-6, "{two:?}");
    }
}
