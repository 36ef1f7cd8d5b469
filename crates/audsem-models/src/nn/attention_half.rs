//! The attention half of a decoder layer in training.

use candle_core::{Result, Tensor};

use super::differentiated::{Differentiated, PartGradients};
use super::{Angles, Mode, MultiHeadAttention, RmsNorm, fused, join_heads, split_heads};

/// `x + attention(norm(x))` with rotary positions, causal, in a layer in which adapters beside the four projections are
/// trained and nothing else. For the backward pass queries, keys, values and what was mixed of them are kept; the norm is
/// made once more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionHalf<'a> {
    pub(super) norm: &'a RmsNorm,
    pub(super) attention: &'a MultiHeadAttention,
    pub(super) mode: Mode,
}

/// What the backward pass reads.
struct Kept {
    x: Tensor,          // (1, T, D)
    heads: [Tensor; 3], // queries (1, H, T, W), keys (1, K, T, W) and values (1, K, T, W)
    mixed: Tensor,      // (1, H, T, W)
    cu_seqlens: Vec<usize>,
}

impl<'a> AttentionHalf<'a> {
    /// Whether this is all that there is to the half.
    pub(super) fn is_supported(&self) -> bool {
        let MultiHeadAttention { query, key, value, output, .. } = self.attention;
        let maps = [query, key, value, output];
        fused::is_supported(self.norm.weight())
            && !self.attention.drops(self.mode)
            && maps.into_iter().all(|map| map.is_differentiated(self.mode))
    }

