//! Convolutions for inference on the CPU in f32: products of the weights with pixels that are gathered a few at a time, in
//! memory that stays in the caches, with bias, residual sum and activation done on each tile of the result.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::linear::product;
use super::math::activate;
use super::matrix::Matrix;
use super::rows::{contiguous, with_values};
use super::simd::{Kernel, MAX_TILE_ROWS, PANEL, Simd, dispatch};
use crate::nn::Activation;
use crate::nn::conv_kernels::Geometry;

/// Pieces of work for each thread.
const TASKS_PER_THREAD: usize = 2;

/// A convolution with what follows it. Every value of the result is one sum in the order of the kernel's places, whatever
/// else is in the batch.
pub(in crate::nn) struct Convolution<'a> {
    pub(in crate::nn) geometry: Geometry,
    /// The weight, one row for each output.
    pub(in crate::nn) weight: &'a Matrix,
    pub(in crate::nn) bias: &'a [f32],
    /// What is added, of the shape of the result.
    pub(in crate::nn) residual: Option<&'a Tensor>,
    pub(in crate::nn) activation: Option<Activation>,
}

impl CustomOp1 for Convolution<'_> {
    fn name(&self) -> &'static str {
        "fused-convolution"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (g, x) = (&self.geometry, contiguous(storage, layout)?);
        let [height, width] = g.out();
        let mut out = match self.residual {
            Some(residual) => with_values(residual, <[f32]>::to_vec)?,
            None => vec![0.0; g.batch * g.outputs * height * width],
        };
        if g.is_depthwise() {
            self.by_channel(x, &mut out)
        } else {
            self.by_pixels(x, &mut out)
        }
        Ok((CpuStorage::F32(out), Shape::from((g.batch, g.outputs, height, width))))
    }
}

impl Convolution<'_> {
    /// Bias, residual sum and activation of some values of one output; `target` holds what is added.
    #[inline(always)]
    fn finish<S: Simd>(&self, output: usize, sums: &mut [f32], target: &mut [f32]) {
        let bias = self.bias[output];
        for (sum, target) in sums.iter_mut().zip(&*target) {
            *sum += bias + target;
        }
        if let Some(activation) = self.activation {
            activate::<S>(activation, sums);
        }
        target.copy_from_slice(sums);
    }

    fn by_channel(&self, x: &[f32], out: &mut [f32]) {
        let (g, (_, outputs)) = (&self.geometry, self.geometry.group());
        let each = out.par_chunks_exact_mut(g.out_len().max(1)).enumerate();
        each.for_each_init(Vec::new, |phases, (n, target)| {
            let image = &x[n / outputs * g.image_len()..][..g.image_len()];
            dispatch(Channel { op: self, output: n % g.outputs, image, target, phases });
        });
    }

    fn by_pixels(&self, x: &[f32], out: &mut [f32]) {
        let (g, (channels, outputs)) = (&self.geometry, self.geometry.group());
        let padded;
        let (x, image) = if g.padding == [0, 0] {
            (x, g.image)
        } else {
            padded = pad(x, g);
            (padded.as_slice(), [0, 1].map(|n| g.image[n] + 2 * g.padding[n]))
        };
        let images = g.batch * g.groups;
        let blocks = g.out_len().div_ceil(PANEL);
        let wanted = (TASKS_PER_THREAD * rayon::current_num_threads()).div_ceil(images.max(1)).min(blocks).max(1);
        let per_task = blocks.div_ceil(wanted).max(1) * PANEL;
        let tasks = g.out_len().div_ceil(per_task);
        // The part of each output row that each task makes.
        let mut targets: Vec<Vec<&mut [f32]>> = (0..images * tasks).map(|_| Vec::with_capacity(outputs)).collect();
        for (n, row) in out.chunks_exact_mut(g.out_len().max(1)).enumerate() {
            for (task, part) in row.chunks_mut(per_task).enumerate() {
                targets[n / outputs * tasks + task].push(part);
            }
        }
        targets.into_par_iter().enumerate().for_each_init(Vec::new, |panel, (n, target)| {
            let group = n / tasks % g.groups;
            let len = channels * image[0] * image[1];
            let x = &x[n / tasks * len..][..len];
            dispatch(Pixels {
                op: self,
                image,
                x,
                first: n % tasks * per_task,
                outputs: group * outputs,
                target,
                panel,
            });
        });
    }
}

/// Images with zeros around them.
fn pad(x: &[f32], g: &Geometry) -> Vec<f32> {
    let [height, width] = g.image;
    let [top, left] = g.padding;
    let wide = width + 2 * left;
    let len = (height + 2 * top) * wide;
    let mut padded = vec![0.0; g.batch * g.channels * len];
    padded.par_chunks_exact_mut(len).zip(x.par_chunks_exact((height * width).max(1))).for_each(|(padded, image)| {
        for (row, from) in image.chunks_exact(width.max(1)).enumerate() {
            padded[(top + row) * wide + left..][..width].copy_from_slice(from);
        }
    });
    padded
}

