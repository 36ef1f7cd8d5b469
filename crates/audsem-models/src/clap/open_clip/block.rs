//! The layers of all towers: attention, then a map, each behind a norm and added to what it was made of. Towers differ in what
//! is between, and in what their tensors are called.

use candle_core::{D, IndexOp, Tensor};
use candle_nn::VarBuilder;

use crate::error::Result;
use crate::nn::{Activation, Angles, Attention, LayerNorm, Linear, Mode, RmsNorm, join_heads, split_heads};

/// Standard deviation of new weights, of which there are none.
const STDEV: f64 = 0.02;

/// Most scores of attention that are held at a time, where it is not computed in tiles.
const MAX_SCORES: usize = 1 << 28;

/// A norm of either kind.
#[derive(Debug, Clone)]
pub(super) enum Norm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

/// How norms are loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct NormKind {
    pub rms: bool,
    pub eps: f64,
}

impl NormKind {
    pub(super) fn load(self, vb: &VarBuilder<'_>, dim: usize) -> Result<Norm> {
        Ok(match self.rms {
            true => Norm::Rms(RmsNorm::load(vb, dim, self.eps)?),
            false => Norm::Layer(LayerNorm::load(vb, dim, self.eps)?),
        })
    }

    pub(super) fn load_if(self, wanted: bool, vb: &VarBuilder<'_>, dim: usize) -> Result<Option<Norm>> {
        wanted.then(|| self.load(vb, dim)).transpose()
    }
}

impl Norm {
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Layer(norm) => norm.forward(x)?,
            Self::Rms(norm) => norm.forward(x)?,
        })
    }
}

/// A norm that may not be there.
pub(super) fn normed(norm: Option<&Norm>, x: Tensor) -> Result<Tensor> {
    norm.map_or(Ok(x.clone()), |norm| norm.forward(&x))
}

/// (…, I) to (…, O), with a bias or without.
pub(super) fn map(vb: &VarBuilder<'_>, inputs: usize, outputs: usize, bias: bool) -> Result<Linear> {
    Ok(Linear::load_with(vb, inputs, outputs, bias, STDEV)?)
}

/// A tensor of any shape.
pub(super) fn tensor(vb: &VarBuilder<'_>, shape: impl Into<candle_core::Shape>, name: &str) -> Result<Tensor> {
    Ok(vb.get(shape, name)?)
}

/// The two layers behind attention.
#[derive(Debug, Clone)]
pub(super) enum Mlp {
    Plain {
        first: Linear,
        activation: Activation,
        second: Linear,
    },
    /// With the square of what is above 0.
    Squared {
        first: Linear,
        second: Linear,
    },
    /// The second half of the first map gates its first half.
    Gated {
        first: Linear,
        second: Linear,
    },
}

impl Mlp {
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Plain { first, activation, second } => second.forward(&activation.forward(&first.forward(x)?)?)?,
            Self::Squared { first, second } => {
                let x = first.forward(x)?;
                // Times `x` and not its own, so that what is no number stays none.
                second.forward(&(Activation::Relu.forward(&x)? * x)?)?
            }
            Self::Gated { first, second } => {
                let both = first.forward(x)?;
                let width = both.dim(D::Minus1)? / 2;
                let gate = both.narrow(D::Minus1, width, width)?.contiguous()?;
                second
                    .forward(&(both.narrow(D::Minus1, 0, width)?.contiguous()? * Activation::Silu.forward(&gate)?)?)?
            }
        })
    }
}

/// Attention of all tokens to one another.
#[derive(Debug, Clone)]
pub(super) struct SelfAttention {
    pub heads: usize,
    /// Queries, keys and values, one after the other.
    pub qkv: Linear,
    pub q_norm: Option<Norm>,
    pub k_norm: Option<Norm>,
    pub gate: Option<Linear>,
    /// How much of a layer's own values is mixed with those of the first layer: (1).
    pub own_values: Option<Tensor>,
    pub out: Linear,
}

/// What layers share in a pass.
pub(super) struct Pass<'a> {
    /// Positions, where tokens have any.
    pub angles: Option<&'a Angles>,
    /// What queries may not see.
    pub bias: Option<&'a Tensor>,
    /// The values of the first layer, where later ones want them.
    pub first_values: Option<Tensor>,
}

