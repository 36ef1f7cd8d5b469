//! YAMNet: a MobileNet over patches of log-mel features that tags 521 classes of AudioSet.
//!
//! Plakal and Ellis, "YAMNet", 2020, in the TensorFlow model garden; here with the names of a PyTorch port whose batch
//! norms are folded into the convolutions. Numbers agree with an ONNX export of that port (`fixtures/regen/yamnet.py`).

mod tagger;

use candle_core::Tensor;
use candle_nn::VarBuilder;

pub use tagger::{YamnetFeatures, YamnetTagger};

use super::audioset::N_YAMNET_CLASSES;
use crate::error::{Error, Result};
use crate::nn::{Activation, Conv2d, ConvConfig, Linear};

/// Sample rate of the sounds, in Hz.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Frames of a patch.
pub const PATCH_FRAMES: usize = 96;

/// Bands of the features.
const N_MELS: usize = 64;

/// Output channels and step of the layers behind the first, each a convolution by channel and one by pixel.
const LAYERS: [(usize, usize); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

/// Channels of the first layer.
const FIRST: usize = 32;

/// The network with its classification head.
#[derive(Debug, Clone)]
pub struct Yamnet {
    convolutions: Vec<PaddedConv>,
    head: Linear,
}

/// A convolution that keeps the size of the image, divided by its step.
#[derive(Debug, Clone)]
struct PaddedConv {
    conv: Conv2d,
    pads_end: bool,
}

impl PaddedConv {
    /// Steps of 2 take their padding at the end alone, as TensorFlow pads images of even sides.
    fn load(vb: &VarBuilder<'_>, channels: [usize; 2], kernel: usize, stride: usize, groups: usize) -> Result<Self> {
        let pads_end = stride > 1;
        let padding = if pads_end { [0, 0] } else { [kernel / 2; 2] };
        let plain = ConvConfig::over_image(channels[0], channels[1], [kernel; 2]);
        let conv = Conv2d::load(vb, &ConvConfig { stride: [stride; 2], padding, groups, ..plain })?;
        Ok(Self { conv, pads_end })
    }

    /// (B, C, H, W) to (B, O, H', W'), not below 0.
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let relu = Some(Activation::Relu);
        if self.pads_end {
            return self.conv.forward_with(&x.pad_with_zeros(2, 0, 1)?.pad_with_zeros(3, 0, 1)?, None, relu);
        }
        self.conv.forward_with(x, None, relu)
    }
}

impl Yamnet {
    /// Loads `layer1` to `layer14` and `classifier`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        let mut convolutions = vec![PaddedConv::load(&vb.pp("layer1.fused.conv"), [1, FIRST], 3, 2, 1)?];
        let mut channels = FIRST;
        for (n, (outputs, stride)) in LAYERS.into_iter().enumerate() {
            let layer = vb.pp(format!("layer{}", n + 2));
            let by_channel = layer.pp("depthwise_conv.conv");
            convolutions.push(PaddedConv::load(&by_channel, [channels; 2], 3, stride, channels)?);
            convolutions.push(PaddedConv::load(&layer.pp("pointwise_conv.conv"), [channels, outputs], 1, 1, 1)?);
            channels = outputs;
        }
        Ok(Self { convolutions, head: Linear::load(&vb.pp("classifier"), channels, N_YAMNET_CLASSES, 0.02)? })
    }

    /// Logits (B, 521) of patches (B, 96, 64).
    ///
    /// # Errors
    /// Patches of another shape, memory, device.
    pub fn forward(&self, patches: &Tensor) -> Result<Tensor> {
        Ok(self.head.forward(&self.embed(patches)?)?)
    }

    /// Vectors (B, 1024) of patches (B, 96, 64): the mean over the image of the last layer.
    ///
    /// # Errors
    /// As [`Yamnet::forward`].
    pub fn embed(&self, patches: &Tensor) -> Result<Tensor> {
        let (_, frames, mels) = patches.dims3()?;
        if (frames, mels) != (PATCH_FRAMES, N_MELS) {
            return Err(Error::FeatureShape { frames, mels, max_frames: PATCH_FRAMES, wanted_mels: N_MELS });
        }
        let mut x = patches.unsqueeze(1)?; // (B, 1, T, F)
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?;
        }
        Ok(x.mean((2, 3))?)
    }
}
