//! Which tokens become queries.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::config::Config;
use super::heads::MlpHead;
use crate::error::{Error, Result};
use crate::nn::{LayerNorm, Linear};

/// Side of the box around a token of the largest map, as a share of the picture; it doubles from map to map.
const ANCHOR_SIDE: f32 = 0.05;

/// Anchors nearer to the edges than this are not used.
const ANCHOR_MARGIN: f32 = 1e-2;

/// Queries before the decoder.
pub(super) struct Queries {
    /// States (B, Q, D).
    pub states: Tensor,
    /// Boxes (B, Q, 4), before the sigmoid.
    pub reference: Tensor,
}

/// Chooses the tokens that look most like objects, and gives each a first box.
#[derive(Debug, Clone)]
pub(super) struct QuerySelection {
    output: Linear,
    norm: LayerNorm,
    scores: Linear,
    boxes: MlpHead,
    num_queries: usize,
}

impl QuerySelection {
    /// Loads `enc_output`, `enc_score_head` and `enc_bbox_head`.
    pub(super) fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let dim = config.d_model;
        Ok(Self {
            output: Linear::load(&vb.pp("enc_output.0"), dim, dim, 0.02)?,
            norm: LayerNorm::load(&vb.pp("enc_output.1"), dim, config.layer_norm_eps)?,
            scores: Linear::load(&vb.pp("enc_score_head"), dim, config.id2label.len(), 0.02)?,
            boxes: MlpHead::load(&vb.pp("enc_bbox_head"), &[dim, dim, dim, 4])?,
            num_queries: config.num_queries,
        })
    }

    /// From tokens (B, N, D) of maps of these heights and widths.
    pub(super) fn select(&self, memory: &Tensor, sizes: &[[usize; 2]]) -> Result<Queries> {
        let (b, n, dim) = memory.dims3()?;
        if n < self.num_queries {
            return Err(Error::unsupported(
                "num_queries",
                &self.num_queries,
                &format!("at most {n} for such pictures"),
            ));
        }
        let (anchors, valid) = anchors(sizes, memory.device())?; // (N, 4), (N, 1)
        let states = self.output.forward(&memory.broadcast_mul(&valid.to_dtype(memory.dtype())?)?)?;
        let states = self.norm.forward(&states)?; // (B, N, D)
        let scores = self.scores.forward(&states)?.max(2)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        let chosen: Vec<u32> = scores.iter().flat_map(|scores| largest(scores, self.num_queries)).collect();
        let rows = chosen.iter().enumerate().map(|(at, token)| (at / self.num_queries * n) as u32 + token);
        let rows = Tensor::from_vec(rows.collect::<Vec<u32>>(), chosen.len(), memory.device())?;
        let states = states.reshape((b * n, dim))?.index_select(&rows, 0)?.reshape((b, self.num_queries, dim))?;
        let chosen = Tensor::from_vec(chosen, b * self.num_queries, memory.device())?;
        let anchors = anchors.index_select(&chosen, 0)?.reshape((b, self.num_queries, 4))?;
        let reference = (self.boxes.forward(&states)?.to_dtype(DType::F32)? + anchors)?;
        Ok(Queries { states, reference })
    }
}

/// Places of the `n` largest values, the largest first, equal ones in order.
fn largest(values: &[f32], n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..).take(values.len()).collect();
    order.sort_by(|a, b| values[*b as usize].total_cmp(&values[*a as usize]).then(a.cmp(b)));
    order.truncate(n);
    order
}

/// A box around each token, as the numbers whose sigmoid it is (N, 4), and 1 where it is used, else 0 (N, 1); in f32.
fn anchors(sizes: &[[usize; 2]], device: &Device) -> candle_core::Result<(Tensor, Tensor)> {
    let (mut values, mut valid) = (Vec::new(), Vec::new());
    let mut side = ANCHOR_SIDE;
    for [height, width] in sizes {
        for place in 0..height * width {
            let centre = |at: usize, n: usize| (at as f32 + 0.5) / n as f32;
            let anchor = [centre(place % width, *width), centre(place / width, *height), side, side];
            let is_valid = anchor.iter().all(|share| (*share > ANCHOR_MARGIN) && (*share < 1.0 - ANCHOR_MARGIN));
            valid.push(f32::from(u8::from(is_valid)));
            values.extend(anchor.map(|share| if is_valid { (share / (1.0 - share)).ln() } else { f32::MAX }));
        }
        side *= 2.0;
    }
    let n = valid.len();
    Ok((Tensor::from_vec(values, (n, 4), device)?, Tensor::from_vec(valid, (n, 1), device)?))
}
