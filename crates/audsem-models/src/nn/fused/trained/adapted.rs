//! An affine map that is not trained, with an adapter beside it that is.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{TASK_VALUES, add_to};
use crate::nn::frozen::MapFrozen;

/// Gradients of three arguments.
type OfThree = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

/// A (R, I), B (O, R) and the scale of an adapter.
pub(in crate::nn) type Factors<'a> = (&'a Tensor, &'a Tensor, f64);

/// `map(x) + scale · B A x` for x (N, I), A (R, I) and B (O, R). Beside x and the result nothing is kept for the backward
/// pass: `A x` is made once more.
///
/// # Errors
/// Shapes that do not fit, memory.
pub(in crate::nn) fn adapted(x: &Tensor, map: MapFrozen, (a, b, scale): Factors<'_>) -> Result<Tensor> {
    x.contiguous()?.apply_op3(&a.contiguous()?, &b.contiguous()?, Adapted { map, scale })
}

/// Gradients of A, B and, if it is wanted, x in [`adapted`], from that of the result.
///
/// # Errors
/// Shapes that do not fit, memory.
pub(in crate::nn) fn adapted_gradients(
    (x, is_x_wanted): (&Tensor, bool),
    map: &MapFrozen,
    (a, b, scale): Factors<'_>,
    grad: &Tensor,
) -> Result<(Option<Tensor>, [Tensor; 2])> {
    let (x, grad) = (x.contiguous()?, grad.contiguous()?);
    let of_narrow = (grad.matmul(b)? * scale)?; // (N, R)
    let narrow = (x.matmul(&a.t()?)? * scale)?; // (N, R)
    let of_x = || {
        let of_x = map.gradient(&grad)?;
        add_to(&of_x, &of_narrow.matmul(a)?)?;
        Ok::<_, candle_core::Error>(of_x)
    };
    Ok((is_x_wanted.then(of_x).transpose()?, [of_narrow.t()?.matmul(&x)?, grad.t()?.matmul(&narrow)?]))
}

struct Adapted {
    map: MapFrozen,
    scale: f64,
}

impl CustomOp3 for Adapted {
    fn name(&self) -> &'static str {
        "adapted-map"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_l: &Layout,
        a: &CpuStorage,
        a_l: &Layout,
        b: &CpuStorage,
        b_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((rows, inputs), (rank, a_inputs), (outputs, b_rank)) =
            (x_l.shape().dims2()?, a_l.shape().dims2()?, b_l.shape().dims2()?);
        let (mut out, shape) = self.map.cpu_fwd(x, x_l)?;
        if a_inputs != inputs || b_rank != rank || shape.dims() != [rows, outputs] {
            bail!("an adapter {:?}, {:?} beside a map of {inputs} to {shape:?}", a_l.dims(), b_l.dims());
        }
        let narrow = x.matmul(a, (1, rows, rank, inputs), x_l, &a_l.transpose(0, 1)?)?;
        let narrow_l = Layout::contiguous((rows, rank));
        let added = narrow.matmul(b, (1, rows, outputs, rank), &narrow_l, &b_l.transpose(0, 1)?)?;
        let (CpuStorage::F32(sums), CpuStorage::F32(added)) = (&mut out, &added) else {
            bail!("an adapted map of other numbers than f32");
        };
        let scale = self.scale as f32;
        let parts = sums.par_chunks_mut(TASK_VALUES).zip(added.par_chunks(TASK_VALUES));
        parts.for_each(|(sums, added)| sums.iter_mut().zip(added).for_each(|(sum, added)| *sum += added * scale));
        Ok((out, shape))
    }

    fn bwd(&self, x: &Tensor, a: &Tensor, b: &Tensor, _: &Tensor, grad: &Tensor) -> Result<OfThree> {
        let (of_x, [of_a, of_b]) = adapted_gradients((x, x.track_op()), &self.map, (a, b, self.scale), grad)?;
        Ok((of_x, Some(of_a), Some(of_b)))
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

    fn run(x: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let (outputs, inputs) = (b.dim(0)?, x.dim(1)?);
        let map = MapFrozen::new(&wave(&[outputs, inputs], 0.3), Some(&wave(&[outputs], 2.0)))?;
        adapted(x, map, (a, b, 1.7))
    }

    #[test]
    fn gradients_are_what_values_say() {
        let (x, a, b) = (wave(&[4, 5], 0.2), wave(&[2, 5], 1.1), wave(&[3, 2], 0.6));
        check_smooth_gradient(&x, |x| run(x, &a, &b));
        check_smooth_gradient(&a, |a| run(&x, a, &b));
        check_smooth_gradient(&b, |b| run(&x, &a, b));
    }

    /// Values bit for bit, since each sum is made in the same order.
    #[test]
    fn values_and_gradients_are_those_of_the_parts() {
        let var = |x: Tensor| Var::from_tensor(&x).unwrap();
        let (x, a, b) = (var(wave(&[130, 40], 0.2)), var(wave(&[8, 40], 1.1)), var(wave(&[70, 8], 0.6)));
        let got = run(&x, &a, &b).unwrap();
        let product = x.matmul(&wave(&[70, 40], 0.3).t().unwrap()).unwrap();
        let map = product.broadcast_add(&wave(&[70], 2.0)).unwrap();
        let beside = x.matmul(&a.t().unwrap()).unwrap().matmul(&b.t().unwrap()).unwrap();
        let wanted = (map + (beside * 1.7).unwrap()).unwrap();
        assert_eq!(got.to_vec2::<f32>().unwrap(), wanted.to_vec2::<f32>().unwrap());
        let grads = |y: &Tensor| (y * wave(&[130, 70], 0.9)).unwrap().sum_all().unwrap().backward().unwrap();
        let (got, wanted) = (grads(&got), grads(&wanted));
        for (name, var) in [("x", &x), ("A", &a), ("B", &b)] {
            let (got, wanted) = (got.get(var).unwrap(), wanted.get(var).unwrap());
            let largest = |x: &Tensor| x.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            let (worst, size) = (largest(&(got - wanted).unwrap()), largest(wanted));
            assert!(got.dims() == var.dims() && worst < 1e-5 * size, "{name}: {worst:e} of {size}");
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        let (x, a, b) = (wave(&[4, 5], 0.2), wave(&[2, 5], 1.1), wave(&[3, 2], 0.6));
        assert!(run(&x, &wave(&[2, 4], 1.1), &b).is_err());
        assert!(run(&x, &a, &wave(&[3, 1], 1.1)).is_err());
    }
}
