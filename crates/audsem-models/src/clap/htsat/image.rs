//! From mel features to the image that the tower looks at.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::EPS;
use crate::clap::config::AudioConfig;
use crate::error::{Error, Result};
use crate::nn::BatchNorm;

/// Batch normalisation of each mel bin, stretching to the width of the image, and folding: four pieces of time stacked
/// along frequency.
#[derive(Debug, Clone)]
pub(super) struct Folding {
    norm: BatchNorm,
    mel_bins: usize,
    frames: usize,
    ratio: usize,
    dtype: DType,
}

impl Folding {
    pub(super) fn load(vb: &VarBuilder<'_>, config: &AudioConfig) -> Result<Self> {
        Ok(Self {
            norm: BatchNorm::load(vb, config.num_mel_bins, EPS)?,
            mel_bins: config.num_mel_bins,
            frames: config.max_frames(),
            ratio: config.freq_ratio(),
            dtype: vb.dtype(),
        })
    }

    /// (B, C, T, F) to (B, C, S, S). In f32 until decibels are normalised: bfloat16 has steps of half a decibel at −100.
    pub(super) fn forward(&self, mel: &Tensor) -> Result<Tensor> {
        let (b, c, t, f) = mel.dims4()?;
        if t == 0 || t > self.frames || f != self.mel_bins {
            return Err(Error::FeatureShape {
                frames: t,
                mels: f,
                max_frames: self.frames,
                wanted_mels: self.mel_bins,
            });
        }
        let mut x = self.norm.forward(&mel.to_dtype(DType::F32)?)?;
        if t < self.frames {
            let stretch = Tensor::from_vec(resize_matrix(t, self.frames), (self.frames, t), &Device::Cpu)?;
            x = stretch.to_device(x.device())?.broadcast_matmul(&x)?; // (B, C, frames, F)
        }
        let width = self.frames / self.ratio;
        let folded = x.to_dtype(self.dtype)?.reshape((b, c, self.ratio, width, f))?.transpose(3, 4)?; // (B, C, ratio, F, width)
        Ok(folded.contiguous()?.reshape((b, c, self.ratio * f, width))?)
    }
}

/// Bicubic stretching from `from` to `to` samples with the ends aligned, as a matrix of `to` rows: the kernel of Keys
/// with a = −0.75, indices clamped at the ends. In single precision, as PyTorch has it: its positions are off by up to
/// 6e-5 samples, which is seen where neighbours are far apart.
fn resize_matrix(from: usize, to: usize) -> Vec<f32> {
    const A: f32 = -0.75;
    let near = |d: f32| ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0;
    let far = |d: f32| ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A;
    let mut matrix = vec![0.0; to * from];
    let step = if to > 1 { (from - 1) as f32 / (to - 1) as f32 } else { 0.0 };
    for (row, weights) in matrix.chunks_exact_mut(from).enumerate() {
        let position = row as f32 * step;
        let (floor, t) = (position.floor(), position.fract());
        let taps = [far(1.0 + t), near(t), near(1.0 - t), far(2.0 - t)];
        for (offset, tap) in taps.into_iter().enumerate() {
            let index = (floor as isize + offset as isize - 1).clamp(0, from as isize - 1);
            weights[index as usize] += tap;
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn goldens() -> std::collections::HashMap<String, Tensor> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/goldens/clap_parts.safetensors");
        candle_core::safetensors::load(path, &Device::Cpu).unwrap()
    }

    #[test]
    fn rows_are_those_of_torch() {
        let goldens = goldens();
        for (from, to) in [(1001, 1024), (501, 512)] {
            let name = format!("resize.{from}.{to}");
            let rows = goldens[&format!("{name}.rows")].to_vec1::<i64>().unwrap();
            let matrix = resize_matrix(from, to);
            for (row, wanted) in rows.into_iter().zip(goldens[&name].to_vec2::<f32>().unwrap()) {
                let got = &matrix[row as usize * from..][..from];
                let difference = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(difference < 1e-6, "{name}, row {row}: {difference:e}");
            }
        }
    }

    #[test]
    fn stretching_keeps_sums_and_ends() {
        for (from, to) in [(1001, 1024), (501, 512), (7, 8), (1, 4)] {
            let matrix = resize_matrix(from, to);
            for row in matrix.chunks_exact(from) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            }
            assert!((matrix[0] - 1.0).abs() < 1e-6 && (matrix[to * from - 1] - 1.0).abs() < 1e-4);
            assert!(matrix[1..from].iter().chain(&matrix[(to - 1) * from..to * from - 1]).all(|w| w.abs() < 1e-4));
        }
    }
}
