//! Affine maps: trained, frozen, and with an adapter beside them.

use std::sync::{Arc, OnceLock};

use candle_core::{Result, Tensor, TensorId, bail};
use candle_nn::{Init, VarBuilder};

use super::frozen::{MapFrozen, map_frozen};
use super::lora::Lora;
use super::{Activation, Mode, fused};

/// `x Wᵀ + b` with a weight of shape (out, in), as checkpoints store it.
///
/// A weight that is not trained gets no gradient, and none is computed. A layer that the builder has an adapter for gives
/// `x Wᵀ + b + scale · B A dropout(x)`, whether its weight is trained or not.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,       // (O, I)
    bias: Option<Tensor>, // (O)
    adapter: Option<Lora>,
    /// The weight as it was before an adapter was merged into it.
    unmerged: Option<Tensor>, // (O, I)
    /// Weight and bias once more, in the order in which the CPU reads them: made by the first inference.
    fused: Arc<OnceLock<fused::Linear>>,
}

impl Linear {
    /// Loads `weight` and `bias`; new ones are normal with deviation `stdev`, and zero.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, inputs: usize, outputs: usize, stdev: f64) -> Result<Self> {
        Self::load_with(vb, inputs, outputs, true, stdev)
    }

    /// Loads `weight` alone.
    ///
    /// # Errors
    /// The tensor is missing or of another shape.
    pub fn load_no_bias(vb: &VarBuilder<'_>, inputs: usize, outputs: usize, stdev: f64) -> Result<Self> {
        Self::load_with(vb, inputs, outputs, false, stdev)
    }

    /// Loads `weight`, and `bias` if there is to be one.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load_with(vb: &VarBuilder<'_>, inputs: usize, outputs: usize, bias: bool, stdev: f64) -> Result<Self> {
        let weight = vb.get_with_hints((outputs, inputs), "weight", Init::Randn { mean: 0.0, stdev })?;
        let bias = bias.then(|| vb.get_with_hints(outputs, "bias", Init::Const(0.0))).transpose()?;
        Ok(Self { adapter: Lora::load(vb, inputs, outputs)?, ..Self::from_tensors(weight, bias) })
    }

    /// Takes a weight (O, I) and a bias (O).
    #[must_use]
    pub fn from_tensors(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias, adapter: None, unmerged: None, fused: Arc::default() }
    }

    /// The weight (O, I).
    #[must_use]
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias (O).
    #[must_use]
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// The adapter.
    #[must_use]
    pub fn adapter(&self) -> Option<&Lora> {
        self.adapter.as_ref()
    }

    /// Whether `x Wᵀ + b` is all that this layer computes: there is no adapter, or it is merged.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.adapter.is_none() || self.unmerged.is_some()
    }

    /// Adds the adapter to the weight, in f32, so that it costs nothing; does nothing without an adapter, or twice.
    ///
    /// # Errors
    /// Memory or device.
    pub fn merge(&mut self) -> Result<()> {
        if let (Some(adapter), None) = (&self.adapter, &self.unmerged) {
            let merged = adapter.merge_into(&self.weight)?;
            self.unmerged = Some(std::mem::replace(&mut self.weight, merged));
            self.fused = Arc::default();
        }
        Ok(())
    }

    /// Takes the adapter out again: the weight is what it was before, bit for bit.
    pub fn unmerge(&mut self) {
        if let Some(weight) = self.unmerged.take() {
            self.weight = weight;
            self.fused = Arc::default();
        }
    }

    /// (…, I) to (…, O), for networks that do not tell training from inference.
    ///
    /// # Errors
    /// The last dimension is not I, or there is an adapter with dropout: see [`Linear::forward_in`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.adapter.as_ref().is_some_and(|adapter| adapter.dropout().p() > 0.0) {
            bail!("an adapter with dropout in a network that does not tell training from inference");
        }
        self.forward_in(x, Mode::Infer)
    }

    /// (…, I) to (…, O).
    ///
    /// # Errors
    /// The last dimension is not I.
    pub fn forward_in(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        if let Some(fused) = self.fused(x, mode)? {
            return fused.forward_tensor(x);
        }
        let (outputs, inputs) = self.weight.dims2()?;
        // One large product instead of a batch of small ones.
        let rows = x.reshape((x.elem_count() / inputs.max(1), inputs))?;
        let y = match self.own_adapter() {
            Some(adapter) => self.map_adapted(&rows, adapter, mode)?,
            None => self.map(&rows)?,
        };
        let mut shape = x.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = outputs;
        }
        y.reshape(shape)
    }

    /// [`Linear::forward_in`] with an activation behind it.
    ///
    /// # Errors
    /// The last dimension is not I.
    pub fn forward_activated(&self, x: &Tensor, activation: Activation, mode: Mode) -> Result<Tensor> {
        match self.fused(x, mode)? {
            Some(fused) => fused.forward_activated(x, activation),
            None => activation.forward(&self.forward_in(x, mode)?),
        }
    }

    /// `residual + down(act(self(x)))`, for inference.
    ///
    /// # Errors
    /// Shapes that do not fit, memory, device.
    pub fn feed_forward(
        &self,
        x: &Tensor,
        (activation, down): (Activation, &Self),
        residual: &Tensor,
    ) -> Result<Tensor> {
        if let (Some(up), Some(down)) = (self.fused(x, Mode::Infer)?, down.fused(x, Mode::Infer)?)
            && fused::is_supported(residual)
        {
            return fused::FeedForward { up, activation, down }.forward(x, residual);
        }
        residual + down.forward_in(&self.forward_activated(x, activation, Mode::Infer)?, Mode::Infer)?
    }

    /// The fused form, where it can take `x`. It holds the weight once more: in training memory is short.
    fn fused(&self, x: &Tensor, mode: Mode) -> Result<Option<&fused::Linear>> {
        let is_tracked = self.bias.as_ref().is_some_and(Tensor::track_op);
        let is_fused = mode == Mode::Infer && self.is_plain() && !is_tracked;
        if !is_fused || !fused::is_supported(x) || !fused::is_supported(&self.weight) {
            return Ok(None);
        }
        if self.fused.get().is_none() {
            // Another thread may be first; both make the same.
            drop(self.fused.set(fused::Linear::new(self)?));
        }
        Ok(self.fused.get())
    }

    /// Weight, bias and adapter.
    fn map_adapted(&self, rows: &Tensor, adapter: &Lora, mode: Mode) -> Result<Tensor> {
        let is_frozen = fused::is_supported(&self.weight) && self.bias.iter().all(fused::is_supported);
        match adapter.factors(mode).filter(|_| is_frozen && fused::is_cpu_f32(rows)) {
            Some(factors) => fused::adapted(rows, MapFrozen::new(&self.weight, self.bias.as_ref())?, factors),
            None => self.map(rows)? + adapter.forward(rows, mode)?,
        }
    }

    /// Whether [`Linear::back`] is the backward pass of this layer: on the CPU in f32, where an adapter that drops nothing is
    /// trained, or nothing is.
    pub(super) fn is_differentiated(&self, mode: Mode) -> bool {
        let is_frozen = fused::is_supported(&self.weight) && self.bias.iter().all(fused::is_supported);
        is_frozen && self.own_adapter().is_none_or(|adapter| adapter.factors(mode).is_some())
    }

    /// Gradients for rows x (N, I), from that of the result (N, O): of x, if it is wanted, and in `of_trained` of the adapter.
    ///
    /// # Errors
    /// The layer has another backward pass; shapes, memory.
    pub(super) fn back(
        &self,
        (x, is_x_wanted): (&Tensor, bool),
        grad: &Tensor,
        mode: Mode,
        of_trained: &mut Vec<(TensorId, Tensor)>,
    ) -> Result<Option<Tensor>> {
        if !self.is_differentiated(mode) {
            bail!("a layer whose gradients are found in a graph");
        }
        let map = MapFrozen::new(&self.weight, None)?;
        match self.own_adapter().and_then(|adapter| adapter.factors(mode)) {
            Some((a, b, scale)) => {
                let (of_x, of_factors) = fused::adapted_gradients((x, is_x_wanted), &map, (a, b, scale), grad)?;
                let trained = [a, b].into_iter().zip(of_factors).filter(|(factor, _)| factor.track_op());
                of_trained.extend(trained.map(|(factor, gradient)| (factor.id(), gradient)));
                Ok(of_x)
            }
            None => is_x_wanted.then(|| map.gradient(grad)).transpose(),
        }
    }

    /// The adapter, unless it is merged.
    fn own_adapter(&self) -> Option<&Lora> {
        self.adapter.as_ref().filter(|_| !self.is_plain())
    }

    /// Weight and bias, without the adapter.
    fn map(&self, rows: &Tensor) -> Result<Tensor> {
        if !self.weight.track_op() && (rows.track_op() || rows.device().is_cpu()) {
            return map_frozen(rows, &self.weight, self.bias.as_ref());
        }
        let y = rows.matmul(&self.weight.t()?)?;
        self.bias.as_ref().map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::{Device, Var};

    fn wave(shape: &[usize], shift: f64) -> Tensor {
        let n = shape.iter().product::<usize>() as f32;
        Tensor::arange(0f32, n, &Device::Cpu)
            .unwrap()
            .affine(0.7, shift)
            .unwrap()
            .sin()
            .unwrap()
            .reshape(shape)
            .unwrap()
    }

    /// Against the maps one after the other, bit for bit where the sum is the same.
    #[test]
    fn a_feed_forward_part_is_its_maps() {
        let up = Linear::from_tensors(wave(&[70, 33], 0.2), Some(wave(&[70], 1.0)));
        let down = Linear::from_tensors(wave(&[20, 70], 0.9), Some(wave(&[20], 3.0)));
        for rows in [5, 256, 257, 700] {
            let (x, residual) = (wave(&[1, rows, 33], 0.6), wave(&[1, rows, 20], 1.3));
            let got = up.feed_forward(&x, (Activation::Gelu, &down), &residual).unwrap();
            let wide = up.forward_activated(&x, Activation::Gelu, Mode::Infer).unwrap();
            let wanted = (&residual + down.forward(&wide).unwrap()).unwrap();
            let difference = (got - wanted).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert_eq!(difference, 0.0, "{rows} rows");
        }
        assert!(up.feed_forward(&wave(&[300, 33], 0.0), (Activation::Gelu, &down), &wave(&[300, 19], 0.0)).is_err());
    }

    /// Against the form with gradients; any number of rows, of which none depends on the others.
    #[test]
    fn fused_and_composed_maps_agree() {
        let linear = Linear::from_tensors(wave(&[70, 33], 0.2), Some(wave(&[70], 1.0)));
        let x = wave(&[3, 201, 33], 0.6);
        let got = linear.forward_activated(&x, Activation::Gelu, Mode::Infer).unwrap();
        let tracked = Var::from_tensor(&x).unwrap();
        let wanted = linear.forward_activated(&tracked, Activation::Gelu, Mode::Infer).unwrap();
        let difference = (&got - &wanted).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(got.dims() == [3, 201, 70] && difference < 1e-5, "{difference:e}");
        let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (first, rows) in [(0, 1), (7, 13), (100, 101)] {
            let part = |x: &Tensor| x.narrow(1, first, rows).unwrap();
            let alone = linear.forward_activated(&part(&x), Activation::Gelu, Mode::Infer).unwrap();
            assert_eq!(values(&alone), values(&part(&got)));
        }
    }
}