/// Some pixels of all outputs of one group of one image.
struct Pixels<'a, 'b> {
    op: &'a Convolution<'a>,
    /// Height and width of the padded image.
    image: [usize; 2],
    x: &'a [f32],
    /// The first pixel of the result.
    first: usize,
    /// The first output of the group.
    outputs: usize,
    target: Vec<&'b mut [f32]>,
    panel: &'a mut Vec<f32>,
}

impl Kernel for Pixels<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let taps = self.op.geometry.taps();
        self.panel.resize(taps * PANEL, 0.0);
        let pixels = self.target.first().map_or(0, |row| row.len());
        let mut tile = [[0.0; PANEL]; MAX_TILE_ROWS];
        for from in (0..pixels).step_by(PANEL) {
            let count = PANEL.min(pixels - from);
            self.gather(self.first + from, count);
            let mut row = 0;
            while row < self.target.len() {
                let rows = S::TILE_ROWS.min(self.target.len() - row);
                let weight = self.op.weight.rows_from(self.outputs + row);
                product::<S>(rows, taps, weight, self.op.weight.stride(), self.panel, &mut tile);
                for (m, sums) in tile[..rows].iter_mut().enumerate() {
                    let target = &mut self.target[row + m][from..from + count];
                    self.op.finish::<S>(self.outputs + row + m, &mut sums[..count], target);
                }
                row += rows;
            }
        }
    }
}

impl Pixels<'_, '_> {
    /// The values under each place of the kernel for `count` pixels of the result, one row for each place.
    #[inline(always)]
    fn gather(&mut self, first: usize, count: usize) {
        let (g, [_, width]) = (&self.op.geometry, self.image);
        let out_width = g.out()[1];
        // What a row holds beyond the last pixel affects only sums that are discarded.
        let mut offsets = [0; PANEL];
        for (n, offset) in offsets[..count].iter_mut().enumerate() {
            let (row, column) = ((first + n) / out_width, (first + n) % out_width);
            *offset = row * g.stride[0] * width + column * g.stride[1];
        }
        let is_run = count == PANEL && offsets[PANEL - 1] - offsets[0] == PANEL - 1;
        let channel = self.image[0] * width;
        for (rows, x) in self.panel.chunks_exact_mut(g.kernel_len() * PANEL).zip(self.x.chunks_exact(channel)) {
            for (row, [i, j]) in rows.chunks_exact_mut(PANEL).zip(g.kernel_places()) {
                let from = &x[i * width + j..];
                if is_run {
                    row.copy_from_slice(&from[offsets[0]..][..PANEL]);
                } else {
                    row.iter_mut().zip(&offsets[..count]).for_each(|(to, offset)| *to = from[*offset]);
                }
            }
        }
    }
}

/// One output of one image, made of one channel.
struct Channel<'a> {
    op: &'a Convolution<'a>,
    output: usize,
    image: &'a [f32],
    target: &'a mut [f32],
    /// The padded rows, each split by the remainder of the column divided by the step: what a place of the kernel meets
    /// along a row of the result then lies side by side.
    phases: &'a mut Vec<f32>,
}

impl Kernel for Channel<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (g, out_width) = (&self.op.geometry, self.op.geometry.out()[1]);
        let [down, over] = g.stride;
        let phase = (g.image[1] + 2 * g.padding[1]).div_ceil(over);
        split(self.phases, self.image, g, phase);
        let kernel = self.op.weight.row(self.output);
        let mut sums = vec![0f32; out_width];
        for (row, target) in self.target.chunks_exact_mut(out_width.max(1)).enumerate() {
            sums.fill(0.0);
            for ([i, j], factor) in g.kernel_places().zip(kernel) {
                let from = ((row * down + i) * over + j % over) * phase + j / over;
                for (sum, x) in sums.iter_mut().zip(&self.phases[from..][..out_width]) {
                    *sum = S::fma(*factor, *x, *sum);
                }
            }
            self.op.finish::<S>(self.output, &mut sums, target);
        }
    }
}

/// Fills [`Channel::phases`].
#[inline(always)]
fn split(phases: &mut Vec<f32>, image: &[f32], g: &Geometry, phase: usize) {
    let (over, [top, left]) = (g.stride[1], g.padding);
    phases.clear();
    phases.resize((g.image[0] + 2 * top) * over * phase, 0.0);
    for (row, from) in image.chunks_exact(g.image[1].max(1)).enumerate() {
        let to = &mut phases[(top + row) * over * phase..][..over * phase];
        if over == 1 {
            to[left..][..from.len()].copy_from_slice(from);
        } else {
            for (column, x) in from.iter().enumerate() {
                to[(left + column) % over * phase + (left + column) / over] = *x;
            }
        }
    }
}
