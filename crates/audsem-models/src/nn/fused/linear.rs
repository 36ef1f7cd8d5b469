//! Affine maps with their weights reordered once, and with bias, activation and residual sum done while the result is
//! still in the first-level cache.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::math::activate;
use super::matrix::{Matrix, RowsMut};
use super::rows::contiguous;
use super::simd::{Kernel, MAX_TILE_ROWS, PANEL, Simd, Tile, copy_panel, dispatch};
use crate::nn::Activation;

/// Rows of a tensor that a thread maps at a time.
pub(super) const GROUP_ROWS: usize = 256;

/// Inputs that are multiplied at a time: so many of a group of rows stay in the second-level cache.
const MAX_DEPTH: usize = 1024;

/// Pieces of work for each thread, so that one that is held up does not hold up the others.
const TASKS_PER_THREAD: usize = 4;

/// `x Wᵀ + b`, for inference on the CPU in f32. The result of a row depends on that row alone: each output is summed in
/// the same order of the inputs, at any position of the row in a tile.
#[derive(Debug, Clone)]
pub struct Linear {
    /// Panels of [`PANEL`] outputs; each holds, input by input, the weights of its outputs.
    panels: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

/// The epilogue of a tile of the product before it is stored.
#[derive(Debug, Clone, Copy)]
pub enum Epilogue {
    /// The tile replaces the target.
    Set,
    /// The activation of the tile replaces the target.
    Activate(Activation),
    /// The tile is added to the target.
    Add,
}

impl Linear {
    /// Reorders several maps of the same inputs into one, which gives their outputs side by side.
    ///
    /// # Errors
    /// A weight cannot be read, or a map has an adapter that is not merged.
    pub fn concat(parts: &[&crate::nn::Linear]) -> Result<Self> {
        let mut rows: Vec<Vec<f32>> = Vec::new();
        let mut bias = Vec::new();
        for part in parts {
            if !part.is_plain() {
                bail!("fused layers do not support adapters: merge it first");
            }
            let weight = part.weight().to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
            rows.extend(weight.to_vec2::<f32>()?);
            match part.bias() {
                Some(part) => bias.extend(part.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.to_vec1::<f32>()?),
                None => bias.resize(rows.len(), 0.0),
            }
        }
        let inputs = rows.first().map_or(0, Vec::len);
        Ok(Self { panels: pack(&rows, inputs), bias, inputs, outputs: rows.len() })
    }

    /// Reorders one map.
    ///
    /// # Errors
    /// As [`Linear::concat`].
    pub fn new(linear: &crate::nn::Linear) -> Result<Self> {
        Self::concat(&[linear])
    }

    /// Number of inputs.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Maps the rows of `x`; `out` has the same number of rows and at least as many columns as there are outputs.
    ///
    /// # Panics
    /// The shapes do not fit.
    pub fn forward(&self, x: &Matrix, out: &mut Matrix, into: Epilogue) {
        assert_eq!((x.columns(), x.rows()), (self.inputs, out.rows()), "rows of x have one value per input");
        assert!(out.columns() >= self.outputs, "out has room for the outputs");
        dispatch(Product { linear: self, panels: 0..self.n_panels(), x, out: out.rows_mut(), into });
    }

    fn n_panels(&self) -> usize {
        self.outputs.div_ceil(PANEL)
    }

    /// Maps a candle tensor (…, I) to (…, O), on all threads.
    ///
    /// # Errors
    /// The last dimension is not I, or the tensor cannot be read.
    pub fn forward_tensor(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_tensor_into(x, Epilogue::Set)
    }

    /// As [`Linear::forward_tensor`], with an activation behind it.
    ///
    /// # Errors
    /// As [`Linear::forward_tensor`].
    pub fn forward_activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.forward_tensor_into(x, Epilogue::Activate(activation))
    }

    fn forward_tensor_into(&self, x: &Tensor, into: Epilogue) -> Result<Tensor> {
        match x.dims().last() {
            Some(last) if *last == self.inputs && self.inputs > 0 && self.outputs > 0 => {}
            last => bail!("a map of {} inputs to {} outputs, of rows {last:?}", self.inputs, self.outputs),
        }
        x.contiguous()?.apply_op1_no_bwd(&Map { linear: self, into })
    }

    /// Maps rows in groups, each by one thread.
    fn map_many(&self, values: &[f32], rows: usize, into: Epilogue) -> Vec<f32> {
        let per_group = group_rows(rows);
        let mut mapped = vec![0f32; rows * self.outputs];
        let groups = mapped.par_chunks_mut(per_group * self.outputs).zip(values.par_chunks(per_group * self.inputs));
        groups.for_each_init(Matrix::default, |input, (out, x)| {
            input.fill(x, self.inputs);
            self.forward_rows(input, out, into);
        });
        mapped
    }

