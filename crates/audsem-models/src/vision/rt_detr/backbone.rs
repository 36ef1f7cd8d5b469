//! ResNet-D: a stem of three convolutions, and shortcuts that average before they project (He et al., 2018).

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::config::BackboneConfig;
use super::conv::{ConvNorm, SquareConv};
use crate::nn::Activation;
use crate::vision::resnet::max_pool;

const NAMES: [&str; 2] = ["convolution", "normalization"];

/// What is added to the result of a block.
#[derive(Debug, Clone)]
enum Shortcut {
    Input,
    Projected(ConvNorm),
    Averaged(ConvNorm),
}

#[derive(Debug, Clone)]
struct Block {
    convs: [ConvNorm; 3],
    shortcut: Shortcut,
    activation: Activation,
}

impl Block {
    fn load(vb: &VarBuilder<'_>, [inputs, outputs]: [usize; 2], stride: usize, activation: Activation) -> Result<Self> {
        let width = outputs / 4;
        let layer = vb.pp("layer");
        let conv = |n: usize, shape, activation| ConvNorm::load(&layer.pp(n), NAMES, shape, activation);
        let square = SquareConv { inputs: width, outputs: width, side: 3, stride };
        let shortcut = if stride == 2 {
            Shortcut::Averaged(ConvNorm::load_at(&vb.pp("shortcut.1"), NAMES, inputs, outputs)?)
        } else if inputs != outputs {
            Shortcut::Projected(ConvNorm::load_at(&vb.pp("shortcut"), NAMES, inputs, outputs)?)
        } else {
            Shortcut::Input
        };
        Ok(Self {
            convs: [
                conv(0, SquareConv::point(inputs, width), Some(activation))?,
                conv(1, square, Some(activation))?,
                conv(2, SquareConv::point(width, outputs), None)?,
            ],
            shortcut,
            activation,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [squeeze, conv, widen] = &self.convs;
        let y = conv.forward(&squeeze.forward(x)?)?;
        let x = match &self.shortcut {
            Shortcut::Input => x.clone(),
            Shortcut::Projected(conv) => conv.forward(x)?,
            Shortcut::Averaged(conv) => conv.forward(&halved(x)?)?,
        };
        widen.forward_added(&y, &x, self.activation)
    }
}

/// The mean of each 2 × 2 pixels; at an odd edge, of those that there are: repeating the last ones does not change it.
fn halved(x: &Tensor) -> Result<Tensor> {
    let (height, width) = (x.dim(2)?, x.dim(3)?);
    x.pad_with_same(2, 0, height % 2)?.pad_with_same(3, 0, width % 2)?.avg_pool2d(2)
}

/// The backbone.
#[derive(Debug, Clone)]
pub(super) struct Backbone {
    stem: [ConvNorm; 3],
    stages: Vec<Vec<Block>>,
}

impl Backbone {
    pub(super) fn load(vb: &VarBuilder<'_>, config: &BackboneConfig) -> crate::Result<Self> {
        let activation = Activation::from_name("hidden_act", &config.hidden_act)?;
        let (full, half) = (config.embedding_size, config.embedding_size / 2);
        let embedder = vb.pp("embedder.embedder");
        let stem = |n: usize, inputs, outputs, stride| {
            ConvNorm::load(&embedder.pp(n), NAMES, SquareConv { inputs, outputs, side: 3, stride }, Some(activation))
        };
        let mut stages = Vec::new();
        let mut inputs = full;
        for (number, (&outputs, &depth)) in config.hidden_sizes.iter().zip(&config.depths).enumerate() {
            let vb = vb.pp(format!("encoder.stages.{number}.layers"));
            let mut blocks = Vec::new();
            for block in 0..depth {
                let stride = if block == 0 && number > 0 { 2 } else { 1 };
                blocks.push(Block::load(&vb.pp(block), [inputs, outputs], stride, activation)?);
                inputs = outputs;
            }
            stages.push(blocks);
        }
        Ok(Self { stem: [stem(0, 3, half, 2)?, stem(1, half, half, 1)?, stem(2, half, full, 1)?], stages })
    }

    /// Maps (B, C, H, W) of all stages but the first for pictures (B, 3, H, W).
    pub(super) fn forward(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let mut x = x.clone();
        for conv in &self.stem {
            x = conv.forward(&x)?;
        }
        x = max_pool(&x)?;
        let mut maps = Vec::new();
        for blocks in &self.stages {
            for block in blocks {
                x = block.forward(&x)?;
            }
            maps.push(x.clone());
        }
        maps.remove(0);
        Ok(maps)
    }
}
