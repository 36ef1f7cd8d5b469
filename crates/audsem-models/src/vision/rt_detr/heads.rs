//! Small networks that read a query's state.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::nn::{Activation, Linear};

/// Linear maps with rectifiers between them.
#[derive(Debug, Clone)]
pub(super) struct MlpHead {
    layers: Vec<Linear>,
}

impl MlpHead {
    /// Loads `layers.0` … for these widths, that of the input first.
    pub(super) fn load(vb: &VarBuilder<'_>, widths: &[usize]) -> Result<Self> {
        let vb = vb.pp("layers");
        let pairs = widths.windows(2).enumerate();
        let layers = pairs.map(|(n, widths)| Linear::load(&vb.pp(n), widths[0], widths[1], 0.02));
        Ok(Self { layers: layers.collect::<Result<_>>()? })
    }

    /// (…, I) to (…, O).
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for (n, layer) in self.layers.iter().enumerate() {
            let y = layer.forward(&x)?;
            x = if n + 1 < self.layers.len() { Activation::Relu.forward(&y)? } else { y };
        }
        Ok(x)
    }
}
