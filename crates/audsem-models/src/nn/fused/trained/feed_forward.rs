//! The feed-forward half of a decoder layer in which nothing is trained.

use candle_core::{Result, Tensor};

use super::gate::{GateGradients, gate_silu};
use super::norm::{rms_norm, rms_norm_gradient};
use super::sum::add_to;
use crate::nn::differentiated::{Differentiated, PartGradients};
use crate::nn::frozen::map_frozen;

/// `x + down(silu(gate n) · up n)` of rows x (…, D) that are normalised to n. For the backward pass the results of gate and
/// up are kept and nothing else: without gradients of the weights it needs neither n nor the product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrozenFeedForward<'a> {
    /// Scale (D) and epsilon of the norm.
    pub(in crate::nn) norm: (&'a Tensor, f64),
    /// Weight (F, D).
    pub(in crate::nn) gate: &'a Tensor,
    /// Weight (F, D).
    pub(in crate::nn) up: &'a Tensor,
    /// Weight (D, F).
    pub(in crate::nn) down: &'a Tensor,
}

impl<'a> FrozenFeedForward<'a> {
    /// (…, D) to (…, D).
    ///
    /// # Errors
    /// Shapes that do not fit, memory.
    pub(crate) fn forward(self, x: &Tensor) -> Result<Differentiated<'a>> {
        let (x, (scale, eps)) = (x.detach(), self.norm);
        let normed = rms_norm(&x.reshape(((), scale.elem_count()))?, scale, eps)?;
        let (gates, values) = (map_frozen(&normed, self.gate, None)?, map_frozen(&normed, self.up, None)?);
        let output = map_frozen(&gate_silu(&gates, &values)?, self.down, None)?.reshape(x.shape())?;
        add_to(&output, &x)?;
        let back = Box::new(move |grad: &Tensor, is_wanted: bool| {
            let of_input = is_wanted.then(|| self.back(&x, [&gates, &values], grad)).transpose()?;
            Ok(PartGradients { of_input, of_trained: Vec::new() })
        });
        Ok(Differentiated { output, back })
    }

    /// The gradient of x.
    fn back(self, x: &Tensor, [gates, values]: [&Tensor; 2], grad: &Tensor) -> Result<Tensor> {
        let rows = grad.contiguous()?.reshape(((), self.down.dim(0)?))?;
        let both = gates.apply_op3_no_bwd(values, &rows.matmul(self.down)?, &GateGradients)?; // (2, N, F)
        let of_normed = both.get(0)?.matmul(self.gate)?;
        add_to(&of_normed, &both.get(1)?.matmul(self.up)?)?;
        let (scale, eps) = self.norm;
        let of_x = rms_norm_gradient(x, scale, eps, &of_normed.reshape(x.shape())?)?;
        add_to(&of_x, grad)?;
        Ok(of_x)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
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

    fn half<'a>([scale, gate, up, down]: &'a [Tensor; 4]) -> FrozenFeedForward<'a> {
        FrozenFeedForward { norm: (scale, 1e-3), gate, up, down }
    }

    /// Bit for bit: each sum is made in the same order. The parts are checked against differences of values.
    #[test]
    fn values_and_gradients_are_those_of_the_parts() {
        let weights = weights(48, 200);
        let [scale, gate, up, down] = &weights;
        let x = Var::from_tensor(&wave(&[1, 130, 48], 0.2)).unwrap();
        let normed = rms_norm(&x.reshape((130, 48)).unwrap(), scale, 1e-3).unwrap();
        let map = |x: &Tensor, weight| map_frozen(x, weight, None).unwrap();
        let product = gate_silu(&map(&normed, gate), &map(&normed, up)).unwrap();
        let wanted = (x.as_tensor() + map(&product, down).reshape((1, 130, 48)).unwrap()).unwrap();
        let Differentiated { output, back } = half(&weights).forward(&x).unwrap();
        let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(!output.track_op());
        assert_eq!(values(&output), values(&wanted));
        let grad = wave(&[1, 130, 48], 0.6);
        let loss = (wanted * &grad).unwrap().sum_all().unwrap();
        let PartGradients { of_input, of_trained } = back(&grad, true).unwrap();
        assert_eq!(values(&of_input.unwrap()), values(loss.backward().unwrap().get(&x).unwrap()));
        assert!(of_trained.is_empty());
    }

    #[test]
    fn other_shapes_are_refused() {
        let weights = weights(5, 7);
        assert!(half(&weights).forward(&wave(&[2, 4], 0.0)).is_err());
        let narrow = FrozenFeedForward { down: &wave(&[4, 7], 0.0), ..half(&weights) };
        assert!(narrow.forward(&wave(&[2, 5], 0.0)).is_err());
    }
}
