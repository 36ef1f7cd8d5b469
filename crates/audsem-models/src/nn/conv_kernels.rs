//! Convolutions on the CPU in f32 as matrix products: one image and one group at a time, so that memory stays small.

use std::ops::Range;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Layout, Result, Shape, bail};
use rayon::prelude::*;

/// Sizes of a convolution of images (B, C, H, W) with a weight (O, C/G, KH, KW).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub batch: usize,
    pub channels: usize,
    pub outputs: usize,
    pub groups: usize,
    /// Height and width of the image.
    pub image: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Zeros on each side.
    pub padding: [usize; 2],
}

impl Geometry {
    /// Height and width of the result.
    pub(super) fn out(&self) -> [usize; 2] {
        [0, 1].map(|n| (self.image[n] + 2 * self.padding[n] - self.kernel[n]) / self.stride[n] + 1)
    }

    pub(super) fn image_len(&self) -> usize {
        self.image[0] * self.image[1]
    }

    pub(super) fn out_len(&self) -> usize {
        self.out().iter().product()
    }

    pub(super) fn kernel_len(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Channels and outputs of a group.
    pub(super) fn group(&self) -> (usize, usize) {
        (self.channels / self.groups, self.outputs / self.groups)
    }

    /// Inputs of one output value.
    pub(super) fn taps(&self) -> usize {
        self.group().0 * self.kernel_len()
    }

    /// One channel per group: a product of matrices with a dimension of 1 is slower than sums.
    pub(super) fn is_depthwise(&self) -> bool {
        self.group().0 == 1 && self.kernel_len() > 1
    }

    /// A kernel of one point is the product of weight and image as they are.
    fn is_point(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// Places of the result along dimension `n` at which place `tap` of the kernel lies on the image.
    fn covered(&self, n: usize, tap: usize) -> Range<usize> {
        let (stride, padding) = (self.stride[n], self.padding[n]);
        let start = padding.saturating_sub(tap).div_ceil(stride);
        let end = (self.image[n] + padding).saturating_sub(tap).div_ceil(stride).min(self.out()[n]);
        start.min(end)..end
    }

    /// Calls `visit` for every row of the result that place (i, j) of the kernel covers: the range of values in the
    /// result, and the first value in the image; the next ones are `stride` apart.
    fn rows(&self, [i, j]: [usize; 2], mut visit: impl FnMut(Range<usize>, usize)) {
        let (width, out_width) = (self.image[1], self.out()[1]);
        let columns = self.covered(1, j);
        if columns.is_empty() {
            return;
        }
        let first = columns.start * self.stride[1] + j - self.padding[1];
        for row in self.covered(0, i) {
            let image_row = row * self.stride[0] + i - self.padding[0];
            let out = row * out_width;
            visit(out + columns.start..out + columns.end, image_row * width + first);
        }
    }

    pub(super) fn kernel_places(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [height, width] = self.kernel;
        (0..height).flat_map(move |i| (0..width).map(move |j| [i, j]))
    }

    /// Channels (C/G, H, W) to columns (C/G · KH · KW, OH · OW).
    fn unfold(&self, channels: &[f32]) -> Vec<f32> {
        let mut columns = vec![0.0; self.taps() * self.out_len()];
        let places: Vec<[usize; 2]> = self.kernel_places().collect();
        columns.par_chunks_exact_mut(self.out_len()).enumerate().for_each(|(tap, column)| {
            let image = &channels[tap / places.len() * self.image_len()..][..self.image_len()];
            self.rows(places[tap % places.len()], |out, from| {
                copy_strided(&mut column[out], &image[from..], self.stride[1]);
            });
        });
        columns
    }

    /// The transpose of [`Geometry::unfold`]: adds columns to the channels they came from.
    fn fold(&self, columns: &[f32], channels: &mut [f32]) {
        let places: Vec<[usize; 2]> = self.kernel_places().collect();
        let per_channel = columns.par_chunks_exact(places.len() * self.out_len());
        channels.par_chunks_exact_mut(self.image_len()).zip(per_channel).for_each(|(image, columns)| {
            for (place, column) in places.iter().zip(columns.chunks_exact(self.out_len())) {
                self.rows(*place, |out, from| add_strided(&mut image[from..], &column[out], 1.0, self.stride[1]));
            }
        });
    }
}

fn copy_strided(to: &mut [f32], from: &[f32], stride: usize) {
    if stride == 1 {
        to.copy_from_slice(&from[..to.len()]);
    } else {
        to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, from)| *to = *from);
    }
}

