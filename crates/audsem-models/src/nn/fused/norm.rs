//! Normalisation of rows.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::math::sum;
use super::matrix::Matrix;
use super::rows::{RowOp, map_rows};
use super::simd::{Kernel, Simd, dispatch};

/// Layer normalisation with scale and shift, for inference on the CPU in f32.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) eps: f32,
}

/// Normalisation by the root of the mean square with scale, for inference on the CPU in f32.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Vec<f32>,
    eps: f32,
}

fn read(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.to_vec1()
}

impl LayerNorm {
    /// Copies scale and shift.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn new(norm: &crate::nn::LayerNorm) -> Result<Self> {
        Ok(Self { weight: read(norm.weight())?, bias: read(norm.bias())?, eps: norm.eps() as f32 })
    }

    /// Normalises every row of `x` in place.
    ///
    /// # Panics
    /// The width does not fit.
    pub fn forward_inplace(&self, x: &mut Matrix) {
        inplace(self, x);
    }

    /// Normalises every row of `x` into `out`, which takes the shape of `x`.
    ///
    /// # Panics
    /// The width does not fit.
    pub fn forward(&self, x: &Matrix, out: &mut Matrix) {
        copied(self, x, out);
    }

    /// Normalises a tensor (…, D) over its last dimension, on all threads.
    ///
    /// # Errors
    /// The last dimension is not D, the tensor has gradients or another type, memory.
    pub fn forward_tensor(self, x: &Tensor) -> Result<Tensor> {
        tensor(self, x)
    }
}

impl RmsNorm {
    /// Copies the scale.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn new(norm: &crate::nn::RmsNorm) -> Result<Self> {
        Ok(Self { weight: read(norm.weight())?, eps: norm.eps() as f32 })
    }

    /// Normalises every row of `x` in place.
    ///
    /// # Panics
    /// The width does not fit.
    pub fn forward_inplace(&self, x: &mut Matrix) {
        inplace(self, x);
    }

    /// Normalises every row of `x` into `out`, which takes the shape of `x`.
    ///
    /// # Panics
    /// The width does not fit.
    pub fn forward(&self, x: &Matrix, out: &mut Matrix) {
        copied(self, x, out);
    }

    /// Normalises a tensor (…, D) over its last dimension, on all threads.
    ///
    /// # Errors
    /// The last dimension is not D, the tensor has gradients or another type, memory.
    pub fn forward_tensor(self, x: &Tensor) -> Result<Tensor> {
        tensor(self, x)
    }
}

/// A norm of rows of one width.
trait Norm: RowOp {
    fn width(&self) -> usize;
}

impl Norm for LayerNorm {
    fn width(&self) -> usize {
        self.weight.len()
    }
}

impl Norm for RmsNorm {
    fn width(&self) -> usize {
        self.weight.len()
    }
}

impl RowOp for LayerNorm {
    /// Two passes, mean first: stable for rows far from zero.
    #[inline(always)]
    fn apply<S: Simd>(&self, row: &mut [f32]) {
        let n = row.len() as f32;
        let mean = sum(row, |x| x) / n;
        let variance = sum(row, |x| (x - mean) * (x - mean)) / n;
        let scale = 1.0 / (variance + self.eps).sqrt();
        for ((x, weight), bias) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
            *x = S::fma((*x - mean) * scale, *weight, *bias);
        }
    }
}

impl RowOp for RmsNorm {
    #[inline(always)]
    fn apply<S: Simd>(&self, row: &mut [f32]) {
        let mean_square = sum(row, |x| x * x) / row.len() as f32;
        let scale = 1.0 / (mean_square + self.eps).sqrt();
        for (x, weight) in row.iter_mut().zip(&self.weight) {
            *x *= scale * weight;
        }
    }
}

fn tensor<N: Norm>(norm: N, x: &Tensor) -> Result<Tensor> {
    let width = norm.width();
    match x.dims().last() {
        Some(last) if *last == width => map_rows(x, width, norm),
        last => bail!("a norm of {width} values, of rows of {last:?}"),
    }
}

fn inplace<N: Norm>(norm: &N, x: &mut Matrix) {
    assert_eq!(x.columns(), norm.width(), "one scale per column");
    dispatch(Inplace { norm, x });
}

fn copied<N: Norm>(norm: &N, x: &Matrix, out: &mut Matrix) {
    assert_eq!(x.columns(), norm.width(), "one scale per column");
    out.reshape(x.rows(), x.columns());
    dispatch(Copied { norm, x, out });
}

struct Inplace<'a, N> {
    norm: &'a N,
    x: &'a mut Matrix,
}

impl<N: Norm> Kernel for Inplace<'_, N> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for n in 0..self.x.rows() {
            self.norm.apply::<S>(self.x.row_mut(n));
        }
    }
}

struct Copied<'a, N> {
    norm: &'a N,
    x: &'a Matrix,
    out: &'a mut Matrix,
}

impl<N: Norm> Kernel for Copied<'_, N> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for n in 0..self.x.rows() {
            let row = self.out.row_mut(n);
            row.copy_from_slice(self.x.row(n));
            self.norm.apply::<S>(row);
        }
    }
}
