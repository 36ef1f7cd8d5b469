//! Activations with gradients.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::super::math::{erf, exp};
use super::super::rows::contiguous;
use super::super::simd::{Kernel, Simd, dispatch};
use super::TASK_VALUES;

/// `silu(gates) · values`, of one shape.
///
/// # Errors
/// Other shapes; memory.
pub(in crate::nn) fn gate_silu(gates: &Tensor, values: &Tensor) -> Result<Tensor> {
    if gates.dims() != values.dims() {
        bail!("gates {:?} of values {:?}", gates.dims(), values.dims());
    }
    gates.contiguous()?.apply_op2(&values.contiguous()?, GateSilu)
}

/// GELU by the error function.
///
/// # Errors
/// Memory.
pub(in crate::nn) fn gelu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Gelu)
}

/// Work on the values of two operands, part by part.
fn map_two(a: &[f32], b: &[f32], work: impl Fn(&[f32], &[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0; a.len()];
    let parts = a.par_chunks(TASK_VALUES).zip(b.par_chunks(TASK_VALUES));
    out.par_chunks_mut(TASK_VALUES).zip(parts).for_each(|(out, (a, b))| work(a, b, out));
    out
}

struct GateSilu;

impl CustomOp2 for GateSilu {
    fn name(&self) -> &'static str {
        "gate-silu"
    }

    fn cpu_fwd(&self, g: &CpuStorage, g_l: &Layout, v: &CpuStorage, v_l: &Layout) -> Result<(CpuStorage, Shape)> {
        let (gates, values) = (contiguous(g, g_l)?, contiguous(v, v_l)?);
        let out = map_two(gates, values, |gates, values, out| dispatch(Gated { gates, values, out }));
        Ok((CpuStorage::F32(out), g_l.shape().clone()))
    }

    fn bwd(
        &self,
        gates: &Tensor,
        values: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let both = gates.apply_op3_no_bwd(values, &grad.contiguous()?, &GateGradients)?; // (2, …)
        Ok((Some(both.get(0)?), Some(both.get(1)?)))
    }
}

struct Gated<'a> {
    gates: &'a [f32],
    values: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Gated<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for ((out, gate), value) in self.out.iter_mut().zip(self.gates).zip(self.values) {
            *out = *gate / (1.0 + exp::<S>(-*gate)) * *value;
        }
    }
}

/// Gates, values and gradient of the result to the gradients of gates and of values, stacked.
pub(super) struct GateGradients;

impl CustomOp3 for GateGradients {
    fn name(&self) -> &'static str {
        "gate-silu-gradients"
    }

    fn cpu_fwd(
        &self,
        gates: &CpuStorage,
        gates_l: &Layout,
        values: &CpuStorage,
        values_l: &Layout,
        grad: &CpuStorage,
        grad_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gates, values, grad) =
            (contiguous(gates, gates_l)?, contiguous(values, values_l)?, contiguous(grad, grad_l)?);
        let mut out = vec![0.0; 2 * gates.len()];
        let (of_gates, of_values) = out.split_at_mut(gates.len());
        let given = gates.par_chunks(TASK_VALUES).zip(values.par_chunks(TASK_VALUES)).zip(grad.par_chunks(TASK_VALUES));
        let made = of_gates.par_chunks_mut(TASK_VALUES).zip(of_values.par_chunks_mut(TASK_VALUES));
        given.zip(made).for_each(|(((gates, values), grad), (of_gates, of_values))| {
            dispatch(GatedBackward { gates, values, grad, of_gates, of_values });
        });
        let shape: Vec<usize> = [2].into_iter().chain(gates_l.dims().iter().copied()).collect();
        Ok((CpuStorage::F32(out), Shape::from(shape)))
    }
}

struct GatedBackward<'a> {
    gates: &'a [f32],
    values: &'a [f32],
    grad: &'a [f32],
    of_gates: &'a mut [f32],
    of_values: &'a mut [f32],
}

impl Kernel for GatedBackward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let given = self.gates.iter().zip(self.values).zip(self.grad);
        for (((gate, value), grad), (of_gate, of_value)) in
            given.zip(self.of_gates.iter_mut().zip(self.of_values.iter_mut()))
        {
            let share = 1.0 / (1.0 + exp::<S>(-*gate));
            let silu = *gate * share;
            *of_gate = grad * value * (share + silu * (1.0 - share));
            *of_value = grad * silu;
        }
    }
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = contiguous(x, layout)?;
        let out = map_two(x, x, |x, _, out| dispatch(Bell { x, out }));
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(x.apply_op2_no_bwd(&grad.contiguous()?, &GeluGradient)?))
    }
}

struct Bell<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Bell<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (out, x) in self.out.iter_mut().zip(self.x) {
            *out = 0.5 * *x * (1.0 + erf::<S>(*x * std::f32::consts::FRAC_1_SQRT_2));
        }
    }
}

/// Input and gradient of the result to the gradient of the input.
struct GeluGradient;

impl CustomOp2 for GeluGradient {
    fn name(&self) -> &'static str {
        "gelu-gradient"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_l: &Layout, g: &CpuStorage, g_l: &Layout) -> Result<(CpuStorage, Shape)> {
        let out =
            map_two(contiguous(x, x_l)?, contiguous(g, g_l)?, |x, grad, out| dispatch(BellSlope { x, grad, out }));
        Ok((CpuStorage::F32(out), x_l.shape().clone()))
    }
}

struct BellSlope<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for BellSlope<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        // 1 / √(2π).
        const DENSITY: f32 = 0.398_942_3;
        for ((out, x), grad) in self.out.iter_mut().zip(self.x).zip(self.grad) {
            let below = 0.5 * (1.0 + erf::<S>(*x * std::f32::consts::FRAC_1_SQRT_2));
            *out = grad * (below + *x * DENSITY * exp::<S>(-0.5 * *x * *x));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::nn::finite_differences::check_smooth_gradient;
    use candle_core::Device;

    fn wave(n: usize, shift: f64) -> Tensor {
        let x = Tensor::arange(0f32, n as f32, &Device::Cpu).unwrap();
        (x.affine(0.7, shift).unwrap().sin().unwrap() * 3.0).unwrap()
    }

    #[test]
    fn gradients_are_what_values_say() {
        let (gates, values) = (wave(37, 0.3), wave(37, 1.9));
        check_smooth_gradient(&gates, |gates| gate_silu(gates, &values));
        check_smooth_gradient(&values, |values| gate_silu(&gates, values));
        check_smooth_gradient(&gates, gelu);
        assert!(gate_silu(&gates, &wave(36, 0.0)).is_err());
    }

    #[test]
    fn values_are_those_of_candle() {
        let (gates, values) = (wave(40_001, 0.3), wave(40_001, 1.9));
        let worst =
            |a: Tensor, b: Tensor| (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        let wanted = (gates.silu().unwrap() * &values).unwrap();
        assert!(worst(gate_silu(&gates, &values).unwrap(), wanted) < 2e-6);
        assert!(worst(gelu(&gates).unwrap(), gates.gelu_erf().unwrap()) < 2e-6);
    }
}
