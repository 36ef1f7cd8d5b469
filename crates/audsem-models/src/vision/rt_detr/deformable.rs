//! Deformable attention: each query looks at a few points of each map (Zhu et al., 2020).

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::{Config, LEVELS};
use crate::nn::{Linear, softmax};

/// Offsets reach this share of the reference box, divided by the number of points, for each unit.
const OFFSET_SHARE: f64 = 0.5;

/// The layer.
#[derive(Debug, Clone)]
pub(super) struct DeformableAttention {
    offsets: Linear,
    weights: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
    points: usize,
}

/// Heights, widths and first tokens of the maps, each (1, 1, 1, L, 1) in f32.
struct Maps {
    height: Tensor,
    width: Tensor,
    start: Tensor,
}

impl Maps {
    fn new(sizes: &[[usize; 2]], device: &Device) -> Result<Self> {
        let starts = sizes.iter().scan(0, |sum, [height, width]| {
            *sum += height * width;
            Some(*sum - height * width)
        });
        let tensor = |values: Vec<f32>| Tensor::from_vec(values, (1, 1, 1, sizes.len(), 1), device);
        Ok(Self {
            height: tensor(sizes.iter().map(|size| size[0] as f32).collect())?,
            width: tensor(sizes.iter().map(|size| size[1] as f32).collect())?,
            start: tensor(starts.map(|start| start as f32).collect())?,
        })
    }
}

impl DeformableAttention {
    /// Loads `sampling_offsets`, `attention_weights`, `value_proj` and `output_proj`.
    pub(super) fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (dim, heads, points) = (config.d_model, config.decoder_attention_heads, config.decoder_n_points);
        let samples = heads * LEVELS * points;
        let linear = |name: &str, outputs| Linear::load(&vb.pp(name), dim, outputs, 0.02);
        Ok(Self {
            offsets: linear("sampling_offsets", 2 * samples)?,
            weights: linear("attention_weights", samples)?,
            value: linear("value_proj", dim)?,
            output: linear("output_proj", dim)?,
            heads,
            points,
        })
    }

    /// Queries (B, Q, D) with boxes (B, Q, 4) look at tokens (B, N, D) of maps of these heights and widths.
    pub(super) fn forward(
        &self,
        queries: &Tensor,
        boxes: &Tensor,
        memory: &Tensor,
        sizes: &[[usize; 2]],
    ) -> Result<Tensor> {
        let (b, q, dim) = queries.dims3()?;
        let (heads, samples) = (self.heads, LEVELS * self.points);
        let offsets = self.offsets.forward(queries)?.to_dtype(DType::F32)?;
        let offsets = offsets.reshape((b, q, heads * samples, 2))?;
        let reach = (boxes.narrow(2, 2, 2)?.unsqueeze(2)? * (OFFSET_SHARE / self.points as f64))?; // (B, Q, 1, 2)
        let places = offsets.broadcast_mul(&reach)?.broadcast_add(&boxes.narrow(2, 0, 2)?.unsqueeze(2)?)?;
        let axis = |n| places.narrow(3, n, 1)?.reshape((b, q, heads, LEVELS, self.points));
        let weights = self.weights.forward(queries)?.reshape((b, q, heads, samples))?;
        let weights = softmax(&weights)?.to_dtype(DType::F32)?.reshape((b, q, heads, LEVELS, self.points))?;
        // Rows of a table of all tokens of all heads.
        let n = memory.dim(1)?;
        let values = self.value.forward(memory)?.reshape((b, n, heads, dim / heads))?.transpose(1, 2)?;
        let table = values.contiguous()?.reshape((b * heads * n, dim / heads))?;
        let (rows, weights) = corners(&axis(0)?, &axis(1)?, &weights, &Maps::new(sizes, memory.device())?)?;
        let rows = rows.broadcast_add(&first_rows(b, heads, n, memory.device())?)?.flatten_all()?;
        let seen = table.index_select(&rows, 0)?.reshape((b * q * heads, 4 * samples, dim / heads))?;
        let weights = weights.reshape((b * q * heads, 1, 4 * samples))?.to_dtype(seen.dtype())?;
        self.output.forward(&weights.matmul(&seen)?.reshape((b, q, dim))?)
    }
}

/// The four tokens around each place, as numbers among the tokens (B, Q, H, 4 · L · P), and the weight of each: that of
/// the place, shared by bilinear interpolation, and 0 for tokens that lie outside of their map.
fn corners(x: &Tensor, y: &Tensor, weights: &Tensor, maps: &Maps) -> Result<(Tensor, Tensor)> {
    let pixel = |share: &Tensor, size: &Tensor| share.broadcast_mul(size)? - 0.5;
    let (x, y) = (pixel(x, &maps.width)?, pixel(y, &maps.height)?);
    let (left, top) = (x.floor()?, y.floor()?);
    let (right_share, lower_share) = ((x - &left)?, (y - &top)?);
    let (mut rows, mut shares) = (Vec::new(), Vec::new());
    for (down, over) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
        let share = |share: &Tensor, far: f64| if far > 0.0 { Ok(share.clone()) } else { share.affine(-1.0, 1.0) };
        let (column, is_column) = within(&(&left + over)?, &maps.width)?;
        let (row, is_row) = within(&(&top + down)?, &maps.height)?;
        let token = row.broadcast_mul(&maps.width)?.add(&column)?.broadcast_add(&maps.start)?;
        rows.push(token.to_dtype(DType::I64)?.flatten_from(3)?);
        let part = (share(&right_share, over)? * share(&lower_share, down)?)?;
        shares.push((((part * weights)? * is_column)? * is_row)?.flatten_from(3)?);
    }
    Ok((Tensor::cat(&rows, D::Minus1)?, Tensor::cat(&shares, D::Minus1)?))
}

/// A place limited to a map of this size, and 1 where it lies within it, else 0.
fn within(place: &Tensor, size: &Tensor) -> Result<(Tensor, Tensor)> {
    let last = (size - 1.0)?;
    let limited = place.maximum(0.0)?.broadcast_minimum(&last)?;
    let is_within = place.eq(&limited)?.to_dtype(DType::F32)?;
    Ok((limited, is_within))
}

/// The first row of each head of each picture in a table of (B · H · N) rows: (B, 1, H, 1).
fn first_rows(b: usize, heads: usize, n: usize, device: &Device) -> Result<Tensor> {
    let rows: Vec<i64> = (0..b * heads).map(|head| (head * n) as i64).collect();
    Tensor::from_vec(rows, (b, 1, heads, 1), device)
}
