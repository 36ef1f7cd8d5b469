//! CED: a vision transformer over log-mel features that tags 527 classes of AudioSet.
//!
//! Dinkel et al., "CED: Consistent ensemble distillation for audio tagging", 2024. Tensors have the names of the authors'
//! `ced-tiny` to `ced-base` on the Hugging Face hub. Numbers agree with the ONNX export of these weights
//! (`fixtures/regen/ced.py`).

mod block;
mod config;
mod tagger;

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

pub use config::Config;
pub(crate) use tagger::is_ignorable;
pub use tagger::{CedFeatures, CedTagger, SHORTEST_SAMPLES, WINDOW_SAMPLES};

use crate::error::{Error, Result};
use crate::nn::{BatchNorm, Conv2d, ConvConfig, LayerNorm, Linear};
use block::Block;

/// Sample rate of the sounds, in Hz.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Epsilon of the norms within the transformer.
const EPS: f64 = 1e-6;

/// Epsilon of the norms of features and head.
const OUTER_EPS: f64 = 1e-5;

/// Standard deviation of new weights.
const STDEV: f64 = 0.02;

/// The network with its classification head.
#[derive(Debug, Clone)]
pub struct Ced {
    features_norm: BatchNorm,
    patches: Conv2d,
    time_positions: Tensor,      // (1, D, 1, T')
    frequency_positions: Tensor, // (1, D, F', 1)
    blocks: Vec<Block>,
    norm: LayerNorm,
    head_norm: LayerNorm,
    head: Linear,
    config: Config,
}

impl Ced {
    /// Loads the tensors below `encoder` and `outputlayer`.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let (dim, size, [rows, columns]) = (config.embed_dim, config.patch_size, config.grid());
        let patches = ConvConfig { stride: [size; 2], ..ConvConfig::over_image(1, dim, [size; 2]) };
        let positions = |shape, name| vb.get_with_hints(shape, name, Init::Randn { mean: 0.0, stdev: STDEV });
        let encoder = vb.pp("encoder");
        let blocks = encoder.pp("blocks");
        Ok(Self {
            features_norm: BatchNorm::load(&encoder.pp("init_bn"), config.n_mels, OUTER_EPS)?,
            patches: Conv2d::load(&encoder.pp("patch_embed.proj"), &patches)?,
            time_positions: positions((1, dim, 1, columns), "encoder.time_pos_embed")?,
            frequency_positions: positions((1, dim, rows, 1), "encoder.freq_pos_embed")?,
            blocks: (0..config.depth)
                .map(|n| Block::load(&blocks.pp(n), config))
                .collect::<candle_core::Result<_>>()?,
            norm: LayerNorm::load(&encoder.pp("norm"), dim, EPS)?,
            head_norm: LayerNorm::load(&vb.pp("outputlayer.0"), dim, OUTER_EPS)?,
            head: Linear::load(&vb.pp("outputlayer.1"), dim, config.outputdim, STDEV)?,
            config: config.clone(),
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Logits (B, C) of features (B, T, F) in decibels. Frames behind the last whole patch are not seen.
    ///
    /// # Errors
    /// Fewer frames than a patch has or more than there are positions for, other bands, memory, device.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let mut x = self.embed(features)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let pooled = self.norm.forward(&x)?.mean(1)?; // (B, D)
        Ok(self.head.forward(&self.head_norm.forward(&pooled)?)?)
    }

    /// Patches (B, N, D) of features (B, T, F) with their positions, in order of frequency, then time: the input of the
    /// first block.
    ///
    /// # Errors
    /// As [`Ced::forward`].
    pub fn embed(&self, features: &Tensor) -> Result<Tensor> {
        let (_, frames, mels) = features.dims3()?;
        let size = self.config.patch_size;
        let columns = frames / size;
        let [_, most_columns] = self.config.grid();
        if columns == 0 || columns > most_columns || mels != self.config.n_mels {
            let (max_frames, wanted_mels) = ((most_columns + 1) * size - 1, self.config.n_mels);
            return Err(Error::FeatureShape { frames, mels, max_frames, wanted_mels });
        }
        let x = self.features_norm.forward(&features.narrow(1, 0, columns * size)?)?;
        let image = x.to_dtype(self.head.weight().dtype())?.transpose(1, 2)?.unsqueeze(1)?.contiguous()?; // (B, 1, F, T)
        let x = self.patches.forward(&image)?; // (B, D, F', T')
        let x =
            x.broadcast_add(&self.time_positions.narrow(3, 0, columns)?)?.broadcast_add(&self.frequency_positions)?;
        Ok(x.flatten_from(2)?.transpose(1, 2)?.contiguous()?)
    }
}
