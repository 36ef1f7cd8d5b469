//! The backward pass of attention in blocks.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::super::math::dot;
use super::super::matrix::Matrix;
use super::super::simd::{Kernel, Simd, dispatch};
use super::super::tensor_attention::HeadRows;
use super::attention::{Attend, Place, QUERY_ROWS, Scratch, Sizes, copy_rows, weigh};
use super::panels::{Panels, transpose};

/// Queries, keys and values to their gradients, which follow each other in one vector.
pub(super) struct Gradients {
    pub(super) attend: Attend,
    /// The mixed values (B, H, T, V).
    pub(super) out: Tensor,
    /// Their gradient (B, H, T, V).
    pub(super) grad: Tensor,
}

impl CustomOp3 for Gradients {
    fn name(&self) -> &'static str {
        "block-attention-gradients"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_l: &Layout,
        k: &CpuStorage,
        k_l: &Layout,
        v: &CpuStorage,
        v_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (out, out_l) = self.out.storage_and_layout();
        let (grad, grad_l) = self.grad.storage_and_layout();
        let (Storage::Cpu(out), Storage::Cpu(grad)) = (&*out, &*grad) else {
            bail!("attention in main memory has gradients there");
        };
        let given = Given {
            q: HeadRows::new(q, q_l)?,
            k: HeadRows::new(k, k_l)?,
            v: HeadRows::new(v, v_l)?,
            out: HeadRows::new(out, out_l)?,
            grad: HeadRows::new(grad, grad_l)?,
        };
        let work = |scratch: &mut Scratch, place: Place| {
            let mut made = Made::new(self.attend.sizes, place.len);
            dispatch(Unmix { attend: &self.attend, given, place, scratch, made: &mut made });
            (place, made)
        };
        let parts: Vec<(Place, Made)> = self.attend.places().into_par_iter().map_init(Scratch::default, work).collect();
        let all = join(self.attend.sizes, &parts);
        let n = all.len();
        Ok((CpuStorage::F32(all), Shape::from(n)))
    }
}

/// What the backward pass reads.
#[derive(Clone, Copy)]
struct Given<'a> {
    q: HeadRows<'a>,
    k: HeadRows<'a>,
    v: HeadRows<'a>,
    out: HeadRows<'a>,
    grad: HeadRows<'a>,
}

/// Gradients of one place: of queries for each head, of keys and of values.
struct Made {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Made {
    fn new(sizes: Sizes, len: usize) -> Self {
        let Sizes { width, value_width, .. } = sizes;
        Self { q: vec![0.0; sizes.sharing() * len * width], k: vec![0.0; len * width], v: vec![0.0; len * value_width] }
    }
}

/// Gradients of queries (B, H, T, W), keys (B, K, T, W) and values (B, K, T, V) in one vector.
fn join(sizes: Sizes, parts: &[(Place, Made)]) -> Vec<f32> {
    let Sizes { batch, heads, kv_heads, t, width, value_width } = sizes;
    let (of_queries, of_keys) = (batch * heads * t * width, batch * kv_heads * t * width);
    let mut all = vec![0.0; of_queries + of_keys + batch * kv_heads * t * value_width];
    let (q, rest) = all.split_at_mut(of_queries);
    let (k, v) = rest.split_at_mut(of_keys);
    for (Place { row, kv_head, begin, len }, made) in parts {
        for (n, part) in made.q.chunks_exact(len * width).enumerate() {
            let head = row * heads + kv_head * sizes.sharing() + n;
            q[(head * t + begin) * width..][..part.len()].copy_from_slice(part);
        }
        let head = row * kv_heads + kv_head;
        k[(head * t + begin) * width..][..made.k.len()].copy_from_slice(&made.k);
        v[(head * t + begin) * value_width..][..made.v.len()].copy_from_slice(&made.v);
    }
    all
}

/// The backward pass of one place.
struct Unmix<'a> {
    attend: &'a Attend,
    given: Given<'a>,
    place: Place,
    scratch: &'a mut Scratch,
    made: &'a mut Made,
}

impl Kernel for Unmix<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let Sizes { width, value_width, .. } = self.attend.sizes;
        let (place, Given { k, v, .. }) = (self.place, self.given);
        let at = |n: usize| [place.row, place.kv_head, place.begin + n];
        self.scratch.keys.fill_columns(place.len, width, |n| k.row(at(n)));
        self.scratch.values.fill_columns(place.len, value_width, |n| v.row(at(n)));
        self.scratch.key_rows.fill_rows(place.len, width, |n| k.row(at(n)));
        for n in 0..self.attend.sizes.sharing() {
            for first in (0..place.len).step_by(QUERY_ROWS) {
                self.queries::<S>(n, first, QUERY_ROWS.min(place.len - first));
            }
        }
    }
}

impl Unmix<'_> {
    /// Some queries of head `n` of those that share keys.
    #[inline(always)]
    fn queries<S: Simd>(&mut self, n: usize, first: usize, rows: usize) {
        let Self { attend, given, place, scratch, made } = self;
        let Sizes { width, value_width, .. } = attend.sizes;
        let scale = 1.0 / (width as f32).sqrt();
        let head = place.kv_head * attend.sizes.sharing() + n;
        let at = [place.row, head, place.begin + first];
        let seen = attend.seen(first + rows, place.len);
        copy_rows(given.q, at, scale, rows, &mut scratch.queries);
        copy_rows(given.grad, at, 1.0, rows, &mut scratch.grads);
        weigh::<S>(attend, first, seen, scratch);
        slopes::<S>(given, at, seen, scratch);
        let Scratch { key_rows, queries, grads, weights, slopes, turned, query_rows, grad_rows, .. } = &mut **scratch;
        let of_queries = &mut made.q[(n * place.len + first) * width..][..rows * width];
        key_rows.multiply::<S>(slopes, seen, width, |row, from, sums| {
            for (target, sum) in of_queries[row * width + from..].iter_mut().zip(sums) {
                *target = sum * scale;
            }
        });
        query_rows.fill_rows(rows, width, |n| queries.row(n));
        transpose(slopes, turned);
        add_product::<S>(query_rows, turned, rows, width, &mut made.k);
        grad_rows.fill_rows(rows, value_width, |n| grads.row(n));
        transpose(weights, turned);
        add_product::<S>(grad_rows, turned, rows, value_width, &mut made.v);
    }
}

/// The gradient of the scores of some queries: weight times (gradient of the weight, less the mean of those gradients by
/// the weights, which is the product of the result and its gradient).
#[inline(always)]
fn slopes<S: Simd>(given: &Given<'_>, [row, head, first]: [usize; 3], seen: usize, scratch: &mut Scratch) {
    let Scratch { values, grads, weights, slopes, .. } = scratch;
    slopes.reshape(grads.rows(), seen);
    values.multiply::<S>(grads, grads.columns(), seen, |n, from, sums| {
        slopes.row_mut(n)[from..from + sums.len()].copy_from_slice(sums);
    });
    for n in 0..grads.rows() {
        let mean = dot::<S>(grads.row(n), given.out.row([row, head, first + n]));
        for (slope, weight) in slopes.row_mut(n).iter_mut().zip(weights.row(n)) {
            *slope = *weight * (*slope - mean);
        }
    }
}

/// Adds the product of `a` and the panels to rows of `width` values.
#[inline(always)]
fn add_product<S: Simd>(panels: &Panels, a: &Matrix, k: usize, width: usize, to: &mut [f32]) {
    panels.multiply::<S>(a, k, width, |row, from, sums| {
        for (target, sum) in to[row * width + from..].iter_mut().zip(sums) {
            *target += sum;
        }
    });
}