impl SelfAttention {
    fn forward(&self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let parts = self.qkv.forward(x)?.chunk(3, D::Minus1)?;
        let heads = |part: &Tensor| split_heads(&part.contiguous()?, self.heads);
        let (q, k, v) = (heads(&parts[0])?, heads(&parts[1])?, heads(&parts[2])?.contiguous()?);
        let v = self.mixed(v, pass)?;
        let turned = |x: Tensor, norm: Option<&Norm>| -> Result<Tensor> {
            let x = normed(norm, x.contiguous()?)?;
            Ok(pass.angles.map_or(Ok(x.clone()), |angles| angles.forward_neighbours(&x))?.contiguous()?)
        };
        let seen = attend(&turned(q, self.q_norm.as_ref())?, &turned(k, self.k_norm.as_ref())?, &v, pass.bias)?;
        let seen = join_heads(&seen)?;
        let seen = match &self.gate {
            Some(gate) => (seen * candle_nn::ops::sigmoid(&gate.forward(x)?)?)?,
            None => seen,
        };
        Ok(self.out.forward(&seen)?)
    }

    /// The values with those of the first layer in them.
    fn mixed(&self, own: Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        match (&self.own_values, &pass.first_values) {
            (Some(share), Some(first)) => Ok((first + (own - first)?.broadcast_mul(share)?)?),
            _ => {
                pass.first_values.get_or_insert_with(|| own.clone());
                Ok(own)
            }
        }
    }
}

/// Attention, a part of the queries at a time where all scores at once would be too many.
pub(super) fn attend(q: &Tensor, k: &Tensor, v: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let attention = Attention { bias, dropout: None, mode: Mode::Infer };
    let (b, heads, t, _) = q.dims4()?;
    let at_once = (MAX_SCORES / (b * heads * k.dim(2)?).max(1)).max(1);
    if t <= at_once || bias.is_some() || q.device().is_cpu() {
        return Ok(attention.forward(q, k, v)?);
    }
    let starts = (0..t).step_by(at_once);
    let parts =
        starts.map(|start| attention.forward(&q.i((.., .., start..t.min(start + at_once)))?.contiguous()?, k, v));
    Ok(Tensor::cat(&parts.collect::<candle_core::Result<Vec<_>>>()?, 2)?)
}

/// One layer.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub norm1: Norm,
    pub attention: SelfAttention,
    pub after1: Option<Norm>,
    /// What attention is multiplied with: (D).
    pub scale1: Option<Tensor>,
    pub norm2: Norm,
    pub mlp: Mlp,
    pub after2: Option<Norm>,
    pub scale2: Option<Tensor>,
}

impl Block {
    /// Tokens (B, T, D) to (B, T, D).
    pub(super) fn forward(&self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let seen = self.attention.forward(&self.norm1.forward(x)?, pass)?;
        let x = (x + scaled(normed(self.after1.as_ref(), seen)?, self.scale1.as_ref())?)?;
        let mapped = self.mlp.forward(&self.norm2.forward(&x)?)?;
        Ok((&x + scaled(normed(self.after2.as_ref(), mapped)?, self.scale2.as_ref())?)?)
    }
}

fn scaled(x: Tensor, scale: Option<&Tensor>) -> Result<Tensor> {
    scale.map_or(Ok(x.clone()), |scale| Ok(x.broadcast_mul(scale)?))
}

/// The query of a pool, learned, that attends to all tokens.
#[derive(Debug, Clone)]
pub(super) struct LatentQuery {
    pub heads: usize,
    pub query: Tensor, // (1, 1, D)
    pub q: Linear,
    pub kv: Linear,
    pub q_norm: Option<Norm>,
    pub k_norm: Option<Norm>,
}

impl LatentQuery {
    /// Loads `q`, `kv` and norms; the query is called `query`.
    pub(super) fn load(
        vb: &VarBuilder<'_>,
        query: &str,
        (dim, heads): (usize, usize),
        bias: bool,
        qk_norm: Option<NormKind>,
    ) -> Result<Self> {
        let norm = |name: &str| qk_norm.map(|kind| kind.load(&vb.pp(name), dim / heads)).transpose();
        Ok(Self {
            heads,
            query: tensor(vb, (1, 1, dim), query)?,
            q: map(&vb.pp("q"), dim, dim, bias)?,
            kv: map(&vb.pp("kv"), dim, 2 * dim, bias)?,
            q_norm: norm("q_norm")?,
            k_norm: norm("k_norm")?,
        })
    }

    /// Tokens (B, T, D) to (B, 1, D).
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, _, dim) = x.dims3()?;
        let query = self.query.broadcast_as((b, 1, dim))?.contiguous()?;
        let parts = self.kv.forward(x)?.chunk(2, D::Minus1)?;
        let heads = |part: &Tensor| split_heads(&part.contiguous()?, self.heads)?.contiguous();
        let q = normed(self.q_norm.as_ref(), heads(&self.q.forward(&query)?)?)?;
        let k = normed(self.k_norm.as_ref(), heads(&parts[0])?)?;
        Ok(join_heads(&attend(&q, &k, &heads(&parts[1])?, None)?)?)
    }
}
