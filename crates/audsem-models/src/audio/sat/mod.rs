//! Streaming Audio Transformer: tags of each second of a sound, from that second and the one before it.
//!
//! Dinkel et al., "Streaming Audio Transformers for Online Audio Tagging", 2023; numbers agree with the authors' class
//! (`fixtures/original_networks`) on clips by themselves. A clip begins with the cache of silence, and each step is given the
//! cache that the step before left. The reference runs the seconds of a clip beside each other, with caches of other
//! clips, and its floor below the loudest value is that of the batch; here a second depends on its own clip alone.

mod config;
mod layer;
mod tagger;

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

pub use config::Config;
pub(crate) use tagger::is_ignorable;
pub use tagger::{SatCache, SatTagger};

use crate::error::{Error, Result};
use crate::nn::{BatchNorm, Conv2d, ConvConfig, LayerNorm, Linear};
use layer::StreamingLayer;

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
pub struct Sat {
    features_norm: BatchNorm,
    patches: Conv2d,
    time_positions: Tensor,      // (1, D, 1, T' of the cache and of a step)
    frequency_positions: Tensor, // (1, D, F', 1)
    layers: Vec<StreamingLayer>,
    norm: LayerNorm,
    head_norm: LayerNorm,
    head: Linear,
    config: Config,
}

/// What the network makes of a step.
#[derive(Debug, Clone)]
pub struct SatStep {
    /// Logits of the classes (B, C).
    pub logits: Tensor,
    /// What each layer was given (L, B, N, D): the cache of the next step.
    pub cache: Tensor,
}

impl Sat {
    /// Loads all tensors, with the names of the original.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, or a tensor is missing or of another shape.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let (dim, size, [rows, columns]) = (config.embed_dim, config.patch_size, config.grid());
        let patches = ConvConfig { stride: [size; 2], ..ConvConfig::over_image(1, dim, [size; 2]) };
        let positions = |shape, name| vb.get_with_hints(shape, name, Init::Randn { mean: 0.0, stdev: STDEV });
        let blocks = vb.pp("blocks");
        Ok(Self {
            features_norm: BatchNorm::load(&vb.pp("init_bn.1"), config.n_mels, OUTER_EPS)?,
            patches: Conv2d::load(&vb.pp("patch_embed.proj"), &patches)?,
            time_positions: positions((1, dim, 1, 2 * columns), "time_pos_embed")?,
            frequency_positions: positions((1, dim, rows, 1), "freq_pos_embed")?,
            layers: (0..config.depth)
                .map(|n| StreamingLayer::load(&blocks.pp(n), config))
                .collect::<candle_core::Result<_>>()?,
            norm: LayerNorm::load(&vb.pp("norm"), dim, EPS)?,
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

    /// One step of features (B, T, F) in decibels, of which the frames behind `target_length` are not seen. `cache`
    /// (L, B, N, D) is what the step before left; none makes the step see itself alone.
    ///
    /// # Errors
    /// Fewer frames than a step has, other bands, a cache of another shape, memory, device.
    pub fn forward(&self, features: &Tensor, cache: Option<&Tensor>) -> Result<SatStep> {
        let mut x = self.embed(features)?;
        let mut given = Vec::with_capacity(self.layers.len());
        for (n, layer) in self.layers.iter().enumerate() {
            let cache = cache.map(|cache| self.remembered(cache, n)).transpose()?;
            given.push(x.clone());
            x = layer.forward(&x, cache.as_ref())?;
        }
        let pooled = self.norm.forward(&x)?.mean(1)?; // (B, D)
        Ok(SatStep { logits: self.head.forward(&self.head_norm.forward(&pooled)?)?, cache: Tensor::stack(&given, 0)? })
    }

    /// Features (B, T, F) to patches (B, N, D) with their positions, in order of frequency, then time.
    fn embed(&self, features: &Tensor) -> Result<Tensor> {
        let (_, frames, mels) = features.dims3()?;
        let (least_frames, wanted_mels) = (self.config.target_length, self.config.n_mels);
        if frames < least_frames || mels != wanted_mels {
            return Err(Error::FewFrames { frames, mels, least_frames, wanted_mels });
        }
        let x = self.features_norm.forward(&features.narrow(1, 0, least_frames)?)?;
        let image = x.to_dtype(self.head.weight().dtype())?.transpose(1, 2)?.unsqueeze(1)?; // (B, 1, F, T)
        let x = self.patches.forward(&image)?; // (B, D, F', T')
        Ok(self.place(&x, 0)?.flatten_from(2)?.transpose(1, 2)?.contiguous()?)
    }

    /// Adds positions to patches (B, D, F', T'), those of time from column `first` on.
    fn place(&self, x: &Tensor, first: usize) -> candle_core::Result<Tensor> {
        let time = self.time_positions.narrow(3, first, x.dim(3)?)?;
        x.broadcast_add(&time)?.broadcast_add(&self.frequency_positions)
    }

    /// What layer `n` sees of a cache (L, B, N, D). That of the first layer gets positions again, on top of those that its
    /// patches have: those of the columns behind a step.
    fn remembered(&self, cache: &Tensor, n: usize) -> candle_core::Result<Tensor> {
        let of_layer = cache.get(n)?; // (B, N, D)
        if n > 0 {
            return Ok(of_layer);
        }
        let (b, _, dim) = of_layer.dims3()?;
        let [rows, columns] = self.config.grid();
        let image = of_layer.transpose(1, 2)?.reshape((b, dim, rows, columns))?;
        self.place(&image, columns)?.flatten_from(2)?.transpose(1, 2)?.contiguous()
    }
}
