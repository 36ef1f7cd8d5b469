//! Normalisation with gradients.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::super::math::sum;
use super::super::rows::contiguous;
use super::super::simd::{Kernel, Simd, dispatch};
use super::task_rows;

/// Rows (…, D) divided by the roots of their mean squares, times a scale (D).
///
/// # Errors
/// Another width; memory.
pub(in crate::nn) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    check_width(x, weight)?;
    x.contiguous()?.apply_op2(weight, Norm::of_mean_square(eps))
}

/// The gradient of `x` (…, D) in [`rms_norm`], from that of the result.
///
/// # Errors
/// Shapes that do not fit, memory.
pub(in crate::nn) fn rms_norm_gradient(x: &Tensor, weight: &Tensor, eps: f64, grad: &Tensor) -> Result<Tensor> {
    check_width(x, weight)?;
    x.contiguous()?.apply_op3_no_bwd(weight, &grad.contiguous()?, &InputGradient(Norm::of_mean_square(eps)))
}

/// Rows (…, D) with mean 0 and variance 1, times a scale (D), plus a shift (D).
///
/// # Errors
/// Another width; memory.
pub(in crate::nn) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    check_width(x, weight)?;
    check_width(x, bias)?;
    x.contiguous()?.apply_op3(weight, bias, Norm { eps: eps as f32, is_centred: true })
}

fn check_width(x: &Tensor, weight: &Tensor) -> Result<()> {
    match x.dims().last() {
        Some(last) if weight.dims() == [*last] && *last > 0 => Ok(()),
        _ => bail!("a norm of {:?} values, of {:?}", weight.dims(), x.dims()),
    }
}

#[derive(Clone, Copy)]
struct Norm {
    eps: f32,
    /// Whether the mean is taken off.
    is_centred: bool,
}

impl Norm {
    /// The norm of [`rms_norm`].
    fn of_mean_square(eps: f64) -> Self {
        Self { eps: eps as f32, is_centred: false }
    }

    /// Mean and scale of a row: its normalised values are `(x - mean) · scale`.
    #[inline(always)]
    fn statistics(self, row: &[f32]) -> (f32, f32) {
        let n = row.len() as f32;
        let mean = if self.is_centred { sum(row, |x| x) / n } else { 0.0 };
        let variance = sum(row, |x| (x - mean) * (x - mean)) / n;
        (mean, 1.0 / (variance + self.eps).sqrt())
    }

    fn forward(self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> CpuStorage {
        let mut out = vec![0.0; x.len()];
        let per_task = task_rows(weight.len()) * weight.len();
        let work = |(out, x)| dispatch(Forward { norm: self, x, weight, bias, out });
        out.par_chunks_mut(per_task).zip(x.par_chunks(per_task)).for_each(work);
        CpuStorage::F32(out)
    }

    /// Gradients of input and scale.
    fn gradients(self, x: &Tensor, weight: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let of_x = x.track_op().then(|| x.apply_op3_no_bwd(weight, &grad, &InputGradient(self))).transpose()?;
        let of_weight = weight.track_op().then(|| x.apply_op2_no_bwd(&grad, &ScaleGradient(self, weight.elem_count())));
        Ok((of_x, of_weight.transpose()?))
    }
}

impl CustomOp2 for Norm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_l: &Layout, w: &CpuStorage, w_l: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((self.forward(contiguous(x, x_l)?, contiguous(w, w_l)?, None), x_l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(x, weight, grad)
    }
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_l: &Layout,
        weight: &CpuStorage,
        weight_l: &Layout,
        bias: &CpuStorage,
        bias_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (contiguous(x, x_l)?, contiguous(weight, weight_l)?, contiguous(bias, bias_l)?);
        Ok((self.forward(x, weight, Some(bias)), x_l.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (of_x, of_weight) = self.gradients(x, weight, grad)?;
        let of_bias = bias.track_op().then(|| grad.reshape(((), bias.elem_count()))?.sum(0));
        Ok((of_x, of_weight, of_bias.transpose()?))
    }
}

struct Forward<'a> {
    norm: Norm,
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let width = self.weight.len();
        for (out, x) in self.out.chunks_exact_mut(width).zip(self.x.chunks_exact(width)) {
            let (mean, scale) = self.norm.statistics(x);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(self.weight) {
                *out = (*x - mean) * scale * *weight;
            }
            for (out, bias) in out.iter_mut().zip(self.bias.unwrap_or_default()) {
                *out += bias;
            }
        }
    }
}

/// Input, scale and gradient of the result to the gradient of the input.
struct InputGradient(Norm);

impl CustomOp3 for InputGradient {
    fn name(&self) -> &'static str {
        "norm-input-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_l: &Layout,
        weight: &CpuStorage,
        weight_l: &Layout,
        grad: &CpuStorage,
        grad_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, grad) = (contiguous(x, x_l)?, contiguous(weight, weight_l)?, contiguous(grad, grad_l)?);
        let per_task = task_rows(weight.len()) * weight.len();
        let mut out = vec![0.0; x.len()];
        let work = |((out, x), grad)| dispatch(Backward { norm: self.0, x, weight, grad, out });
        out.par_chunks_mut(per_task).zip(x.par_chunks(per_task)).zip(grad.par_chunks(per_task)).for_each(work);
        Ok((CpuStorage::F32(out), x_l.shape().clone()))
    }
}

