//! Affine maps that are not trained.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};

use super::fused;

/// `x Wᵀ + b` for x (N, I), a weight (O, I) and a bias (O) that are not trained, with the gradient of x alone.
///
/// The gradient of candle's own product is that of both factors, whether or not anything asks for it: a third of a
/// training step, and memory for gradients as large as the weights. Here the weight is not an argument of the operation, so
/// that none is made.
///
/// # Errors
/// Shapes, types, memory, device.
pub(super) fn map_frozen(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let in_place = bias.filter(|bias| fused::is_cpu_f32(x) && fused::is_supported(bias));
    let y = x.apply_op1(MapFrozen::new(weight, in_place)?)?;
    match bias {
        Some(bias) if in_place.is_none() => y.broadcast_add(bias),
        _ => Ok(y),
    }
}

pub(super) struct MapFrozen {
    weight: Tensor,       // (O, I)
    bias: Option<Tensor>, // (O), added on the CPU in f32
}

impl MapFrozen {
    /// A bias is for the CPU and for f32.
    pub(super) fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        Ok(Self { weight: weight.detach(), bias: bias.map(Tensor::contiguous).transpose()? })
    }

    /// The gradient of x, from that of the result.
    pub(super) fn gradient(&self, grad: &Tensor) -> Result<Tensor> {
        grad.contiguous()?.matmul(&self.weight)
    }

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

    fn add_bias(&self, product: &mut CpuStorage, outputs: usize) -> Result<()> {
        let (Some(bias), CpuStorage::F32(values)) = (&self.bias, product) else { return Ok(()) };
        if bias.elem_count() != outputs {
            bail!("{} biases of {outputs} outputs", bias.elem_count());
        }
        fused::with_values(bias, |bias| {
            for row in values.chunks_exact_mut(outputs) {
                row.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
            }
        })
    }
}

impl CustomOp1 for MapFrozen {
    fn name(&self) -> &'static str {
        "map-frozen"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        match &*self.weight.storage_and_layout().0 {
            Storage::Cpu(weight) => {
                let (mut product, shape) = self.product(x, layout, weight)?;
                self.add_bias(&mut product, shape.dims()[1])?;
                Ok((product, shape))
            }
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
        Ok(Some(self.gradient(grad)?))
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
        let bias = wave((1, 3), 2.0).squeeze(0).unwrap();
        let grad = |y: &Tensor| {
            let loss = (y * wave((5, 3), 1.3)).unwrap().sum_all().unwrap();
            loss.backward().unwrap().get(&x).unwrap().to_vec2::<f32>().unwrap()
        };
        let product = x.matmul(&weight.t().unwrap()).unwrap();
        for (bias, wanted) in [(None, product.clone()), (Some(&bias), product.broadcast_add(&bias).unwrap())] {
            let got = map_frozen(&x, &weight, bias).unwrap();
            assert_eq!(got.to_vec2::<f32>().unwrap(), wanted.to_vec2::<f32>().unwrap());
            assert_eq!(grad(&got), grad(&wanted));
            check_gradient(&x, |x| map_frozen(x, &weight, bias));
        }
        // A bias that is trained gets its gradient.
        let trained = Var::from_tensor(&bias).unwrap();
        let y = map_frozen(&x, &weight, Some(&trained)).unwrap();
        assert_eq!(y.sum_all().unwrap().backward().unwrap().get(&trained).unwrap().to_vec1::<f32>().unwrap(), [5.0; 3]);
    }

    /// candle makes one for its own product, even of a weight that is not tracked.
    #[test]
    fn no_gradient_of_the_weight_is_made() {
        let (x, weight) = (Var::from_tensor(&wave((5, 7), 0.1)).unwrap(), wave((3, 7), 0.5));
        let transposed = weight.t().unwrap();
        let grads = x.matmul(&transposed).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(grads.get_id(transposed.id()).is_some(), "else this operation has lost its use");
        let grads = map_frozen(&x, &weight, None).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&x).is_some());
        assert!(grads.get_ids().all(|id| *id != weight.id() && *id != transposed.id()));
        // The sum, the product and its input: nothing else has a gradient.
        assert!(grads.get_ids().count() <= 3, "{}", grads.get_ids().count());
    }

    #[test]
    fn other_shapes_and_types_are_refused() {
        let x = Var::from_tensor(&wave((5, 7), 0.1)).unwrap();
        assert!(map_frozen(&x, &wave((3, 6), 0.5), None).is_err());
        assert!(map_frozen(&x, &wave((3, 7), 0.5).to_dtype(DType::F64).unwrap(), None).is_err());
        assert!(map_frozen(&x, &wave((3, 7), 0.5), Some(&wave((1, 4), 0.0).squeeze(0).unwrap())).is_err());
    }
}