    /// Packed sequences (1, T, D), of which none sees the others.
    ///
    /// # Errors
    /// Shapes that do not fit, memory.
    pub(crate) fn forward(self, x: &Tensor, angles: &'a Angles, cu_seqlens: &[usize]) -> Result<Differentiated<'a>> {
        let MultiHeadAttention { query, key, value, output, heads, kv_heads, .. } = self.attention;
        let x = x.detach();
        let normed = self.normed(&x)?;
        let project = |map: &super::Linear, heads| split_heads(&map.forward_in(&normed, self.mode)?.detach(), heads);
        let q = angles.forward(&project(query, *heads)?)?;
        let k = angles.forward(&project(key, *kv_heads)?)?;
        let v = project(value, *kv_heads)?;
        let blocks = fused::BlockAttention { cu_seqlens: cu_seqlens.to_vec(), is_causal: true };
        let mixed = blocks.forward(&q, &k, &v)?;
        let sum = output.forward_in(&join_heads(&mixed)?, self.mode)?.detach();
        fused::add_to(&sum, &x)?;
        let kept = Kept { x, heads: [q, k, v], mixed, cu_seqlens: cu_seqlens.to_vec() };
        let back = Box::new(move |grad: &Tensor, is_wanted: bool| self.back(kept, angles, (grad, is_wanted)));
        Ok(Differentiated { output: sum, back })
    }

    /// By the kernel that the gradient of the norm belongs to.
    fn normed(&self, x: &Tensor) -> Result<Tensor> {
        fused::rms_norm(x, self.norm.weight(), self.norm.eps())
    }

    fn back(self, kept: Kept, angles: &Angles, (grad, is_wanted): (&Tensor, bool)) -> Result<PartGradients> {
        let MultiHeadAttention { query, key, value, output, .. } = self.attention;
        let Kept { x, heads: [q, k, v], mixed, cu_seqlens } = kept;
        let mut of_trained = Vec::new();
        let rows = |x: &Tensor| x.reshape(((), x.dim(2)?));
        let of_mixed = output.back((&rows(&join_heads(&mixed)?)?, true), &rows(grad)?, self.mode, &mut of_trained)?;
        let Some(of_mixed) = of_mixed else { return Ok(PartGradients { of_input: None, of_trained }) };
        let (_, heads, t, width) = mixed.dims4()?;
        let of_mixed = of_mixed.reshape((1, t, heads, width))?.transpose(1, 2)?;
        let blocks = fused::BlockAttention { cu_seqlens, is_causal: true };
        let [of_q, of_k, of_v] = blocks.back([&q, &k, &v], &mixed, &of_mixed)?;
        drop((q, k, v, mixed));

        let normed = rows(&self.normed(&x)?)?;
        let mut of_normed: Option<Tensor> = None;
        let projected = [(query, angles.back(&of_q)?), (key, angles.back(&of_k)?), (value, of_v)];
        for (map, grad) in projected {
            let grad = rows(&join_heads(&grad)?)?;
            let term = map.back((&normed, is_wanted), &grad, self.mode, &mut of_trained)?;
            match (&of_normed, term) {
                (Some(sum), Some(term)) => fused::add_to(sum, &term)?,
                (None, term) => of_normed = term,
                (Some(_), None) => {}
            }
        }
        let of_input = of_normed.map(|of_normed| -> Result<Tensor> {
            let (scale, eps) = (self.norm.weight(), self.norm.eps());
            let of_input = fused::rms_norm_gradient(&x, scale, eps, &of_normed.reshape(x.shape())?)?;
            fused::add_to(&of_input, grad)?;
            Ok(of_input)
        });
        Ok(PartGradients { of_input: of_input.transpose()?, of_trained })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashMap;

    use super::*;
    use crate::nn::lora::LoraConfig;
    use crate::nn::{AttentionContext, MultiHeadConfig, Params, ProjectionBias, Rotary, Trainable};
    use audsem_core::weights::Weights;
    use candle_core::{DType, Device, Var};

    const DIM: usize = 24;

    fn wave(shape: &[usize], shift: f64) -> Tensor {
        let n = shape.iter().product::<usize>() as f32;
        let x = Tensor::arange(0f32, n, &Device::Cpu).unwrap();
        x.affine(0.7, shift).unwrap().sin().unwrap().reshape(shape).unwrap()
    }

    /// A layer of 4 heads, which share 2 of keys and values, 6 wide, with adapters beside the projections of `targets`.
    fn layer(targets: &[&str], dropout: f64) -> (Params, RmsNorm, MultiHeadAttention) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let mut tensors = HashMap::from([("norm.weight".to_owned(), wave(&[DIM], 1.3))]);
        for (n, (name, outputs)) in [("q_proj", 24), ("k_proj", 12), ("v_proj", 12), ("o_proj", 24)].iter().enumerate()
        {
            tensors.insert(format!("{name}.weight"), (wave(&[*outputs, 24], 0.3 + n as f64) * 0.4).unwrap());
            tensors.insert(format!("{name}.bias"), wave(&[*outputs], 2.0 + n as f64));
        }
        candle_core::safetensors::save(&tensors, &path).unwrap();
        let weights = Weights::open_files(&[path], &Device::Cpu, DType::F32).unwrap();
        let adapters =
            LoraConfig { r: 3, target_modules: targets.into(), lora_dropout: dropout, ..LoraConfig::default() };
        let params = Params::over(5, &weights, Trainable::Adapters, Some(adapters));
        let vb = params.var_builder(DType::F32, &Device::Cpu);
        let config = MultiHeadConfig {
            dim: DIM,
            source_dim: DIM,
            heads: 4,
            kv_heads: 2,
            head_dim: 6,
            bias: ProjectionBias { output: true, ..ProjectionBias::QWEN2 },
            output_name: "o_proj",
            dropout: 0.0,
            initializer_range: 0.02,
        };
        let attention = MultiHeadAttention::load(&vb, &config).unwrap();
        for (n, (_, var)) in params.vars().iter().enumerate() {
            var.set(&(wave(var.dims(), 0.1 + n as f64) * 0.3).unwrap()).unwrap();
        }
        (params, RmsNorm::load(&vb.pp("norm"), DIM, 1e-3).unwrap(), attention)
    }

    /// Against one graph of the parts, each of which is checked against differences of values.
    #[test]
    fn gradients_are_those_of_a_graph() {
        let cu_seqlens = [0, 40, 43, 130];
        let positions = Tensor::arange(0u32, 130, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let angles = Rotary::new(6, 1e4).unwrap().angles(&positions).unwrap();
        let (states, grad) = (wave(&[1, 130, DIM], 0.2), wave(&[1, 130, DIM], 0.9));
        let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for targets in [&["q_proj", "v_proj"][..], &["q_proj", "k_proj", "v_proj", "o_proj"], &["o_proj"]] {
            let (params, norm, attention) = layer(targets, 0.0);
            let x = Var::from_tensor(&states).unwrap();
            let context = AttentionContext {
                angles: Some(&angles),
                cu_seqlens: Some(&cu_seqlens),
                is_causal: true,
                ..AttentionContext::full(Mode::Evaluate)
            };
            let wanted = attention.forward(&norm.forward(&x).unwrap(), &context, None).unwrap();
            let wanted = (x.as_tensor() + wanted).unwrap();
            let half = AttentionHalf { norm: &norm, attention: &attention, mode: Mode::Evaluate };
            assert!(half.is_supported());
            let wanted_grads = (&wanted * &grad).unwrap().sum_all().unwrap().backward().unwrap();
            for is_wanted in [true, false] {
                let Differentiated { output, back } = half.forward(&states, &angles, &cu_seqlens).unwrap();
                assert_eq!(values(&output), values(&wanted));
                assert!(!output.track_op());
                let PartGradients { of_input, of_trained } = back(&grad, is_wanted).unwrap();
                assert_eq!(of_input.is_some(), is_wanted);
                let is_near = |got: &Tensor, wanted: &Tensor| {
                    let size = wanted.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                    values(got).iter().zip(values(wanted)).all(|(a, b)| (a - b).abs() < 1e-5 * size)
                };
                assert!(of_input.is_none_or(|of_input| is_near(&of_input, wanted_grads.get(&x).unwrap())));
                assert_eq!(of_trained.len(), 2 * targets.len());
                for (name, var) in params.vars() {
                    let got = &of_trained.iter().find(|(id, _)| *id == var.id()).unwrap().1;
                    assert!(got.dims() == var.dims() && is_near(got, wanted_grads.get(&var).unwrap()), "{name}");
                }
            }
        }
    }

    #[test]
    fn other_layers_are_left_to_the_graph() {
        let (_params, norm, attention) = layer(&["q_proj"], 0.1);
        let half = |mode| AttentionHalf { norm: &norm, attention: &attention, mode };
        assert!(!half(Mode::Train { seed: 1, step: 0 }).is_supported(), "adapters that drop some of their input");
        assert!(half(Mode::Evaluate).is_supported());
        let trained = RmsNorm::from_weight(Var::from_tensor(norm.weight()).unwrap().as_tensor().clone(), 1e-3);
        let (_params, _, attention) = layer(&["q_proj"], 0.0);
        assert!(!AttentionHalf { norm: &trained, attention: &attention, mode: Mode::Evaluate }.is_supported());
    }
}
