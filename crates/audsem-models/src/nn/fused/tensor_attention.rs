//! Attention of tensors, for inference on the CPU in f32.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::attention::{resize, tiles};
use super::math::{dot, softmax};
use super::matrix::Matrix;
use super::rows::with_values;
use super::simd::{Kernel, PANEL, Simd, copy_panel, dispatch};

/// Queries whose weights are held at a time: whole tiles of every instruction set.
const QUERY_ROWS: usize = 48;

/// Fewer queries than this are not worth reordering keys for.
const TILED_QUERIES: usize = 8;

/// Products of less work than this are done by one thread.
const TASK_WORK: usize = 1 << 17;

/// Scaled dot-product attention of queries (B, H, T, W), keys (B, K, S, W) and values (B, K, S, V), each with the values
/// of a head side by side. What becomes of a row of the batch depends on that row alone.
#[derive(Debug, Clone, Copy)]
pub struct TensorAttention<'a> {
    /// Added to the scores: (R, H or 1, T or 1, S), where row `n` of the batch gets row `n mod R`.
    pub bias: Option<&'a Tensor>,
}

impl TensorAttention<'_> {
    /// The mixed values (B, H, T, V), as a view of (B, T, H, V).
    ///
    /// # Errors
    /// Shapes that do not fit, another type or device, memory.
    pub fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let (b, heads, t, width) = q.dims4()?;
        let (rows, kv_heads, s, key_width) = k.dims4()?;
        let value_width = v.dim(3)?;
        if rows != b || key_width != width || v.dims() != [b, kv_heads, s, value_width] || s == 0 {
            bail!("attention of {:?} to {:?} and {:?}", q.dims(), k.dims(), v.dims());
        }
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            bail!("attention of {heads} heads to {kv_heads}: no multiple");
        }
        let bias = match self.bias {
            Some(bias) => Some(Bias::new(bias, [b, heads, t, s])?),
            None => None,
        };
        let attend = Attend { heads, sharing: heads / kv_heads, t, s, width, value_width, bias };
        let [q, k, v] = [side_by_side(q)?, side_by_side(k)?, side_by_side(v)?];
        q.apply_op3_no_bwd(&k, &v, &attend)?.transpose(1, 2)
    }
}

/// The tensor with the values of a head side by side.
pub(super) fn side_by_side(x: &Tensor) -> Result<Tensor> {
    if x.stride().last() == Some(&1) { Ok(x.clone()) } else { x.contiguous() }
}

/// A bias without gaps.
struct Bias {
    values: Tensor,
    /// Rows R, and whether heads and queries have their own.
    rows: usize,
    per_head: usize,
    per_query: usize,
}

impl Bias {
    fn new(bias: &Tensor, [b, heads, t, s]: [usize; 4]) -> Result<Self> {
        let (rows, per_head, per_query, keys) = bias.dims4()?;
        let fits = |n: usize, full: usize| n == 1 || n == full;
        if keys != s || !fits(per_head, heads) || !fits(per_query, t) || rows == 0 || !b.is_multiple_of(rows) {
            bail!("a bias {:?} of scores {:?}", bias.dims(), [b, heads, t, s]);
        }
        Ok(Self { values: bias.contiguous()?, rows, per_head, per_query })
    }

    /// What is added to the scores of a query.
    fn row<'a>(&self, values: &'a [f32], [b, head, query]: [usize; 3], s: usize) -> &'a [f32] {
        let place = ((b % self.rows) * self.per_head + head % self.per_head) * self.per_query + query % self.per_query;
        &values[place * s..][..s]
    }
}

/// Rows of the heads of a tensor.
#[derive(Clone, Copy)]
pub(super) struct HeadRows<'a> {
    values: &'a [f32],
    start: usize,
    strides: [usize; 3],
    width: usize,
}

impl<'a> HeadRows<'a> {
    pub(super) fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let (&[a, b, c, 1], &[_, _, _, width]) = (layout.stride(), layout.dims()) else {
            let (dims, strides) = (layout.dims(), layout.stride());
            bail!("attention of heads whose values lie side by side, not those of {dims:?} with strides {strides:?}");
        };
        Ok(Self { values: storage.as_slice()?, start: layout.start_offset(), strides: [a, b, c], width })
    }

    /// Values of a head.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn row(&self, [b, head, at]: [usize; 3]) -> &'a [f32] {
        let [of_row, of_head, of_token] = self.strides;
        &self.values[self.start + b * of_row + head * of_head + at * of_token..][..self.width]
    }
}

struct Attend {
    heads: usize,
    /// Heads that share keys.
    sharing: usize,
    t: usize,
    s: usize,
    width: usize,
    value_width: usize,
    bias: Option<Bias>,
}

impl CustomOp3 for Attend {
    fn name(&self) -> &'static str {
        "fused-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let operands = [HeadRows::new(q, q_layout)?, HeadRows::new(k, k_layout)?, HeadRows::new(v, v_layout)?];
        let batch = q_layout.shape().dims()[0];
        let out = match &self.bias {
            Some(bias) => with_values(&bias.values, |values| self.mix(operands, batch, Some(values)))?,
            None => self.mix(operands, batch, None),
        };
        Ok((CpuStorage::F32(out), Shape::from((batch, self.t, self.heads, self.value_width))))
    }
}

