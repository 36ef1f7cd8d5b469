//! Multi-head attention of one sequence (or one window), straight from the rows of the joint query-key-value product.

use super::linear::product;
use super::math::softmax;
use super::matrix::Matrix;
use super::simd::{Kernel, MAX_TILE_ROWS, PANEL, Simd, copy_panel, dispatch};

/// Memory that attention reuses from call to call.
#[derive(Debug, Default, Clone)]
pub struct Scratch {
    queries: Matrix,
    keys: Vec<f32>,
    values: Vec<f32>,
    weights: Matrix,
}

/// Attention of the rows `first .. first + length` of `qkv` among themselves.
#[derive(Debug)]
pub struct Attention<'a> {
    /// Rows of queries, keys and values of all heads side by side: (H + 2·K)·W values.
    pub qkv: &'a Matrix,
    /// First row.
    pub first: usize,
    /// Number of rows T.
    pub length: usize,
    /// Heads H of queries.
    pub heads: usize,
    /// Heads K of keys and values, a divisor of H.
    pub kv_heads: usize,
    /// Whether a row sees itself and the rows before it alone.
    pub causal: bool,
    /// Added to the scores: H·T·T values, query before key.
    pub bias: Option<&'a [f32]>,
}

impl Attention<'_> {
    /// Writes the mixed values into the rows `first .. first + length` of `out`, H·W values each.
    ///
    /// # Panics
    /// The shapes do not fit.
    pub fn forward(&self, out: &mut Matrix, scratch: &mut Scratch) {
        let parts = self.heads + 2 * self.kv_heads;
        assert!(self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads), "H is a multiple of K");
        assert!(self.qkv.columns() > 0 && self.qkv.columns().is_multiple_of(parts), "all heads have one width");
        assert!(out.columns() >= self.heads * self.width(), "out has room for the heads");
        assert!(self.bias.is_none_or(|bias| bias.len() == self.heads * self.length * self.length), "H·T·T biases");
        dispatch(Run { attention: self, out, scratch });
    }

    /// Values W of a head.
    fn width(&self) -> usize {
        self.qkv.columns() / (self.heads + 2 * self.kv_heads)
    }
}

struct Run<'a> {
    attention: &'a Attention<'a>,
    out: &'a mut Matrix,
    scratch: &'a mut Scratch,
}

impl Kernel for Run<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { attention, out, scratch } = self;
        let t = attention.length;
        let width = attention.width();
        let sharing = attention.heads / attention.kv_heads;
        for head in 0..attention.heads {
            load_queries(attention, head, scratch);
            if head % sharing == 0 {
                load_keys_and_values(attention, head / sharing, scratch);
            }
            scratch.weights.reshape(t, t);
            let keys = &scratch.keys[..t.div_ceil(PANEL) * width * PANEL];
            tiles::<S>(&scratch.queries, width, keys, |row, from, sums| {
                let end = t.min(from + PANEL);
                copy_panel(&sums[..end - from], &mut scratch.weights.row_mut(row)[from..end]);
            });
            for row in 0..t {
                let weights = scratch.weights.row_mut(row);
                if let Some(bias) = attention.bias {
                    for (weight, bias) in weights.iter_mut().zip(&bias[(head * t + row) * t..][..t]) {
                        *weight += bias;
                    }
                }
                let (seen, unseen) = weights.split_at_mut(if attention.causal { row + 1 } else { t });
                softmax::<S>(seen);
                unseen.fill(0.0);
            }
            let values = &scratch.values[..width.div_ceil(PANEL) * t * PANEL];
            tiles::<S>(&scratch.weights, t, values, |row, from, sums| {
                let end = width.min(from + PANEL);
                let target = &mut out.row_mut(attention.first + row)[head * width..];
                copy_panel(&sums[..end - from], &mut target[from..end]);
            });
        }
    }
}

/// Copies the queries of a head, scaled.
#[inline(always)]
fn load_queries(attention: &Attention<'_>, head: usize, scratch: &mut Scratch) {
    let width = attention.width();
    let scale = 1.0 / (width as f32).sqrt();
    scratch.queries.reshape(attention.length, width);
    for row in 0..attention.length {
        let query = &attention.qkv.row(attention.first + row)[head * width..][..width];
        for (target, x) in scratch.queries.row_mut(row).iter_mut().zip(query) {
            *target = *x * scale;
        }
    }
}

/// Copies the keys and values of a head into panels.
#[inline(always)]
fn load_keys_and_values(attention: &Attention<'_>, kv_head: usize, scratch: &mut Scratch) {
    let (t, width) = (attention.length, attention.width());
    let key_panel = width * PANEL;
    let value_panel = t * PANEL;
    // What stays in a panel beyond the last key or column from earlier calls affects only sums that are discarded.
    resize(&mut scratch.keys, t.div_ceil(PANEL) * key_panel);
    resize(&mut scratch.values, width.div_ceil(PANEL) * value_panel);
    for row in 0..t {
        let (_, rest) = attention.qkv.row(attention.first + row).split_at(attention.heads * width);
        let (keys, values) = rest.split_at(attention.kv_heads * width);
        let panel = &mut scratch.keys[row / PANEL * key_panel + row % PANEL..];
        for (i, x) in keys[kv_head * width..][..width].iter().enumerate() {
            panel[i * PANEL] = *x;
        }
        for (panel, part) in values[kv_head * width..][..width].chunks(PANEL).enumerate() {
            scratch.values[panel * value_panel + row * PANEL..][..part.len()].copy_from_slice(part);
        }
    }
}

pub(super) fn resize(values: &mut Vec<f32>, wanted: usize) {
    if values.len() < wanted {
        values.resize(wanted, 0.0);
    }
}

/// Rows of `a` (`k` values each) times every panel; hands out (row, first column, sums).
#[inline(always)]
pub(super) fn tiles<S: Simd>(a: &Matrix, k: usize, panels: &[f32], mut take: impl FnMut(usize, usize, &[f32; PANEL])) {
    let mut tile = [[0.0; PANEL]; MAX_TILE_ROWS];
    for (n, panel) in panels.chunks_exact(k * PANEL).enumerate() {
        let mut row = 0;
        while row < a.rows() {
            let rows = S::TILE_ROWS.min(a.rows() - row);
            product::<S>(rows, k, a.rows_from(row), a.stride(), panel, &mut tile);
            for (m, sums) in tile[..rows].iter().enumerate() {
                take(row + m, n * PANEL, sums);
            }
            row += rows;
        }
    }
}