/// Adds `factor` times `from` to every `stride`-th value of `to`.
fn add_strided(to: &mut [f32], from: &[f32], factor: f32, stride: usize) {
    if stride == 1 {
        to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
    } else {
        to.iter_mut().step_by(stride).zip(from).for_each(|(to, from)| *to += factor * from);
    }
}

/// Adds `factor` times every `stride`-th value of `from` to `to`.
fn add_from_strided(to: &mut [f32], from: &[f32], factor: f32, stride: usize) {
    if stride == 1 {
        to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
    } else {
        to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, from)| *to += factor * from);
    }
}

fn dot_strided(a: &[f32], b: &[f32], stride: usize) -> f32 {
    a.iter().zip(b.iter().step_by(stride)).map(|(a, b)| a * b).sum()
}

/// The values of a tensor within its storage.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    storage: &'a CpuStorage,
    start: usize,
    end: usize,
}

impl<'a> Operand<'a> {
    /// Takes the values of a layout without gaps.
    pub(super) fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        match layout.contiguous_offsets() {
            Some((start, end)) => Ok(Self { storage, start, end }),
            None => bail!("a convolution reads values that lie side by side"),
        }
    }

    fn values(self) -> Result<&'a [f32]> {
        Ok(&self.storage.as_slice()?[self.start..self.end])
    }

    /// The matrix of `shape` that starts at value `start`.
    fn part(self, start: usize, shape: (usize, usize)) -> Part<'a> {
        Part { storage: self.storage, start: self.start + start, shape, transposed: false }
    }
}

/// A matrix within a storage.
struct Part<'a> {
    storage: &'a CpuStorage,
    start: usize,
    /// Rows and columns as they lie in memory.
    shape: (usize, usize),
    transposed: bool,
}

impl Part<'_> {
    fn transposed(self) -> Self {
        Self { transposed: true, ..self }
    }

    fn layout(&self) -> Result<Layout> {
        let (rows, columns) = self.shape;
        let layout = Layout::new(Shape::from((rows, columns)), vec![columns, 1], self.start);
        if self.transposed { layout.transpose(0, 1) } else { Ok(layout) }
    }
}

fn product(a: &Part<'_>, b: &Part<'_>) -> Result<CpuStorage> {
    let (a_layout, b_layout) = (a.layout()?, b.layout()?);
    let ((m, k), (_, n)) = (a_layout.shape().dims2()?, b_layout.shape().dims2()?);
    a.storage.matmul(b.storage, (1, m, n, k), &a_layout, &b_layout)
}

/// Images (B, C, H, W) and weight (O, C/G, KH, KW) to (B, O, OH, OW).
pub(super) fn forward(g: &Geometry, x: Operand<'_>, weight: Operand<'_>) -> Result<Vec<f32>> {
    if g.is_depthwise() {
        return Ok(depthwise(g, x.values()?, weight.values()?));
    }
    let ((channels, outputs), taps, places) = (g.group(), g.taps(), g.out_len());
    let mut out = Vec::with_capacity(g.batch * g.outputs * places);
    for n in 0..g.batch * g.groups {
        let group = n % g.groups;
        let weight = weight.part(group * outputs * taps, (outputs, taps));
        let start = n * channels * g.image_len();
        let product = if g.is_point() {
            product(&weight, &x.part(start, (taps, places)))?
        } else {
            let columns = CpuStorage::F32(g.unfold(&x.values()?[start..][..channels * g.image_len()]));
            product(&weight, &Part { storage: &columns, start: 0, shape: (taps, places), transposed: false })?
        };
        out.extend_from_slice(product.as_slice()?);
    }
    Ok(out)
}

