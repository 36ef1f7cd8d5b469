//! MobileNetV2: a classifier of pictures into the 1000 classes of ImageNet.
//!
//! Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", 2018, with the tensor names of torchvision.
//! Numbers agree with torchvision (`fixtures/regen/mobilenet_v2.py`).

use std::collections::{BTreeMap, HashMap};

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::image::{ImageError, ResizeFilter, RgbImage};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::imagenet::N_CLASSES;
use super::{Eye, PixelNormalisation, by_picture, imagenet};
use crate::error::{Error, Result};
use crate::nn::{Activation, Conv2d, ConvConfig, Linear, softmax};

/// Side of the pictures, in pixels.
pub const SIDE: usize = 224;

/// Shorter side of the picture before its middle is cut out, in pixels.
const RESIZED: usize = 256;

/// Expansion, output channels, repetitions and first step of the groups of blocks (table 2 of the paper).
const GROUPS: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
/// Channels of the first and of the last convolution.
const FIRST: usize = 32;
const LAST: usize = 1280;
/// Epsilon of the batch norms.
const EPS: f64 = 1e-5;

/// What `config.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Factor on all numbers of channels, which are then rounded to multiples of 8.
    pub width_mult: f64,
    /// Classes.
    pub num_classes: usize,
    /// Names of the classes by number; absent for those of ImageNet.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub id2label: BTreeMap<u32, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { width_mult: 1.0, num_classes: N_CLASSES, id2label: BTreeMap::new() }
    }
}

impl Config {
    /// Channels times the factor, rounded to a multiple of 8 that is not more than a tenth below.
    fn channels(&self, channels: usize) -> usize {
        let wanted = channels as f64 * self.width_mult;
        let rounded = (((wanted + 4.0) / 8.0) as usize * 8).max(8);
        if (rounded as f64) < 0.9 * wanted { rounded + 8 } else { rounded }
    }

    fn validate(&self) -> Result<()> {
        if !(0.01..=10.0).contains(&self.width_mult) {
            return Err(Error::unsupported("width_mult", &self.width_mult, "0.01 to 10"));
        }
        Error::check_sizes(&[("num_classes", self.num_classes)])
    }

    /// The name of each class, in order.
    ///
    /// # Errors
    /// There is no name for a class, or no class for a name.
    pub fn labels(&self) -> Result<Vec<String>> {
        let (n, named) = (self.num_classes, &self.id2label);
        if named.is_empty() && n == N_CLASSES {
            return Ok((0..n).filter_map(imagenet::name).map(str::to_owned).collect());
        }
        if named.len() != n || !named.keys().copied().eq((0..).take(n)) {
            return Err(Error::unsupported(
                "id2label",
                &named.len(),
                &format!("names of the numbers from 0 to {}", n - 1),
            ));
        }
        Ok(named.values().cloned().collect())
    }
}

/// The network.
#[derive(Debug, Clone)]
pub struct MobileNetV2 {
    first: NormedConv,
    blocks: Vec<Block>,
    last: NormedConv,
    head: Linear,
}

/// A convolution with its batch norm folded in, and what caps its output at 0 and 6.
#[derive(Debug, Clone)]
struct NormedConv {
    conv: Conv2d,
    is_capped: bool,
}

/// An inverted residual: wider by pixel, mixed by channel, narrower by pixel.
#[derive(Debug, Clone)]
struct Block {
    convolutions: Vec<NormedConv>,
    is_residual: bool,
}

impl NormedConv {
    fn load(conv: &VarBuilder<'_>, norm: &VarBuilder<'_>, config: &ConvConfig, is_capped: bool) -> Result<Self> {
        let ConvConfig { channels, outputs, kernel: [height, width], groups, .. } = *config;
        let shape = (outputs, channels / groups, height, width);
        let weight = conv.get_with_hints(shape, "weight", Init::Randn { mean: 0.0, stdev: 0.02 })?;
        let get = |name, value| norm.get_with_hints(outputs, name, Init::Const(value));
        let scale = (get("weight", 1.0)? / (get("running_var", 1.0)? + EPS)?.sqrt()?)?;
        if !scale.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?.is_finite() {
            return Err(Error::Variance { name: format!("{}.running_var", norm.prefix()) });
        }
        let bias = (get("bias", 0.0)? - (get("running_mean", 0.0)? * &scale)?)?;
        let weight = weight.broadcast_mul(&scale.reshape((outputs, 1, 1, 1))?)?;
        let folded = HashMap::from([("weight".to_owned(), weight), ("bias".to_owned(), bias)]);
        let folded = VarBuilder::from_tensors(folded, conv.dtype(), conv.device());
        Ok(Self { conv: Conv2d::load(&folded, config)?, is_capped })
    }

    fn forward(&self, x: &Tensor, residual: Option<&Tensor>) -> candle_core::Result<Tensor> {
        self.conv.forward_with(x, residual, self.is_capped.then_some(Activation::Relu6))
    }
}

/// A convolution of a block: channels before and after, side of the kernel, step, groups.
fn shape(channels: usize, outputs: usize, kernel: usize, stride: usize, groups: usize) -> ConvConfig {
    let plain = ConvConfig::over_image(channels, outputs, [kernel; 2]);
    ConvConfig { stride: [stride; 2], padding: [kernel / 2; 2], groups, ..plain }
}

