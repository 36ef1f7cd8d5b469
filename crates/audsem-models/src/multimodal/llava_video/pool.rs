//! Fewer tokens for a frame.

use candle_core::{Result, Tensor, bail};

use super::PoolMode;

/// Tokens (F, G², D), row by row, to a smaller grid (F, P, P, D).
pub(super) fn pool(tokens: &Tensor, mode: PoolMode, stride: usize) -> Result<Tensor> {
    let (frames, n, dim) = tokens.dims3()?;
    let side = n.isqrt();
    if side * side != n || stride == 0 || stride > side {
        bail!("{n} tokens are no square, or none that can be pooled by {stride}");
    }
    if mode == PoolMode::Max {
        let image = tokens.reshape((frames, side, side, dim))?.permute((0, 3, 1, 2))?.contiguous()?;
        return image.max_pool2d_with_stride(stride, stride)?.permute((0, 2, 3, 1))?.contiguous();
    }
    // Both others are linear, and the same along rows and columns.
    let rows =
        if mode == PoolMode::Bilinear { interpolation(side, side.div_ceil(stride)) } else { means(side, stride) };
    let pooled = rows.len() / side;
    let map = Tensor::from_vec(rows, (1, pooled, side), tokens.device())?.to_dtype(tokens.dtype())?;
    let along = |x: &Tensor| map.broadcast_as((x.dim(0)?, pooled, side))?.contiguous()?.matmul(x);
    let y = along(&tokens.reshape((frames, side, side * dim))?)?; // (F, P, G · D)
    let y = along(&y.reshape((frames * pooled, side, dim))?)?; // (F · P, P, D)
    y.reshape((frames, pooled, pooled, dim))
}

/// Weights (to × from) of bilinear interpolation between centres, without smoothing.
fn interpolation(from: usize, to: usize) -> Vec<f32> {
    let mut weights = vec![0.0; from * to];
    let scale = from as f32 / to as f32;
    for (place, row) in weights.chunks_exact_mut(from).enumerate() {
        let at = ((place as f32 + 0.5) * scale - 0.5).max(0.0);
        let first = (at as usize).min(from - 1);
        let share = at - first as f32;
        row[first] += 1.0 - share;
        row[(first + 1).min(from - 1)] += share;
    }
    weights
}

/// Weights of the means of each `stride` places; a rest is not seen.
fn means(from: usize, stride: usize) -> Vec<f32> {
    let mut weights = vec![0.0; from * (from / stride)];
    for (place, row) in weights.chunks_exact_mut(from).enumerate() {
        row[place * stride..(place + 1) * stride].fill(1.0 / stride as f32);
    }
    weights
}