/// Gradient of the images, from that of the result (B, O, OH, OW).
pub(super) fn image_gradient(g: &Geometry, grad: Operand<'_>, weight: Operand<'_>) -> Result<Vec<f32>> {
    if g.is_depthwise() {
        return Ok(depthwise_image_gradient(g, grad.values()?, weight.values()?));
    }
    let ((channels, outputs), taps, places) = (g.group(), g.taps(), g.out_len());
    let mut image = vec![0.0; g.batch * g.channels * g.image_len()];
    for (n, channels) in image.chunks_exact_mut(channels * g.image_len()).enumerate() {
        let group = n % g.groups;
        let weight = weight.part(group * outputs * taps, (outputs, taps)).transposed();
        let grad = grad.part(n * outputs * places, (outputs, places));
        g.fold(product(&weight, &grad)?.as_slice()?, channels);
    }
    Ok(image)
}

/// Gradient of the weight, from that of the result (B, O, OH, OW).
pub(super) fn weight_gradient(g: &Geometry, x: Operand<'_>, grad: Operand<'_>) -> Result<Vec<f32>> {
    if g.is_depthwise() {
        return Ok(depthwise_weight_gradient(g, x.values()?, grad.values()?));
    }
    let ((channels, outputs), taps, places) = (g.group(), g.taps(), g.out_len());
    let mut weight = vec![0.0; g.outputs * taps];
    for n in 0..g.batch * g.groups {
        let start = n * channels * g.image_len();
        let columns = CpuStorage::F32(g.unfold(&x.values()?[start..][..channels * g.image_len()]));
        let columns = Part { storage: &columns, start: 0, shape: (taps, places), transposed: true };
        let grad = grad.part(n * outputs * places, (outputs, places));
        let target = &mut weight[n % g.groups * outputs * taps..][..outputs * taps];
        add_strided(target, product(&grad, &columns)?.as_slice()?, 1.0, 1);
    }
    Ok(weight)
}

fn depthwise(g: &Geometry, x: &[f32], weight: &[f32]) -> Vec<f32> {
    let (_, outputs) = g.group();
    let mut out = vec![0.0; g.batch * g.outputs * g.out_len()];
    out.par_chunks_exact_mut(g.out_len()).enumerate().for_each(|(n, out)| {
        let image = &x[n / outputs * g.image_len()..][..g.image_len()];
        let kernel = &weight[n % g.outputs * g.kernel_len()..][..g.kernel_len()];
        for (place, factor) in g.kernel_places().zip(kernel) {
            g.rows(place, |range, from| add_from_strided(&mut out[range], &image[from..], *factor, g.stride[1]));
        }
    });
    out
}

fn depthwise_image_gradient(g: &Geometry, grad: &[f32], weight: &[f32]) -> Vec<f32> {
    let (_, outputs) = g.group();
    let mut image = vec![0.0; g.batch * g.channels * g.image_len()];
    image.par_chunks_exact_mut(g.image_len()).enumerate().for_each(|(n, image)| {
        for output in n * outputs..(n + 1) * outputs {
            let grad = &grad[output * g.out_len()..][..g.out_len()];
            let kernel = &weight[output % g.outputs * g.kernel_len()..][..g.kernel_len()];
            for (place, factor) in g.kernel_places().zip(kernel) {
                g.rows(place, |range, from| add_strided(&mut image[from..], &grad[range], *factor, g.stride[1]));
            }
        }
    });
    image
}

fn depthwise_weight_gradient(g: &Geometry, x: &[f32], grad: &[f32]) -> Vec<f32> {
    let (_, outputs) = g.group();
    let mut weight = vec![0.0; g.outputs * g.kernel_len()];
    weight.par_chunks_exact_mut(g.kernel_len()).enumerate().for_each(|(output, kernel)| {
        for row in 0..g.batch {
            let image = &x[(row * g.channels + output / outputs) * g.image_len()..][..g.image_len()];
            let grad = &grad[(row * g.outputs + output) * g.out_len()..][..g.out_len()];
            for (place, sum) in g.kernel_places().zip(kernel.iter_mut()) {
                g.rows(place, |range, from| *sum += dot_strided(&grad[range], &image[from..], g.stride[1]));
            }
        }
    });
    weight
}
