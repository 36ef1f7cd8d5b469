//! Layer normalisation of rows.

use candle_core::{DType, Device, Result};

use super::math::sum;
use super::matrix::Matrix;
use super::simd::{Kernel, Simd, dispatch};

/// Layer normalisation with scale and shift, for inference on the CPU in f32.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl LayerNorm {
    /// Copies scale and shift.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn new(norm: &crate::nn::LayerNorm) -> Result<Self> {
        let read =
            |tensor: &candle_core::Tensor| tensor.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.to_vec1::<f32>();
        Ok(Self { weight: read(norm.weight())?, bias: read(norm.bias())?, eps: norm.eps() as f32 })
    }

    /// Normalises every row of `x` in place.
    ///
    /// # Panics
    /// The width does not fit.
    pub fn forward_inplace(&self, x: &mut Matrix) {
        assert_eq!(x.columns(), self.weight.len(), "one scale per column");
        dispatch(Inplace { norm: self, x });
    }

    /// Normalises every row of `x` into `out`, which takes the shape of `x`.
    ///
    /// # Panics
    /// The width does not fit.
    pub fn forward(&self, x: &Matrix, out: &mut Matrix) {
        assert_eq!(x.columns(), self.weight.len(), "one scale per column");
        out.reshape(x.rows(), x.columns());
        dispatch(Copied { norm: self, x, out });
    }
}

struct Inplace<'a> {
    norm: &'a LayerNorm,
    x: &'a mut Matrix,
}

impl Kernel for Inplace<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for n in 0..self.x.rows() {
            normalise::<S>(self.norm, self.x.row_mut(n));
        }
    }
}

struct Copied<'a> {
    norm: &'a LayerNorm,
    x: &'a Matrix,
    out: &'a mut Matrix,
}

impl Kernel for Copied<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for n in 0..self.x.rows() {
            let row = self.out.row_mut(n);
            row.copy_from_slice(self.x.row(n));
            normalise::<S>(self.norm, row);
        }
    }
}

/// Two passes, mean first: stable for rows far from zero.
#[inline(always)]
fn normalise<S: Simd>(norm: &LayerNorm, row: &mut [f32]) {
    let n = row.len() as f32;
    let mean = sum(row, |x| x) / n;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / n;
    let scale = 1.0 / (variance + norm.eps).sqrt();
    for ((x, weight), bias) in row.iter_mut().zip(&norm.weight).zip(&norm.bias) {
        *x = S::fma((*x - mean) * scale, *weight, *bias);
    }
}
