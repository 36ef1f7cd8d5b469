//! Attention in blocks with gradients.
//!
//! Weights are never stored: the backward pass makes those of some queries at a time once more (Dao et al., 2022).

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::super::math::softmax;
use super::super::matrix::Matrix;
use super::super::simd::{Kernel, Simd, dispatch};
use super::super::tensor_attention::{HeadRows, side_by_side};
use super::attention_gradients::Gradients;
use super::panels::Panels;

/// Queries whose weights are held at a time: whole tiles of every instruction set.
pub(super) const QUERY_ROWS: usize = 96;

/// Scaled dot-product attention of queries (B, H, T, W), keys (B, K, T, W) and values (B, K, T, V), in blocks: tokens
/// `cu_seqlens[n]..cu_seqlens[n + 1]` see only each other, and if it is causal, only themselves and those before them.
#[derive(Debug, Clone)]
pub(in crate::nn) struct BlockAttention {
    /// Where blocks begin and end: rising from 0 to T.
    pub(in crate::nn) cu_seqlens: Vec<usize>,
    /// Whether a token sees none behind it.
    pub(in crate::nn) is_causal: bool,
}

impl BlockAttention {
    /// The mixed values (B, H, T, V), as a view of (B, T, H, V).
    ///
    /// # Errors
    /// Shapes that do not fit, memory.
    pub(in crate::nn) fn forward(self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let attend = self.attend([q, k, v])?;
        side_by_side(q)?.apply_op3(&side_by_side(k)?, &side_by_side(v)?, attend)?.transpose(1, 2)
    }

    /// Gradients of queries, keys and values, from the mixed values (B, H, T, V) and their gradient.
    ///
    /// # Errors
    /// As [`BlockAttention::forward`].
    pub(in crate::nn) fn back(self, [q, k, v]: [&Tensor; 3], mixed: &Tensor, grad: &Tensor) -> Result<[Tensor; 3]> {
        let by_token = |x: &Tensor| x.transpose(1, 2); // (B, T, H, V)
        self.attend([q, k, v])?.back([q, k, v], (&by_token(mixed)?, &by_token(grad)?))
    }

    /// The work, if all shapes fit.
    fn attend(self, [q, k, v]: [&Tensor; 3]) -> Result<Attend> {
        let ((b, heads, t, width), (_, kv_heads, _, _)) = (q.dims4()?, k.dims4()?);
        let value_width = v.dim(3)?;
        let fits = k.dims() == [b, kv_heads, t, width] && v.dims() == [b, kv_heads, t, value_width];
        if !fits || kv_heads == 0 || !heads.is_multiple_of(kv_heads) || width == 0 || value_width == 0 {
            bail!("attention of {:?} to {:?} and {:?}", q.dims(), k.dims(), v.dims());
        }
        let rises = self.cu_seqlens.windows(2).all(|two| two[0] < two[1]);
        if !rises || self.cu_seqlens.first() != Some(&0) || self.cu_seqlens.last() != Some(&t) {
            bail!("blocks {:?} of {t} tokens", self.cu_seqlens);
        }
        Ok(Attend { blocks: self, sizes: Sizes { batch: b, heads, kv_heads, t, width, value_width } })
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) t: usize,
    pub(super) width: usize,
    pub(super) value_width: usize,
}

impl Sizes {
    /// Heads that share keys.
    pub(super) fn sharing(self) -> usize {
        self.heads / self.kv_heads
    }
}

#[derive(Debug, Clone)]
pub(super) struct Attend {
    blocks: BlockAttention,
    pub(super) sizes: Sizes,
}

/// The keys and values of one block and all heads that share them.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) kv_head: usize,
    pub(super) begin: usize,
    pub(super) len: usize,
}

impl Attend {
    /// Gradients of queries, keys and values, from the result (B, T, H, V) and its gradient.
    fn back(&self, [q, k, v]: [&Tensor; 3], (out, grad): (&Tensor, &Tensor)) -> Result<[Tensor; 3]> {
        let by_head = |x: &Tensor| x.contiguous()?.transpose(1, 2); // (B, H, T, V), a view
        let gradients = Gradients { attend: self.clone(), out: by_head(out)?, grad: by_head(grad)? };
        let all = side_by_side(q)?.apply_op3_no_bwd(&side_by_side(k)?, &side_by_side(v)?, &gradients)?;
        let mut start = 0;
        let mut part = |shape: &[usize]| {
            let n = shape.iter().product();
            start += n;
            all.narrow(0, start - n, n)?.reshape(shape)
        };
        Ok([part(q.dims())?, part(k.dims())?, part(v.dims())?])
    }