impl Block {
    fn load(vb: &VarBuilder<'_>, [channels, outputs]: [usize; 2], expansion: usize, stride: usize) -> Result<Self> {
        let (wide, conv) = (channels * expansion, vb.pp("conv"));
        let mut convolutions = Vec::new();
        let mut capped = |n: usize, config: &ConvConfig| {
            let part = conv.pp(n);
            convolutions.push(NormedConv::load(&part.pp(0), &part.pp(1), config, true)?);
            Ok::<_, Error>(())
        };
        let expands = usize::from(expansion != 1);
        if expands == 1 {
            capped(0, &shape(channels, wide, 1, 1, 1))?;
        }
        capped(expands, &shape(wide, wide, 3, stride, wide))?;
        let last =
            NormedConv::load(&conv.pp(expands + 1), &conv.pp(expands + 2), &shape(wide, outputs, 1, 1, 1), false)?;
        convolutions.push(last);
        Ok(Self { convolutions, is_residual: stride == 1 && channels == outputs })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut y = x.clone();
        for (n, convolution) in self.convolutions.iter().enumerate() {
            let is_last = n + 1 == self.convolutions.len();
            y = convolution.forward(&y, (is_last && self.is_residual).then_some(x))?;
        }
        Ok(y)
    }
}

impl MobileNetV2 {
    /// Loads `features` and `classifier`.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or a variance is negative.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let (features, mut channels) = (vb.pp("features"), config.channels(FIRST));
        let outer = |n: usize, shape: &ConvConfig| {
            let part = features.pp(n);
            NormedConv::load(&part.pp(0), &part.pp(1), shape, true)
        };
        let first = outer(0, &shape(3, channels, 3, 2, 1))?;
        let mut blocks = Vec::new();
        for (expansion, outputs, repetitions, stride) in GROUPS {
            let outputs = config.channels(outputs);
            for repetition in 0..repetitions {
                let (stride, vb) = (if repetition == 0 { stride } else { 1 }, features.pp(blocks.len() + 1));
                blocks.push(Block::load(&vb, [channels, outputs], expansion, stride)?);
                channels = outputs;
            }
        }
        // The last convolution never gets narrower than the paper's.
        let wide = Config { width_mult: config.width_mult.max(1.0), ..config.clone() }.channels(LAST);
        let last = outer(blocks.len() + 1, &shape(channels, wide, 1, 1, 1))?;
        Ok(Self { first, blocks, last, head: Linear::load(&vb.pp("classifier.1"), wide, config.num_classes, 0.01)? })
    }

    /// Logits (B, C) of pictures (B, 3, H, W) in the values of [`PixelNormalisation::IMAGENET`], as a rule [`SIDE`] pixels
    /// wide and high.
    ///
    /// # Errors
    /// Other channels, a picture smaller than 32 pixels, memory, device.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        Ok(self.head.forward(&self.embed(pixels)?.mean((2, 3))?)?)
    }

    /// The image (B, 1280, H', W') that the classifier takes the mean of.
    ///
    /// # Errors
    /// As [`MobileNetV2::forward`].
    pub fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let mut x = self.first.forward(pixels, None)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        Ok(self.last.forward(&x, None)?)
    }

    /// The probability of each class, for each picture; otherwise as [`MobileNetV2::forward`]. No picture depends on the
    /// others.
    ///
    /// # Errors
    /// As [`MobileNetV2::forward`].
    pub fn probabilities(&self, pixels: &Tensor) -> Result<Vec<Vec<f32>>> {
        let rows = by_picture(pixels, |pixels| Ok(softmax(&self.forward(pixels)?.to_dtype(DType::F32)?)?))?;
        Ok(rows.to_vec2()?)
    }
}

/// A checkpoint with the transform of its pictures, for inference.
#[derive(Debug, Clone)]
pub struct PictureClassifier {
    network: MobileNetV2,
    labels: Vec<String>,
    eye: Eye,
}

impl PictureClassifier {
    /// Opens a folder of converted weights.
    ///
    /// # Errors
    /// A file cannot be read, the configuration is unsupported, or tensors are missing, unused or of another shape.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType) -> Result<Self> {
        let config: Config = dir.json("config.json")?;
        config.validate()?;
        let labels = config.labels()?;
        let weights = Weights::open(dir, device, dtype)?;
        let network = MobileNetV2::load(&weights.var_builder(), &config)?;
        weights.finish(|name| name.ends_with(".num_batches_tracked"))?;
        let eye = Eye::new(PixelNormalisation::IMAGENET, device, dtype);
        Ok(Self { network, labels, eye })
    }

    /// The name of each class, in order.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What the network sees of a picture: the middle, after its shorter side was resized, as torchvision does it.
    ///
    /// # Errors
    /// The longer side becomes too long.
    pub fn prepare(picture: &RgbImage) -> std::result::Result<RgbImage, ImageError> {
        let (width, height) = picture.size_with_shorter_side(RESIZED);
        picture.resized(width, height, ResizeFilter::Bilinear)?.centre_crop(SIDE, SIDE)
    }

    /// The probability of each class, for each prepared picture. No picture depends on the others.
    ///
    /// # Errors
    /// There is no picture; memory, device.
    pub fn probabilities(&self, pictures: &[RgbImage]) -> Result<Vec<Vec<f32>>> {
        self.network.probabilities(&self.eye.tensor(pictures)?)
    }
}