impl Attend {
    /// All heads of all rows of the batch, (B, T, H, V).
    fn mix(&self, operands: [HeadRows<'_>; 3], batch: usize, bias: Option<&[f32]>) -> Vec<f32> {
        let mut out = vec![0.0; batch * self.t * self.heads * self.value_width];
        // The rows of each head, which lie between those of the others.
        let mut targets: Vec<Vec<&mut [f32]>> = (0..batch * self.heads).map(|_| Vec::with_capacity(self.t)).collect();
        for (n, row) in out.chunks_exact_mut(self.value_width.max(1)).enumerate() {
            let (b, head) = (n / self.heads / self.t.max(1), n % self.heads);
            targets[b * self.heads + head].push(row);
        }
        let work = |scratch: &mut Scratch, (n, target): (usize, Vec<&mut [f32]>)| {
            let place = [n / self.heads, n % self.heads];
            dispatch(Head { attend: self, operands, bias, place, target, scratch });
        };
        if batch * self.heads * self.t * self.s * self.width < TASK_WORK {
            let mut scratch = Scratch::default();
            targets.into_iter().enumerate().for_each(|each| work(&mut scratch, each));
        } else {
            targets.into_par_iter().enumerate().for_each_init(Scratch::default, work);
        }
        out
    }
}

/// Memory that is reused from head to head.
#[derive(Default)]
struct Scratch {
    queries: Matrix,
    keys: Vec<f32>,
    values: Vec<f32>,
    weights: Matrix,
}

/// One head of one row of the batch.
struct Head<'a, 'b> {
    attend: &'a Attend,
    operands: [HeadRows<'a>; 3],
    bias: Option<&'a [f32]>,
    place: [usize; 2],
    target: Vec<&'b mut [f32]>,
    scratch: &'a mut Scratch,
}

impl Kernel for Head<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        if self.attend.t < TILED_QUERIES {
            return self.one_by_one::<S>();
        }
        self.load_keys_and_values();
        for first in (0..self.attend.t).step_by(QUERY_ROWS) {
            self.tiled::<S>(first, QUERY_ROWS.min(self.attend.t - first));
        }
    }
}

impl Head<'_, '_> {
    fn scale(&self) -> f32 {
        1.0 / (self.attend.width as f32).sqrt()
    }

    /// Adds the bias to the scores of a query and makes weights of them.
    #[inline(always)]
    fn weigh<S: Simd>(&mut self, row: usize, query: usize) {
        let ([b, head], weights) = (self.place, self.scratch.weights.row_mut(row));
        if let (Some(bias), Some(values)) = (&self.attend.bias, self.bias) {
            for (weight, bias) in weights.iter_mut().zip(bias.row(values, [b, head, query], self.attend.s)) {
                *weight += bias;
            }
        }
        softmax::<S>(weights);
    }

    /// Few queries: keys and values are read where they are.
    #[inline(always)]
    fn one_by_one<S: Simd>(&mut self) {
        let ([b, head], scale, s) = (self.place, self.scale(), self.attend.s);
        let ([q, k, v], kv_head) = (self.operands, head / self.attend.sharing);
        self.scratch.weights.reshape(1, s);
        for query in 0..self.attend.t {
            let row = q.row([b, head, query]);
            for (key, weight) in self.scratch.weights.row_mut(0).iter_mut().enumerate() {
                *weight = scale * dot::<S>(row, k.row([b, kv_head, key]));
            }
            self.weigh::<S>(0, query);
            let target = &mut *self.target[query];
            for (key, weight) in self.scratch.weights.row(0).iter().enumerate() {
                for (sum, value) in target.iter_mut().zip(v.row([b, kv_head, key])) {
                    *sum = S::fma(*weight, *value, *sum);
                }
            }
        }
    }

    /// Copies keys and values into panels.
    #[inline(always)]
    fn load_keys_and_values(&mut self) {
        let Attend { s, width, value_width, sharing, .. } = *self.attend;
        let ([b, head], [_, k, v], scratch) = (self.place, self.operands, &mut *self.scratch);
        // What stays in a panel beyond the last key or column affects only sums that are discarded.
        resize(&mut scratch.keys, s.div_ceil(PANEL) * width * PANEL);
        resize(&mut scratch.values, value_width.div_ceil(PANEL) * s * PANEL);
        for at in 0..s {
            let panel = &mut scratch.keys[at / PANEL * width * PANEL + at % PANEL..];
            for (i, x) in k.row([b, head / sharing, at]).iter().enumerate() {
                panel[i * PANEL] = *x;
            }
            for (panel, part) in v.row([b, head / sharing, at]).chunks(PANEL).enumerate() {
                scratch.values[panel * s * PANEL + at * PANEL..][..part.len()].copy_from_slice(part);
            }
        }
    }

    /// Some queries, tile by tile.
    #[inline(always)]
    fn tiled<S: Simd>(&mut self, first: usize, rows: usize) {
        let Attend { s, width, value_width, .. } = *self.attend;
        let ([b, head], scale) = (self.place, self.scale());
        self.scratch.queries.reshape(rows, width);
        self.scratch.weights.reshape(rows, s);
        for row in 0..rows {
            let query = self.operands[0].row([b, head, first + row]);
            for (target, x) in self.scratch.queries.row_mut(row).iter_mut().zip(query) {
                *target = *x * scale;
            }
        }
        let Scratch { queries, keys, weights, .. } = &mut *self.scratch;
        tiles::<S>(queries, width, &keys[..s.div_ceil(PANEL) * width * PANEL], |row, from, sums| {
            let end = s.min(from + PANEL);
            copy_panel(&sums[..end - from], &mut weights.row_mut(row)[from..end]);
        });
        for row in 0..rows {
            self.weigh::<S>(row, first + row);
        }
        let Scratch { values, weights, .. } = &*self.scratch;
        let target = &mut self.target;
        tiles::<S>(weights, s, &values[..value_width.div_ceil(PANEL) * s * PANEL], |row, from, sums| {
            let end = value_width.min(from + PANEL);
            copy_panel(&sums[..end - from], &mut target[first + row][from..end]);
        });
    }
}
