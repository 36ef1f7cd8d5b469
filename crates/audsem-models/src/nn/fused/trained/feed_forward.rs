//! The feed-forward half of a decoder layer in which nothing is trained.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::super::rows::contiguous;
use super::TASK_VALUES;
use super::gate::{GateGradients, gate_silu};
use super::norm::{InputGradient, Norm, rms_norm};
use crate::nn::frozen::{MapFrozen, map_frozen};

/// `x + down(silu(gate n) · up n)` of rows x (…, D) that are normalised to n. For the backward pass the results of gate and
/// up are kept and nothing else: without gradients of the weights it needs neither n nor the product.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct FrozenFeedForward<'a> {
    /// Scale (D) and epsilon of the norm.
    pub(in crate::nn) norm: (&'a Tensor, f64),
    /// Weight (F, D).
    pub(in crate::nn) gate: &'a Tensor,
    /// Weight (F, D).
    pub(in crate::nn) up: &'a Tensor,
    /// Weight (D, F).
    pub(in crate::nn) down: &'a Tensor,
}

impl FrozenFeedForward<'_> {
    /// (…, D) to (…, D).
    ///
    /// # Errors
    /// Shapes that do not fit, memory.
    pub(in crate::nn) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (x, (scale, eps)) = (x.contiguous()?, self.norm);
        let normed = rms_norm(&x.detach().reshape(((), scale.elem_count()))?, scale, eps)?;
        let weights = [self.gate, self.up, self.down].map(Tensor::detach);
        let map = |weight| map_frozen(&normed, weight, None);
        let half = Half { scale: scale.detach(), eps, gates: map(self.gate)?, values: map(self.up)?, weights };
        x.apply_op1(half)
    }
}

struct Half {
    scale: Tensor, // (D)
    eps: f64,
    gates: Tensor,  // (N, F)
    values: Tensor, // (N, F)
    /// Of gate, up and down.
    weights: [Tensor; 3],
}

impl CustomOp1 for Half {
    fn name(&self) -> &'static str {
        "frozen-feed-forward"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, product) = (contiguous(x, layout)?, gate_silu(&self.gates, &self.values)?);
        let (storage, product_l) = product.storage_and_layout();
        let (mut out, _) = match &*storage {
            Storage::Cpu(product) => MapFrozen::new(&self.weights[2], None)?.cpu_fwd(product, product_l)?,
            _ => bail!("a fused layer reads main memory"),
        };
        match &mut out {
            CpuStorage::F32(out) if out.len() == x.len() => {
                let parts = out.par_chunks_mut(TASK_VALUES).zip(x.par_chunks(TASK_VALUES));
                parts.for_each(|(out, x)| out.iter_mut().zip(x).for_each(|(out, x)| *out += x));
            }
            _ => bail!("feed-forward weights {:?} of states {:?}", self.weights[2].dims(), layout.dims()),
        }
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [gate, up, down] = &self.weights;
        let grad = grad.contiguous()?;
        let of_product = grad.reshape(((), down.dim(0)?))?.matmul(down)?;
        let both = self.gates.apply_op3_no_bwd(&self.values, &of_product, &GateGradients)?; // (2, N, F)
        let of_normed = (both.get(0)?.matmul(gate)? + both.get(1)?.matmul(up)?)?;
        let norm = InputGradient(Norm::of_mean_square(self.eps));
        Ok(Some((x.apply_op3_no_bwd(&self.scale, &of_normed, &norm)? + grad)?))
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

    /// Scale, gate, up and down for states of width `d`.
    fn weights(d: usize, f: usize) -> [Tensor; 4] {
        [wave(&[d], 1.1), wave(&[f, d], 0.4), wave(&[f, d], 2.0), wave(&[d, f], 0.9)]
    }

    fn fused<'a>([scale, gate, up, down]: &'a [Tensor; 4]) -> FrozenFeedForward<'a> {
        FrozenFeedForward { norm: (scale, 1e-3), gate, up, down }
    }

    #[test]
    fn gradients_are_what_values_say() {
        let weights = weights(5, 7);
        check_smooth_gradient(&wave(&[2, 3, 5], 0.2), |x| fused(&weights).forward(x));
    }

    /// Bit for bit: each sum is made in the same order.
    #[test]
    fn values_and_gradients_are_those_of_the_parts() {
        let weights = weights(48, 200);
        let [scale, gate, up, down] = &weights;
        let x = Var::from_tensor(&wave(&[1, 130, 48], 0.2)).unwrap();
        let normed = rms_norm(&x.reshape((130, 48)).unwrap(), scale, 1e-3).unwrap();
        let map = |x: &Tensor, weight| map_frozen(x, weight, None).unwrap();
        let product = gate_silu(&map(&normed, gate), &map(&normed, up)).unwrap();
        let wanted = (x.as_tensor() + map(&product, down).reshape((1, 130, 48)).unwrap()).unwrap();
        let got = fused(&weights).forward(&x).unwrap();
        let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&got), values(&wanted));
        let grad = |y: &Tensor| {
            let loss = (y * wave(&[1, 130, 48], 0.6)).unwrap().sum_all().unwrap();
            values(loss.backward().unwrap().get(&x).unwrap())
        };
        assert_eq!(grad(&got), grad(&wanted));
    }

    #[test]
    fn other_shapes_are_refused() {
        let weights = weights(5, 7);
        assert!(fused(&weights).forward(&Var::from_tensor(&wave(&[2, 4], 0.0)).unwrap()).is_err());
        let narrow = FrozenFeedForward { down: &wave(&[4, 7], 0.0), ..fused(&weights) };
        assert!(narrow.forward(&Var::from_tensor(&wave(&[2, 5], 0.0)).unwrap()).is_err());
    }
}
