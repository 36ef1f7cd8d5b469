//! Convolutions for inference on the CPU in f32: products of the weights with pixels that are gathered a few at a time, in
//! memory that stays in the caches, with bias, residual sum and activation done on each tile of the result.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::linear::product;
use super::math::activate;
use super::matrix::Matrix;
use super::rows::{contiguous, with_values};
use super::simd::{Kernel, MAX_TILE_ROWS, PANEL, Simd, copy_panel, dispatch};
use crate::nn::Activation;
use crate::nn::conv_kernels::Geometry;

/// Pieces of work for each thread, so that all are busy to the end.
const TASKS_PER_THREAD: usize = 8;

/// Fewest outputs of a piece: pixels are gathered for each piece anew.
const LEAST_OUTPUTS: usize = 96;

/// Values of a channel that are summed at a time.
const CHANNEL_VALUES: usize = 2048;

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
        sums.iter_mut().for_each(|sum| *sum += bias);
        if self.residual.is_some() {
            sums.iter_mut().zip(&*target).for_each(|(sum, target)| *sum += target);
        }
        if let Some(activation) = self.activation {
            activate::<S>(activation, sums);
        }
        copy_panel(sums, target);
    }

    fn by_channel(&self, x: &[f32], out: &mut [f32]) {
        let (g, (_, outputs)) = (&self.geometry, self.geometry.group());
        let each = out.par_chunks_exact_mut(g.out_len().max(1)).enumerate();
        each.for_each_init(Vec::new, |planes, (n, target)| {
            let image = &x[n / outputs * g.image_len()..][..g.image_len()];
            dispatch(Channel { op: self, output: n % g.outputs, image, target, planes });
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
        let wanted = (TASKS_PER_THREAD * rayon::current_num_threads()).div_ceil(images.max(1));
        let per_task = blocks.div_ceil(wanted.min(blocks).max(1)).max(1) * PANEL;
        let tasks = g.out_len().div_ceil(per_task);
        // Small images make few tasks of their pixels: their outputs are divided too.
        let parts = wanted.div_ceil(tasks.max(1)).min(outputs / LEAST_OUTPUTS).max(1);
        let per_part = outputs.div_ceil(parts).next_multiple_of(MAX_TILE_ROWS);
        let parts = outputs.div_ceil(per_part);
        // The piece of each output row that each task makes.
        let mut targets: Vec<Vec<&mut [f32]>> = (0..images * parts * tasks).map(|_| Vec::new()).collect();
        for (n, row) in out.chunks_exact_mut(g.out_len().max(1)).enumerate() {
            let part = n / outputs * parts + n % outputs / per_part;
            for (task, piece) in row.chunks_mut(per_task).enumerate() {
                targets[part * tasks + task].push(piece);
            }
        }
        targets.into_par_iter().enumerate().for_each_init(Vec::new, |panel, (n, target)| {
            let (part, first) = (n / tasks, n % tasks * per_task);
            let len = channels * image[0] * image[1];
            let x = &x[part / parts * len..][..len];
            let outputs = part / parts % g.groups * outputs + part % parts * per_part;
            dispatch(Pixels { op: self, image, x, first, outputs, target, panel });
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

/// Some pixels of some outputs of one group of one image.
struct Pixels<'a, 'b> {
    op: &'a Convolution<'a>,
    /// Height and width of the padded image.
    image: [usize; 2],
    x: &'a [f32],
    /// The first pixel of the result.
    first: usize,
    /// The first output.
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
                    match count {
                        // A length that the compiler knows.
                        PANEL => self.op.finish::<S>(self.outputs + row + m, &mut sums[..PANEL], target),
                        count => self.op.finish::<S>(self.outputs + row + m, &mut sums[..count], target),
                    }
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
    /// The padded image, split by the remainders of row and column divided by the steps: what a place of the kernel meets
    /// lies side by side in one of these planes, over all rows of the result.
    planes: &'a mut Vec<f32>,
}

impl Kernel for Channel<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (g, out_width) = (&self.op.geometry, self.op.geometry.out()[1]);
        let [down, over] = g.stride;
        let [rows, columns] = [0, 1].map(|n| (g.image[n] + 2 * g.padding[n]).div_ceil(g.stride[n]));
        split(self.planes, self.image, g, [rows, columns]);
        let kernel = self.op.weight.row(self.output);
        let rows_at_once = (CHANNEL_VALUES / columns).max(1);
        let mut sums = Vec::new();
        for (n, target) in self.target.chunks_mut((rows_at_once * out_width).max(1)).enumerate() {
            // The rows of the result as far apart as those of a plane.
            let made = target.len() / out_width;
            sums.clear();
            sums.resize((made - 1) * columns + out_width, 0.0);
            for ([i, j], factor) in g.kernel_places().zip(kernel) {
                let plane = (i % down * over + j % over) * rows * columns;
                let from = plane + (n * rows_at_once + i / down) * columns + j / over;
                for (sum, x) in sums.iter_mut().zip(&self.planes[from..]) {
                    *sum = S::fma(*factor, *x, *sum);
                }
            }
            for (sums, target) in sums.chunks_mut(columns).zip(target.chunks_exact_mut(out_width)) {
                self.op.finish::<S>(self.output, &mut sums[..out_width], target);
            }
        }
    }
}

/// Fills [`Channel::planes`], each of these many rows and columns.
#[inline(always)]
fn split(planes: &mut Vec<f32>, image: &[f32], g: &Geometry, [rows, columns]: [usize; 2]) {
    let ([down, over], [top, left]) = (g.stride, g.padding);
    planes.clear();
    planes.resize(down * over * rows * columns, 0.0);
    for (row, from) in image.chunks_exact(g.image[1].max(1)).enumerate() {
        let start = ((top + row) % down * over * rows + (top + row) / down) * columns;
        if over == 1 {
            planes[start + left..][..from.len()].copy_from_slice(from);
        } else {
            for first in 0..over.min(from.len()) {
                let to = start + (left + first) % over * rows * columns + (left + first) / over;
                let every = from[first..].iter().step_by(over);
                planes[to..].iter_mut().zip(every).for_each(|(to, x)| *to = *x);
            }
        }
    }
}