    /// Maps the rows of `x` to rows that lie side by side.
    pub(super) fn forward_rows(&self, x: &Matrix, out: &mut [f32], into: Epilogue) {
        let out = RowsMut { values: out, columns: self.outputs, stride: self.outputs };
        dispatch(Product { linear: self, panels: 0..self.n_panels(), x, out, into });
    }

    /// Maps rows that fit the caches, and adds them to `sum` if there is one: each thread has outputs of its own, so that every weight is read once.
    pub(super) fn map_few(&self, values: &[f32], rows: usize, into: Epilogue, sum: Option<&[f32]>) -> Vec<f32> {
        let mut x = Matrix::default();
        x.fill(values, self.inputs);
        let panels = self.n_panels();
        let per_task = panels.div_ceil(TASKS_PER_THREAD * rayon::current_num_threads()).max(1);
        let task = |n: usize| {
            let panels = n * per_task..panels.min((n + 1) * per_task);
            let mut out = Matrix::default();
            let columns = panels.start * PANEL..self.outputs.min(panels.end * PANEL);
            out.reshape(rows, columns.len());
            for (row, sum) in sum.iter().flat_map(|sum| sum.chunks_exact(self.outputs)).enumerate() {
                out.row_mut(row).copy_from_slice(&sum[columns.clone()]);
            }
            dispatch(Product { linear: self, panels, x: &x, out: out.rows_mut(), into });
            out
        };
        let parts: Vec<Matrix> = (0..panels.div_ceil(per_task)).into_par_iter().map(task).collect();
        let mut mapped = Vec::with_capacity(rows * self.outputs);
        for row in 0..rows {
            parts.iter().for_each(|part| mapped.extend_from_slice(part.row(row)));
        }
        mapped
    }
}

/// A map as an operation on tensors without gaps.
struct Map<'a> {
    linear: &'a Linear,
    into: Epilogue,
}

impl CustomOp1 for Map<'_> {
    fn name(&self) -> &'static str {
        "fused-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (Self { linear, into }, values) = (self, contiguous(storage, layout)?);
        let rows = values.len() / linear.inputs;
        let mapped = if rows <= GROUP_ROWS {
            linear.map_few(values, rows, *into, None)
        } else {
            linear.map_many(values, rows, *into)
        };
        let mut shape = layout.shape().dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = linear.outputs;
        }
        Ok((CpuStorage::F32(mapped), Shape::from(shape)))
    }
}

/// Rows of a group, so that every thread has as many groups, of whole tiles.
pub(super) fn group_rows(rows: usize) -> usize {
    let groups = rows.div_ceil(GROUP_ROWS).next_multiple_of(rayon::current_num_threads());
    rows.div_ceil(groups).next_multiple_of(MAX_TILE_ROWS)
}

fn pack(rows: &[Vec<f32>], inputs: usize) -> Vec<f32> {
    let mut panels = vec![0.0; rows.len().div_ceil(PANEL) * inputs * PANEL];
    for (panel, rows) in panels.chunks_exact_mut((inputs * PANEL).max(1)).zip(rows.chunks(PANEL)) {
        for (n, row) in rows.iter().enumerate() {
            for (i, weight) in row.iter().enumerate() {
                panel[i * PANEL + n] = *weight;
            }
        }
    }
    panels
}

/// The outputs of some panels; those of the first panel are the first columns of `out`.
struct Product<'a> {
    linear: &'a Linear,
    panels: Range<usize>,
    x: &'a Matrix,
    out: RowsMut<'a>,
    into: Epilogue,
}

impl Kernel for Product<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let inputs = self.linear.inputs;
        let depth = inputs.div_ceil(inputs.div_ceil(MAX_DEPTH).max(1)).max(1);
        for start in (0..inputs).step_by(depth) {
            self.add_inputs::<S>(start..inputs.min(start + depth));
        }
    }
}

