//! Products with matrices that are not trained.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};

/// `x Wᵀ` for x (N, I) and a weight (O, I) that is not trained, with the gradient of x alone.
///
/// The gradient of candle's own product is that of both factors, whether or not anything asks for it: a third of a
/// training step, and memory for gradients as large as the weights. Here the weight is not an argument of the operation, so
/// that none is made.
///
/// # Errors
/// Shapes, types, memory, device.
pub(super) fn times_frozen(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.apply_op1(TimesFrozen { weight: weight.detach() })
}

struct TimesFrozen {
    weight: Tensor, // (O, I)
}

impl TimesFrozen {
    /// The product, by the backend that both factors lie on.
    fn product<S: BackendStorage>(&self, x: &S, layout: &Layout, weight: &S) -> Result<(S, Shape)> {
        let (rows, inputs) = layout.shape().dims2()?;
        let (outputs, expected) = self.weight.dims2()?;
        if inputs != expected {
            bail!("{inputs} inputs for a weight (O, I) of ({outputs}, {expected})");
        }
        let transposed = self.weight.layout().transpose(0, 1)?;
        let product = x.matmul(weight, (1, rows, outputs, inputs), layout, &transposed)?;
        Ok((product, Shape::from((rows, outputs))))
    }
}

impl CustomOp1 for TimesFrozen {
    fn name(&self) -> &'static str {
        "times-frozen"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        match &*self.weight.storage_and_layout().0 {
            Storage::Cpu(weight) => self.product(x, layout, weight),
            _ => bail!("the weight is on another device than its input"),
        }
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        match &*self.weight.storage_and_layout().0 {
            Storage::Cuda(weight) => self.product(x, layout, weight),
            _ => bail!("the weight is on another device than its input"),
        }
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.matmul(&self.weight)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::nn::finite_differences::check_gradient;
    use candle_core::{DType, Device, Var};

    fn wave(shape: (usize, usize), shift: f64) -> Tensor {
        let x = Tensor::arange(0f32, (shape.0 * shape.1) as f32, &Device::Cpu).unwrap();
        x.affine(0.7, shift).unwrap().sin().unwrap().reshape(shape).unwrap()
    }

    #[test]
    fn values_and_gradient_are_those_of_the_product() {
        let (x, weight) = (Var::from_tensor(&wave((5, 7), 0.1)).unwrap(), wave((3, 7), 0.5));
        let (got, wanted) = (times_frozen(&x, &weight).unwrap(), x.matmul(&weight.t().unwrap()).unwrap());
        assert_eq!(got.to_vec2::<f32>().unwrap(), wanted.to_vec2::<f32>().unwrap());
        let grad = |y: &Tensor| {
            let loss = (y * wave((5, 3), 1.3)).unwrap().sum_all().unwrap();
            loss.backward().unwrap().get(&x).unwrap().to_vec2::<f32>().unwrap()
        };
        assert_eq!(grad(&got), grad(&wanted));
        check_gradient(&x, |x| times_frozen(x, &weight));
    }

    /// candle makes one for its own product, even of a weight that is not tracked.
    #[test]
    fn no_gradient_of_the_weight_is_made() {
        let (x, weight) = (Var::from_tensor(&wave((5, 7), 0.1)).unwrap(), wave((3, 7), 0.5));
        let transposed = weight.t().unwrap();
        let grads = x.matmul(&transposed).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(grads.get_id(transposed.id()).is_some(), "else this operation has lost its use");
        let grads = times_frozen(&x, &weight).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&x).is_some());
        assert!(grads.get_ids().all(|id| *id != weight.id() && *id != transposed.id()));
        // The sum, the product and its input: nothing else has a gradient.
        assert!(grads.get_ids().count() <= 3, "{}", grads.get_ids().count());
    }

    #[test]
    fn other_shapes_and_types_are_refused() {
        let x = Var::from_tensor(&wave((5, 7), 0.1)).unwrap();
        assert!(times_frozen(&x, &wave((3, 6), 0.5)).is_err());
        assert!(times_frozen(&x, &wave((3, 7), 0.5).to_dtype(DType::F64).unwrap()).is_err());
    }
}