struct Backward<'a> {
    norm: Norm,
    x: &'a [f32],
    weight: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    /// With `x̂` the normalised values and `a` the gradient times the scale, both of a row:
    /// `scale · (a - mean(a) - x̂ mean(a x̂))`, without `mean(a)` where no mean is taken off.
    #[inline(always)]
    fn run<S: Simd>(self) {
        let width = self.weight.len();
        let n = width as f32;
        let rows = self.x.chunks_exact(width).zip(self.grad.chunks_exact(width));
        for (out, (x, grad)) in self.out.chunks_exact_mut(width).zip(rows) {
            let (mean, scale) = self.norm.statistics(x);
            for ((out, grad), weight) in out.iter_mut().zip(grad).zip(self.weight) {
                *out = grad * weight;
            }
            let shift = if self.norm.is_centred { sum(out, |a| a) / n } else { 0.0 };
            let along = product_sum::<S>(out, x, mean) * scale / n;
            for (out, x) in out.iter_mut().zip(x) {
                *out = scale * (*out - shift - (x - mean) * scale * along);
            }
        }
    }
}

/// `Σ a (x - mean)`.
#[inline(always)]
fn product_sum<S: Simd>(a: &[f32], x: &[f32], mean: f32) -> f32 {
    let mut lanes = [0f32; 16];
    let ((a, a_rest), (x, x_rest)) = (a.as_chunks::<16>(), x.as_chunks::<16>());
    for (a, x) in a.iter().zip(x) {
        for ((lane, a), x) in lanes.iter_mut().zip(a).zip(x) {
            *lane = S::fma(*a, *x - mean, *lane);
        }
    }
    for ((lane, a), x) in lanes.iter_mut().zip(a_rest).zip(x_rest) {
        *lane = S::fma(*a, *x - mean, *lane);
    }
    lanes.iter().sum()
}

/// Input and gradient of the result to the gradient of the scale, of so many values.
struct ScaleGradient(Norm, usize);

impl CustomOp2 for ScaleGradient {
    fn name(&self) -> &'static str {
        "norm-scale-gradient"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_l: &Layout, g: &CpuStorage, g_l: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, grad, width) = (contiguous(x, x_l)?, contiguous(g, g_l)?, self.1);
        let per_task = task_rows(width) * width;
        let part = |(x, grad): (&[f32], &[f32])| {
            let mut sums = vec![0f32; width];
            for (x, grad) in x.chunks_exact(width).zip(grad.chunks_exact(width)) {
                let (mean, scale) = self.0.statistics(x);
                for ((sum, x), grad) in sums.iter_mut().zip(x).zip(grad) {
                    *sum += grad * (x - mean) * scale;
                }
            }
            sums
        };
        let parts: Vec<Vec<f32>> = x.par_chunks(per_task).zip(grad.par_chunks(per_task)).map(part).collect();
        let mut total = vec![0f32; width];
        parts.iter().for_each(|part| total.iter_mut().zip(part).for_each(|(total, part)| *total += part));
        Ok((CpuStorage::F32(total), Shape::from(width)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::nn::finite_differences::check_smooth_gradient;
    use candle_core::{Device, Var};

    fn wave(shape: &[usize], shift: f64) -> Tensor {
        let n = shape.iter().product::<usize>() as f32;
        let x = Tensor::arange(0f32, n, &Device::Cpu).unwrap();
        x.affine(0.7, shift).unwrap().sin().unwrap().reshape(shape).unwrap()
    }

    #[test]
    fn gradients_are_what_values_say() {
        for width in [3, 20, 33] {
            let (x, weight, bias) = (wave(&[2, 3, width], 0.2), wave(&[width], 1.1), wave(&[width], 2.0));
            check_smooth_gradient(&x, |x| rms_norm(x, &weight, 1e-3));
            check_smooth_gradient(&weight, |weight| rms_norm(&x, weight, 1e-3));
            check_smooth_gradient(&x, |x| layer_norm(x, &weight, &bias, 1e-3));
            check_smooth_gradient(&weight, |weight| layer_norm(&x, weight, &bias, 1e-3));
            check_smooth_gradient(&bias, |bias| layer_norm(&x, &weight, bias, 1e-3));
        }
    }

    #[test]
    fn what_is_frozen_gets_no_gradient_and_other_widths_are_refused() {
        let (x, weight) = (Var::from_tensor(&wave(&[4, 5], 0.2)).unwrap(), wave(&[5], 1.1));
        let grads = rms_norm(&x, &weight, 1e-6).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&x).is_some() && grads.get(&weight).is_none());
        assert!(rms_norm(&x, &wave(&[4], 0.0), 1e-6).is_err());
        assert!(layer_norm(&x, &weight, &wave(&[4], 0.0), 1e-6).is_err());
    }
}
