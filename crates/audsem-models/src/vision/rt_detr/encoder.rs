//! The hybrid encoder: a transformer on the smallest map, then a pyramid down to the largest and up again.

use candle_core::{Device, Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::attention::{FeedForward, PositionedAttention};
use super::config::{Config, LEVELS};
use super::conv::{ConvNorm, SquareConv};
use crate::nn::{Activation, LayerNorm};

const NAMES: [&str; 2] = ["conv", "norm"];

/// Blocks of two convolutions side by side in a [`CspRep`].
const REP_BLOCKS: usize = 3;

#[derive(Debug, Clone)]
struct Layer {
    attention: PositionedAttention,
    norm: LayerNorm,
    feed_forward: FeedForward,
}

impl Layer {
    fn load(vb: &VarBuilder<'_>, config: &Config, activation: Activation) -> Result<Self> {
        let (dim, eps) = (config.encoder_hidden_dim, config.layer_norm_eps);
        Ok(Self {
            attention: PositionedAttention::load(&vb.pp("self_attn"), dim, config.encoder_attention_heads)?,
            norm: LayerNorm::load(&vb.pp("self_attn_layer_norm"), dim, eps)?,
            feed_forward: FeedForward::load(vb, dim, config.encoder_ffn_dim, activation, eps)?,
        })
    }

    fn forward(&self, x: &Tensor, positions: &Tensor) -> Result<Tensor> {
        let x = self.norm.forward(&(x + self.attention.forward(x, positions)?)?)?;
        self.feed_forward.forward(&x)
    }
}

/// Mixes two maps that lie side by side: cross-stage partial, with re-parametrised blocks.
#[derive(Debug, Clone)]
struct CspRep {
    first: ConvNorm,
    second: ConvNorm,
    blocks: Vec<[ConvNorm; 2]>,
    widen: Option<ConvNorm>,
    activation: Activation,
}

impl CspRep {
    fn load(vb: &VarBuilder<'_>, dim: usize, inner: usize, activation: Activation) -> Result<Self> {
        let point = |name: &str, inputs, outputs| {
            ConvNorm::load(&vb.pp(name), NAMES, SquareConv::point(inputs, outputs), Some(activation))
        };
        let block = |n: usize| -> Result<[ConvNorm; 2]> {
            let vb = vb.pp(format!("bottlenecks.{n}"));
            let square = SquareConv { inputs: inner, outputs: inner, side: 3, stride: 1 };
            Ok([
                ConvNorm::load(&vb.pp("conv1"), NAMES, square, None)?,
                ConvNorm::load_at(&vb.pp("conv2"), NAMES, inner, inner)?,
            ])
        };
        Ok(Self {
            first: point("conv1", 2 * dim, inner)?,
            second: point("conv2", 2 * dim, inner)?,
            blocks: (0..REP_BLOCKS).map(block).collect::<Result<_>>()?,
            widen: (inner != dim).then(|| point("conv3", inner, dim)).transpose()?,
            activation,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut y = self.first.forward(x)?;
        for [square, point] in &self.blocks {
            y = self.activation.forward(&(square.forward(&y)? + point.forward(&y)?)?)?;
        }
        let y = (y + self.second.forward(x)?)?;
        self.widen.as_ref().map_or(Ok(y.clone()), |conv| conv.forward(&y))
    }
}

/// The hybrid encoder.
#[derive(Debug, Clone)]
pub(super) struct HybridEncoder {
    /// Transformer layers by the map that they are for.
    transformers: Vec<(usize, Vec<Layer>)>,
    lateral: Vec<ConvNorm>,
    top_down: Vec<CspRep>,
    downsample: Vec<ConvNorm>,
    bottom_up: Vec<CspRep>,
    temperature: f64,
}

impl HybridEncoder {
    pub(super) fn load(vb: &VarBuilder<'_>, config: &Config) -> crate::Result<Self> {
        let layers_act = Activation::from_name("encoder_activation_function", &config.encoder_activation_function)?;
        let act = Activation::from_name("activation_function", &config.activation_function)?;
        let dim = config.encoder_hidden_dim;
        let transformer = |(n, map): (usize, &usize)| -> Result<_> {
            let vb = vb.pp(format!("encoder.{n}.layers"));
            let layers = (0..config.encoder_layers).map(|layer| Layer::load(&vb.pp(layer), config, layers_act));
            Ok((*map, layers.collect::<Result<_>>()?))
        };
        let steps = 0..LEVELS - 1;
        let convs = |name: &str, side: usize, stride: usize| {
            let vb = vb.pp(name);
            let shape = SquareConv { inputs: dim, outputs: dim, side, stride };
            steps.clone().map(|n| ConvNorm::load(&vb.pp(n), NAMES, shape, Some(act))).collect::<Result<Vec<_>>>()
        };
        let inner = (dim as f64 * config.hidden_expansion) as usize;
        let mixers = |name: &str| {
            let vb = vb.pp(name);
            steps.clone().map(|n| CspRep::load(&vb.pp(n), dim, inner, act)).collect::<Result<Vec<_>>>()
        };
        Ok(Self {
            transformers: config.encode_proj_layers.iter().enumerate().map(transformer).collect::<Result<_>>()?,
            lateral: convs("lateral_convs", 1, 1)?,
            top_down: mixers("fpn_blocks")?,
            downsample: convs("downsample_convs", 3, 2)?,
            bottom_up: mixers("pan_blocks")?,
            temperature: config.positional_encoding_temperature,
        })
    }

    /// Mixes maps (B, D, H, W), the largest first.
    pub(super) fn forward(&self, mut maps: Vec<Tensor>) -> Result<Vec<Tensor>> {
        for (map, layers) in &self.transformers {
            maps[*map] = self.attend(&maps[*map], layers)?;
        }
        // From the smallest map to the largest.
        let mut small = maps.pop();
        let mut mixed = Vec::new();
        for (lateral, mixer) in self.lateral.iter().zip(&self.top_down) {
            let (Some(top), Some(map)) = (small.take(), maps.pop()) else { bail!("too few maps for the pyramid") };
            let top = lateral.forward(&top)?;
            let upsampled = top.upsample_nearest2d(2 * top.dim(2)?, 2 * top.dim(3)?)?;
            small = Some(mixer.forward(&Tensor::cat(&[upsampled, map], 1)?)?);
            mixed.push(top);
        }
        // And back.
        let mut levels: Vec<Tensor> = small.into_iter().collect();
        for (downsample, mixer) in self.downsample.iter().zip(&self.bottom_up) {
            let (Some(large), Some(top)) = (levels.last(), mixed.pop()) else { bail!("too few maps for the pyramid") };
            let level = mixer.forward(&Tensor::cat(&[downsample.forward(large)?, top], 1)?)?;
            levels.push(level);
        }
        Ok(levels)
    }

    fn attend(&self, map: &Tensor, layers: &[Layer]) -> Result<Tensor> {
        let (b, dim, height, width) = map.dims4()?;
        if height != width {
            // Released versions of the reference order the positions of other maps differently.
            bail!("a map of {height} × {width}: pictures have to be square");
        }
        let positions = positions(width, dim, self.temperature, map.device())?.to_dtype(map.dtype())?;
        let mut x = map.flatten_from(2)?.transpose(1, 2)?.contiguous()?; // (B, H · W, D)
        for layer in layers {
            x = layer.forward(&x, &positions)?;
        }
        x.transpose(1, 2)?.reshape((b, dim, height, width))
    }
}

/// Sines and cosines of row and column of a square map: (1, side², dim).
fn positions(side: usize, dim: usize, temperature: f64, device: &Device) -> Result<Tensor> {
    let n = dim / 4;
    let angle = |at: usize, k: usize| at as f64 / temperature.powf(k as f64 / n as f64);
    let mut values = Vec::with_capacity(side * side * dim);
    for place in 0..side * side {
        for at in [place / side, place % side] {
            values.extend((0..n).map(|k| angle(at, k).sin() as f32));
            values.extend((0..n).map(|k| angle(at, k).cos() as f32));
        }
    }
    Tensor::from_vec(values, (1, side * side, dim), device)
}
