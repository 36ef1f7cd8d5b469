//! Convolutions with batch normalisation and an activation.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::nn::{Activation, Conv2d, ConvConfig};

/// Epsilon of batch normalisation.
pub(super) const NORM_EPS: f64 = 1e-5;

/// A convolution with its batch normalisation folded in, and an activation behind it where there is one.
#[derive(Debug, Clone)]
pub(super) struct ConvNorm {
    conv: Conv2d,
    activation: Option<Activation>,
}

/// Shape of a square convolution that keeps the size of a map, or halves it with a stride of 2.
#[derive(Debug, Clone, Copy)]
pub(super) struct SquareConv {
    pub inputs: usize,
    pub outputs: usize,
    pub side: usize,
    pub stride: usize,
}

impl SquareConv {
    /// Of one pixel.
    pub(super) fn point(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, side: 1, stride: 1 }
    }
}

impl ConvNorm {
    /// Loads the tensors of convolution and normalisation, which have these names below `vb`.
    pub(super) fn load(
        vb: &VarBuilder<'_>,
        [conv, norm]: [&str; 2],
        shape: SquareConv,
        activation: Option<Activation>,
    ) -> Result<Self> {
        let SquareConv { inputs, outputs, side, stride } = shape;
        let config = ConvConfig {
            stride: [stride; 2],
            padding: [side / 2; 2],
            bias: false,
            ..ConvConfig::over_image(inputs, outputs, [side; 2])
        };
        Ok(Self { conv: Conv2d::load_normalised(&vb.pp(conv), &vb.pp(norm), &config, NORM_EPS)?, activation })
    }

    /// As [`ConvNorm::load`], for one pixel and without activation.
    pub(super) fn load_at(vb: &VarBuilder<'_>, names: [&str; 2], inputs: usize, outputs: usize) -> Result<Self> {
        Self::load(vb, names, SquareConv::point(inputs, outputs), None)
    }

    /// (B, C, H, W) to (B, O, OH, OW).
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.conv.forward_with(x, None, self.activation)
    }

    /// As [`ConvNorm::forward`], with `residual` added and another activation behind the sum.
    pub(super) fn forward_added(&self, x: &Tensor, residual: &Tensor, activation: Activation) -> Result<Tensor> {
        self.conv.forward_with(x, Some(residual), Some(activation))
    }
}