    /// All work, in a fixed order.
    pub(super) fn places(&self) -> Vec<Place> {
        let Sizes { batch, kv_heads, .. } = self.sizes;
        let blocks: Vec<[usize; 2]> = self.blocks.cu_seqlens.windows(2).map(|two| [two[0], two[1]]).collect();
        let of_head = |row, kv_head| {
            blocks.iter().map(move |[begin, end]| Place { row, kv_head, begin: *begin, len: end - begin })
        };
        (0..batch).flat_map(|row| (0..kv_heads).flat_map(move |kv_head| of_head(row, kv_head))).collect()
    }

    /// Keys that the queries up to `end` of a block of `len` see.
    pub(super) fn seen(&self, end: usize, len: usize) -> usize {
        if self.blocks.is_causal { end } else { len }
    }
}

impl CustomOp3 for Attend {
    fn name(&self) -> &'static str {
        "block-attention"
    }

    /// (B, T, H, V).
    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_l: &Layout,
        k: &CpuStorage,
        k_l: &Layout,
        v: &CpuStorage,
        v_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let operands = [HeadRows::new(q, q_l)?, HeadRows::new(k, k_l)?, HeadRows::new(v, v_l)?];
        let Sizes { batch, heads, t, value_width, .. } = self.sizes;
        let work = |scratch: &mut Scratch, place: Place| {
            let mut out = vec![0.0; self.sizes.sharing() * place.len * value_width];
            dispatch(Mix { attend: self, operands, place, scratch, out: &mut out });
            (place, out)
        };
        let parts: Vec<(Place, Vec<f32>)> = self.places().into_par_iter().map_init(Scratch::default, work).collect();
        let mut out = vec![0.0; batch * t * heads * value_width];
        for (place, part) in parts {
            for (n, row) in part.chunks_exact(value_width).enumerate() {
                let (head, at) = (place.kv_head * self.sizes.sharing() + n / place.len, place.begin + n % place.len);
                out[((place.row * t + at) * heads + head) * value_width..][..value_width].copy_from_slice(row);
            }
        }
        Ok((CpuStorage::F32(out), Shape::from((batch, t, heads, value_width))))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [of_q, of_k, of_v] = self.back([q, k, v], (&out.detach(), grad))?;
        Ok((Some(of_q), Some(of_k), Some(of_v)))
    }
}

/// Memory that is reused from block to block.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) keys: Panels,
    pub(super) values: Panels,
    pub(super) key_rows: Panels,
    pub(super) queries: Matrix,
    pub(super) grads: Matrix,
    pub(super) weights: Matrix,
    pub(super) slopes: Matrix,
    pub(super) turned: Matrix,
    pub(super) query_rows: Panels,
    pub(super) grad_rows: Panels,
}

/// Copies rows of a head, times `scale`.
#[inline(always)]
pub(super) fn copy_rows(from: HeadRows<'_>, [row, head, first]: [usize; 3], scale: f32, rows: usize, to: &mut Matrix) {
    to.reshape(rows, from.width());
    for n in 0..rows {
        for (to, x) in to.row_mut(n).iter_mut().zip(from.row([row, head, first + n])) {
            *to = x * scale;
        }
    }
}

/// The weights of the queries `first..` of a block: softmax of their products with the keys that they see, and 0 for the
/// others up to `seen`.
#[inline(always)]
pub(super) fn weigh<S: Simd>(attend: &Attend, first: usize, seen: usize, scratch: &mut Scratch) {
    let Scratch { keys, queries, weights, .. } = scratch;
    weights.reshape(queries.rows(), seen);
    keys.multiply::<S>(queries, attend.sizes.width, seen, |row, from, sums| {
        weights.row_mut(row)[from..from + sums.len()].copy_from_slice(sums);
    });
    for row in 0..queries.rows() {
        let own = attend.seen(first + row + 1, seen);
        let (seen, unseen) = weights.row_mut(row).split_at_mut(own);
        softmax::<S>(seen);
        unseen.fill(0.0);
    }
}

/// The forward pass of one place, for each head the rows of its block.
struct Mix<'a> {
    attend: &'a Attend,
    operands: [HeadRows<'a>; 3],
    place: Place,
    scratch: &'a mut Scratch,
    out: &'a mut [f32],
}

