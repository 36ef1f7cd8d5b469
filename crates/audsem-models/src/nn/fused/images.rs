//! What is done to images between convolutions, for inference on the CPU in f32.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::norm::LayerNorm;
use super::rows::contiguous;
use super::simd::{Kernel, Simd, dispatch};

/// Pixels that are normalised at a time.
const PIXELS: usize = 64;

/// The largest of each 3 × 3 pixels and 0, at every second pixel of images (B, C, H, W).
///
/// # Errors
/// Another number of dimensions, type or device; memory.
pub fn max_pool(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1_no_bwd(&MaxPool)
}

struct MaxPool;

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "fused-max-pool"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, (b, c, height, width)) = (contiguous(storage, layout)?, layout.shape().dims4()?);
        let [down, over] = [height.div_ceil(2), width.div_ceil(2)];
        let mut out = vec![0.0; b * c * down * over];
        let images = out.par_chunks_exact_mut((down * over).max(1)).zip(x.par_chunks_exact((height * width).max(1)));
        images.for_each(|(out, image)| dispatch(Pool { image, out, width }));
        Ok((CpuStorage::F32(out), Shape::from((b, c, down, over))))
    }
}

/// One channel of one image.
struct Pool<'a> {
    image: &'a [f32],
    out: &'a mut [f32],
    width: usize,
}

impl Kernel for Pool<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let height = self.image.len() / self.width;
        // The largest of each column of three, with a zero on both sides.
        let mut columns = vec![0f32; self.width + 2];
        for (row, out) in self.out.chunks_exact_mut(self.width.div_ceil(2)).enumerate() {
            columns.fill(0.0);
            for from in
                self.image.chunks_exact(self.width).take((2 * row + 2).min(height)).skip((2 * row).saturating_sub(1))
            {
                for (largest, x) in columns[1..].iter_mut().zip(from) {
                    *largest = if *x > *largest { *x } else { *largest };
                }
            }
            for (out, three) in out.iter_mut().zip(columns.windows(3).step_by(2)) {
                *out = three[0].max(three[1]).max(three[2]);
            }
        }
    }
}

impl LayerNorm {
    /// Normalises each pixel of images (B, C, H, W) over its channels, on all threads.
    ///
    /// # Errors
    /// Another number of channels, type or device; memory.
    pub fn forward_channels(self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1_no_bwd(&ChannelNorm(self))
    }
}

struct ChannelNorm(LayerNorm);

impl CustomOp1 for ChannelNorm {
    fn name(&self) -> &'static str {
        "fused-channel-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, (b, channels, height, width)) = (contiguous(storage, layout)?, layout.shape().dims4()?);
        if channels != self.0.weight.len() {
            candle_core::bail!("a norm of {} channels, of {channels}", self.0.weight.len());
        }
        let places = height * width;
        let mut out = vec![0.0; x.len()];
        let tasks = places.div_ceil(PIXELS);
        // The part of each channel that each task makes.
        let mut targets: Vec<Vec<&mut [f32]>> = (0..b * tasks).map(|_| Vec::with_capacity(channels)).collect();
        for (n, channel) in out.chunks_exact_mut(places.max(1)).enumerate() {
            for (task, part) in channel.chunks_mut(PIXELS).enumerate() {
                targets[n / channels * tasks + task].push(part);
            }
        }
        targets.into_par_iter().enumerate().for_each(|(n, target)| {
            let image = &x[n / tasks * channels * places..][..channels * places];
            dispatch(Pixels { norm: &self.0, image, places, first: n % tasks * PIXELS, target });
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

/// Some pixels of all channels of one image.
struct Pixels<'a, 'b> {
    norm: &'a LayerNorm,
    image: &'a [f32],
    places: usize,
    first: usize,
    target: Vec<&'b mut [f32]>,
}

impl Kernel for Pixels<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { norm, image, places, first, mut target } = self;
        let (count, n) = (target.first().map_or(0, |part| part.len()), target.len() as f32);
        let channels = || image.chunks_exact(places.max(1)).map(|channel| &channel[first..first + count]);
        let (mut mean, mut scale) = ([0f32; PIXELS], [0f32; PIXELS]);
        for channel in channels() {
            mean.iter_mut().zip(channel).for_each(|(mean, x)| *mean += x);
        }
        mean.iter_mut().for_each(|mean| *mean /= n);
        for channel in channels() {
            for ((sum, x), mean) in scale.iter_mut().zip(channel).zip(&mean) {
                *sum = S::fma(x - mean, x - mean, *sum);
            }
        }
        scale.iter_mut().for_each(|sum| *sum = 1.0 / (*sum / n + norm.eps).sqrt());
        for (((target, x), weight), bias) in target.iter_mut().zip(channels()).zip(&norm.weight).zip(&norm.bias) {
            for (((target, x), mean), scale) in target.iter_mut().zip(x).zip(&mean).zip(&scale) {
                *target = S::fma((x - mean) * scale, *weight, *bias);
            }
        }
    }
}
