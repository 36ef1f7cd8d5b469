//! ResNet with bottlenecks, version 1.5: the stride is in the 3 × 3 convolution.
//!
//! He et al., 2015; names and numbers are those of torchvision's `ResNet` (`fixtures/regen/resnet.py`). For inference:
//! batch normalisation is folded into the convolutions when weights are loaded.

use candle_core::{D, DType, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::by_picture;
use crate::error::{Error, Result};
use crate::nn::{Activation, Conv2d, ConvConfig, Linear, fused};

/// How much wider a block's result is than its inner convolutions.
const EXPANSION: usize = 4;

/// Epsilon of batch normalisation.
const NORM_EPS: f64 = 1e-5;

/// Shape of the network. torchvision's checkpoints hold no configuration; absent keys are those of ResNet-50 with the
/// classes of Places365.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Channels of the stem and of the inner convolutions of the first stage; each stage has twice those of the one before.
    pub width: usize,
    /// Classes.
    pub num_classes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { depths: vec![3, 4, 6, 3], width: 64, num_classes: 365 }
    }
}

impl Config {
    /// Names a size that no network has.
    ///
    /// # Errors
    /// A size is 0 or absurd, or there are more stages than pictures can be halved.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[("width", self.width), ("num_classes", self.num_classes)])?;
        if !(1..=6).contains(&self.depths.len()) || self.depths.contains(&0) {
            return Err(Error::unsupported("depths", &self.depths, "1 to 6 stages of blocks"));
        }
        Ok(())
    }
}

/// The convolution `conv` with the batch normalisation `bn` beside it.
fn normalised(vb: &VarBuilder<'_>, conv: &str, bn: &str, config: ConvConfig) -> candle_core::Result<Conv2d> {
    let config = ConvConfig { bias: false, ..config };
    Conv2d::load_normalised(&vb.pp(conv), &vb.pp(bn), &config, NORM_EPS)
}

/// Squeezes, convolves and widens its input, and adds the result to it.
#[derive(Debug, Clone)]
struct Bottleneck {
    squeeze: Conv2d,
    conv: Conv2d,
    widen: Conv2d,
    shortcut: Option<Conv2d>,
}

impl Bottleneck {
    fn load(vb: &VarBuilder<'_>, channels: usize, width: usize, stride: usize) -> candle_core::Result<Self> {
        let outputs = width * EXPANSION;
        let point = |channels, outputs| ConvConfig::over_image(channels, outputs, [1, 1]);
        let square = ConvConfig { padding: [1, 1], ..ConvConfig::over_image(width, width, [3, 3]) };
        let shortcut = || {
            let config = ConvConfig { stride: [stride; 2], ..point(channels, outputs) };
            normalised(&vb.pp("downsample"), "0", "1", config)
        };
        Ok(Self {
            squeeze: normalised(vb, "conv1", "bn1", point(channels, width))?,
            conv: normalised(vb, "conv2", "bn2", ConvConfig { stride: [stride; 2], ..square })?,
            widen: normalised(vb, "conv3", "bn3", point(width, outputs))?,
            shortcut: (stride != 1 || channels != outputs).then(shortcut).transpose()?,
        })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let relu = Some(Activation::Relu);
        let y = self.conv.forward_with(&self.squeeze.forward_with(x, None, relu)?, None, relu)?;
        let x = match &self.shortcut {
            Some(shortcut) => &shortcut.forward(x)?,
            None => x,
        };
        self.widen.forward_with(&y, Some(x), relu)
    }
}

/// The largest value of each 3 × 3 pixels, at every second one. Pixels beyond the edge count as 0, which is no change
/// behind a rectifier.
pub(super) fn max_pool(x: &Tensor) -> candle_core::Result<Tensor> {
    if fused::is_supported(x) {
        return fused::max_pool(x);
    }
    x.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?.max_pool2d_with_stride(3, 2)
}

/// The network.
#[derive(Debug, Clone)]
pub struct ResNet {
    stem: Conv2d,
    stages: Vec<Vec<Bottleneck>>,
    classifier: Linear,
}

impl ResNet {
    /// Loads `conv1`, `bn1`, `layer1` …, and `fc`.
    ///
    /// # Errors
    /// The configuration has no meaning, a tensor is missing or of another shape, or a variance is negative.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let stem = ConvConfig { stride: [2, 2], padding: [3, 3], ..ConvConfig::over_image(3, config.width, [7, 7]) };
        let stem = normalised(vb, "conv1", "bn1", stem)?;
        let (mut channels, mut stages) = (config.width, Vec::new());
        for (number, depth) in config.depths.iter().enumerate() {
            let (vb, width) = (vb.pp(format!("layer{}", number + 1)), config.width << number);
            let mut blocks = Vec::new();
            for block in 0..*depth {
                let stride = if number > 0 && block == 0 { 2 } else { 1 };
                blocks.push(Bottleneck::load(&vb.pp(block), channels, width, stride)?);
                channels = width * EXPANSION;
            }
            stages.push(blocks);
        }
        let classifier = Linear::load(&vb.pp("fc"), channels, config.num_classes, 0.01)?;
        Ok(Self { stem, stages, classifier })
    }

    /// The results (B, C, H, W) of the stem and of each stage for pictures (B, 3, H, W).
    ///
    /// # Errors
    /// Another number of channels, pictures too small, memory, device.
    pub fn features(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let x = max_pool(&self.stem.forward_with(x, None, Some(Activation::Relu))?)?;
        let mut states = vec![x];
        for blocks in &self.stages {
            let mut x = states[states.len() - 1].clone();
            for block in blocks {
                x = block.forward(&x)?;
            }
            states.push(x);
        }
        Ok(states)
    }

    /// Logits (B, C) in f32 of pictures (B, 3, H, W). No picture depends on the others.
    ///
    /// # Errors
    /// As [`ResNet::features`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        by_picture(x, |x| {
            let states = self.features(x)?;
            let pooled = states[states.len() - 1].flatten_from(2)?.mean(D::Minus1)?; // (B, C)
            Ok(self.classifier.forward(&pooled)?.to_dtype(DType::F32)?)
        })
    }
}