impl Kernel for Mix<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { attend, operands: [q, k, v], place, scratch, out } = self;
        let Sizes { width, value_width, .. } = attend.sizes;
        let (sharing, scale) = (attend.sizes.sharing(), 1.0 / (width as f32).sqrt());
        let at = |n: usize| [place.row, place.kv_head, place.begin + n];
        scratch.keys.fill_columns(place.len, width, |n| k.row(at(n)));
        scratch.values.fill_rows(place.len, value_width, |n| v.row(at(n)));
        for (n, out) in out.chunks_exact_mut(place.len * value_width).enumerate() {
            let head = place.kv_head * sharing + n;
            for first in (0..place.len).step_by(QUERY_ROWS) {
                let rows = QUERY_ROWS.min(place.len - first);
                let seen = attend.seen(first + rows, place.len);
                copy_rows(q, [place.row, head, place.begin + first], scale, rows, &mut scratch.queries);
                weigh::<S>(attend, first, seen, scratch);
                scratch.values.multiply::<S>(&scratch.weights, seen, value_width, |row, from, sums| {
                    out[(first + row) * value_width + from..][..sums.len()].copy_from_slice(sums);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::nn::finite_differences::check_smooth_gradient;
    use crate::nn::{Attention, Mode, causal_bias};
    use candle_core::{DType, Device, Var};

    fn wave(shape: [usize; 4], shift: f64) -> Tensor {
        let n = shape.iter().product::<usize>() as f32;
        let x = Tensor::arange(0f32, n, &Device::Cpu).unwrap();
        x.affine(0.37, shift).unwrap().sin().unwrap().reshape(&shape).unwrap()
    }

    fn blocks(cu_seqlens: &[usize], is_causal: bool) -> BlockAttention {
        BlockAttention { cu_seqlens: cu_seqlens.to_vec(), is_causal }
    }

    #[test]
    fn gradients_are_what_values_say() {
        for is_causal in [false, true] {
            let attention = || blocks(&[0, 2, 3, 7], is_causal);
            let (q, k, v) = (wave([2, 4, 7, 3], 0.1), wave([2, 2, 7, 3], 1.7), wave([2, 2, 7, 5], 2.9));
            check_smooth_gradient(&q, |q| attention().forward(q, &k, &v));
            check_smooth_gradient(&k, |k| attention().forward(&q, k, &v));
            check_smooth_gradient(&v, |v| attention().forward(&q, &k, v));
        }
    }

    /// Against attention composed of candle's operations, one block after the other; blocks longer than a tile, a panel
    /// and the queries that are held at a time, heads that share keys, views with gaps.
    #[test]
    fn values_and_gradients_are_those_of_composed_attention() {
        for (heads, kv_heads, width, cu_seqlens) in
            [(2, 2, 16, vec![0, 33]), (4, 2, 40, vec![0, 1, 100, 331]), (3, 1, 64, vec![0, 130, 140])]
        {
            let t = *cu_seqlens.last().unwrap();
            let view = |heads, shift| Var::from_tensor(&wave([1, t, heads, width], shift)).unwrap();
            let (q, k, v) = (view(heads, 0.1), view(kv_heads, 1.7), view(kv_heads, 2.9));
            let by_head = |x: &Var| x.transpose(1, 2).unwrap();
            let weights = wave([1, heads, t, width], 0.6);
            for is_causal in [false, true] {
                let composed = |begin: usize, end: usize| {
                    let part = |x: &Var| by_head(x).narrow(2, begin, end - begin).unwrap();
                    let bias = causal_bias(end - begin, end - begin, &Device::Cpu).unwrap();
                    let bias = is_causal.then_some(&bias);
                    Attention { bias, dropout: None, mode: Mode::Evaluate }
                        .forward(&part(&q), &part(&k), &part(&v))
                        .unwrap()
                };
                let wanted: Vec<Tensor> = cu_seqlens.windows(2).map(|two| composed(two[0], two[1])).collect();
                let wanted = Tensor::cat(&wanted, 2).unwrap();
                let got = blocks(&cu_seqlens, is_causal).forward(&by_head(&q), &by_head(&k), &by_head(&v)).unwrap();
                let worst = |a: &Tensor, b: &Tensor| {
                    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
                };
                assert!(worst(&got, &wanted) < 2e-6, "{cu_seqlens:?}");
                let grads = |y: &Tensor| (y * &weights).unwrap().sum_all().unwrap().backward().unwrap();
                let (got, wanted) = (grads(&got), grads(&wanted));
                for (name, x) in [("queries", &q), ("keys", &k), ("values", &v)] {
                    let worst = worst(got.get(x).unwrap(), wanted.get(x).unwrap());
                    assert!(worst < 1e-5, "{name} {cu_seqlens:?} causal {is_causal}: {worst:e}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = |heads: usize, t: usize| Tensor::zeros((1, heads, t, 4), DType::F32, &Device::Cpu).unwrap();
        assert!(blocks(&[0, 5], true).forward(&x(3, 5), &x(2, 5), &x(2, 5)).is_err());
        assert!(blocks(&[0, 5], true).forward(&x(2, 5), &x(2, 4), &x(2, 4)).is_err());
        for cu_seqlens in [&[0, 4][..], &[1, 5], &[0, 3, 3, 5], &[]] {
            assert!(blocks(cu_seqlens, false).forward(&x(2, 5), &x(2, 5), &x(2, 5)).is_err(), "{cu_seqlens:?}");
        }
    }
}