impl Product<'_> {
    /// Adds the part of the product that comes of some inputs; the last part is finished.
    #[inline(always)]
    fn add_inputs<S: Simd>(&mut self, inputs: Range<usize>) {
        let Self { linear, panels, x, out, into } = self;
        let mut tile = [[0.0; PANEL]; MAX_TILE_ROWS];
        let first = panels.start * PANEL;
        let chosen = linear.panels.chunks_exact((linear.inputs * PANEL).max(1)).enumerate();
        let adds = inputs.start > 0 || matches!(into, Epilogue::Add);
        for (p, panel) in chosen.skip(panels.start).take(panels.len()) {
            let from = p * PANEL;
            let to = linear.outputs.min(from + PANEL);
            let last = (inputs.end == linear.inputs).then_some((&linear.bias[from..to], *into));
            let mut row = 0;
            while row < x.rows() {
                let rows = S::TILE_ROWS.min(x.rows() - row);
                let a = &x.rows_from(row)[inputs.start..];
                product::<S>(rows, inputs.len(), a, x.stride(), &panel[inputs.start * PANEL..], &mut tile);
                for (m, sums) in tile[..rows].iter_mut().enumerate() {
                    let target = &mut out.row(row + m)[from - first..to - first];
                    match to - from {
                        // A length that the compiler knows.
                        PANEL => finish::<S>(&mut sums[..PANEL], last, adds, target),
                        n => finish::<S>(&mut sums[..n], last, adds, target),
                    }
                }
                row += rows;
            }
        }
    }
}

/// Stores sums, with what was there if `adds`; behind the last inputs there are bias and activation.
#[inline(always)]
fn finish<S: Simd>(sums: &mut [f32], last: Option<(&[f32], Epilogue)>, adds: bool, target: &mut [f32]) {
    if let Some((bias, _)) = last {
        for (sum, bias) in sums.iter_mut().zip(bias) {
            *sum += bias;
        }
    }
    if adds {
        for (sum, target) in sums.iter_mut().zip(&*target) {
            *sum += target;
        }
    }
    if let Some((_, Epilogue::Activate(activation))) = last {
        activate::<S>(activation, sums);
    }
    copy_panel(sums, target);
}

/// One tile: `rows` rows of `a`, `stride` apart, times a panel of `k` rows.
#[inline(always)]
#[allow(unsafe_code, reason = "bounds are checked once for all reads of the inner loop")]
pub(super) fn product<S: Simd>(rows: usize, k: usize, a: &[f32], stride: usize, panel: &[f32], tile: &mut Tile) {
    assert!(rows > 0 && a.len() >= (rows - 1) * stride + k && panel.len() >= k * PANEL, "operands of a tile");
    let (a, panel) = (a.as_ptr(), panel.as_ptr());
    macro_rules! tiles {
        ($($m:literal)*) => {
            match rows {
                // SAFETY: the assertion covers what is read, and S is there because its kernel runs.
                $($m if $m <= S::TILE_ROWS => unsafe { S::tile::<$m>(k, a, stride, panel, tile) },)*
                _ => unreachable!("a tile has at most TILE_ROWS rows"),
            }
        };
    }
    tiles!(1 2 3 4 5 6 7 8 9 10 11 12);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::simd::on_all;
    use super::super::testing::{fill, random};
    use super::*;

    /// Every height of a tile, panels cut short, each way to finish; against sums in f64.
    #[test]
    fn products_equal_sums_in_double_precision() {
        for (rows, inputs, outputs) in [(1, 1, 1), (5, 7, 31), (12, 33, 32), (23, 16, 70), (30, 257, 5), (13, 2100, 33)]
        {
            let weight = random(rows as u64, outputs * inputs);
            let bias = random(99, outputs);
            let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
            let plain =
                crate::nn::Linear::from_tensors(tensor(&weight, &[outputs, inputs]), Some(tensor(&bias, &[outputs])));
            let linear = Linear::new(&plain).unwrap();
            let mut x = Matrix::default();
            fill(&mut x, rows, inputs, 7);
            on_all(|| Compare { linear: &linear, weight: &weight, x: &x });
        }
    }

    struct Compare<'a> {
        linear: &'a Linear,
        weight: &'a [f32],
        x: &'a Matrix,
    }

    impl Kernel for Compare<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Self { linear, weight, x } = self;
            for into in [Epilogue::Set, Epilogue::Add, Epilogue::Activate(Activation::Relu)] {
                let mut out = Matrix::default();
                fill(&mut out, x.rows(), linear.outputs, 8);
                let before = out.clone();
                Product { linear, panels: 0..linear.n_panels(), x, out: out.rows_mut(), into }.run::<S>();
                for row in 0..x.rows() {
                    for n in 0..linear.outputs {
                        let weights = &weight[n * linear.inputs..][..linear.inputs];
                        let sum: f64 = x.row(row).iter().zip(weights).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        let sum = sum + f64::from(linear.bias[n]);
                        let wanted = match into {
                            Epilogue::Set => sum,
                            Epilogue::Add => sum + f64::from(before.row(row)[n]),
                            Epilogue::Activate(_) => sum.max(0.0),
                        };
                        let difference = (f64::from(out.row(row)[n]) - wanted).abs();
                        assert!(difference < 1e-4, "row {row} output {n}: {difference}");
                    }
                }
            }
        }
    }
}
