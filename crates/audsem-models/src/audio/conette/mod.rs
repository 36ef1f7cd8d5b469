//! CoNeTTE: captions of sounds in the style of a data set, by a ConvNeXt encoder and a word-level decoder.
//!
//! Labbé et al., "CoNeTTE: An Efficient Audio Captioning System Leveraging Multiple Datasets with Task Embedding", 2023;
//! numbers agree with the package `conette` 0.3.2 (`fixtures/regen/conette_caption.py`). Clips run without padding, which the
//! original's convolutions see.

mod beams;
mod captioner;
mod config;
mod decoder;
mod encoder;
mod text;

use candle_core::{DType, Tensor};
use candle_nn::{Init, VarBuilder};

pub use beams::CaptionTokens;
pub(crate) use captioner::is_ignorable;
pub use captioner::{CaptionSettings, ConetteCaptioner};
pub use config::{Config, TokenizerState, WordTable};

use crate::error::{Error, Result};
use crate::nn::{Activation, DecoderCache, Linear};
use crate::text::TextDecoder;
use decoder::WordDecoder;
use encoder::ConvNextEncoder;
use text::Vocabulary;

/// Sample rate of the sounds, in Hz.
pub const SAMPLE_RATE_HZ: u32 = 32_000;

/// Bands of a frame.
const MEL_BINS: usize = 224;

/// Standard deviation of new weights.
const STDEV: f64 = 0.02;

/// The network.
#[derive(Debug, Clone)]
pub struct Conette {
    encoder: ConvNextEncoder,
    projection: Linear,
    decoder: WordDecoder,
    vocabulary: Vocabulary,
    once: Vec<bool>,
    config: Config,
}

impl Conette {
    /// Loads all tensors, with the names of the original.
    ///
    /// # Errors
    /// The configuration asks for something unsupported, a tensor is missing or of another shape, or the tokens that
    /// captions start with are not those of the vocabulary.
    pub fn load(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let network = Self::load_unchecked(vb, config)?;
        let starts = numbers(&vb.pp("model"), "task_id_to_token_id", network.vocabulary.starts().len())?;
        if starts.iter().zip(network.vocabulary.starts()).any(|(stored, start)| f64::from(*stored) != f64::from(*start))
        {
            let supported = format!("task_id_to_token_id of the weights: {starts:?}");
            return Err(Error::unsupported("task_names", &network.vocabulary.starts(), &supported));
        }
        Ok(network)
    }

    /// As [`Conette::load`], without the comparison of the tokens that captions start with.
    pub(crate) fn load_unchecked(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let (model, vocabulary) = (vb.pp("model"), Vocabulary::new(config)?);
        numbers(&model, "task_id_to_token_id", vocabulary.starts().len())?;
        let once = numbers(&model, "forbid_rep_mask", vocabulary.len())?;
        Ok(Self {
            encoder: ConvNextEncoder::load(&vb.pp("preprocessor.encoder"), config)?,
            projection: Linear::load(&model.pp("projection.2"), config.encoder_dims[3], config.d_model, STDEV)?,
            decoder: WordDecoder::load(&model.pp("decoder"), config, vocabulary.len())?,
            vocabulary,
            once: once.into_iter().map(|flag| flag != 0.0).collect(),
            config: config.clone(),
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The encoder's vectors (B, S, C) of features (B, T, F) in decibels.
    ///
    /// # Errors
    /// Too few frames, other bands, memory, device.
    pub fn frames(&self, features: &Tensor) -> Result<Tensor> {
        self.encoder.forward(features)
    }

    /// What the decoder sees of the encoder's vectors (B, S, C): (B, S, D).
    ///
    /// # Errors
    /// Memory or device.
    pub fn states(&self, frames: &Tensor) -> Result<Tensor> {
        Ok(Activation::Relu.forward(&self.projection.forward(frames)?)?)
    }
}

/// Ids or flags of a checkpoint, which are exact in f32.
fn numbers(vb: &VarBuilder<'_>, name: &str, n: usize) -> Result<Vec<f32>> {
    Ok(vb.get_with_hints_dtype(n, name, Init::Const(0.0), DType::F32)?.to_vec1()?)
}

impl TextDecoder for Conette {
    fn cache(&self, batch: usize) -> DecoderCache {
        self.decoder.cache(batch)
    }

    fn decode(&self, ids: &Tensor, states: &Tensor, cache: &mut DecoderCache) -> Result<Tensor> {
        self.decoder.decode(ids, states, cache)
    }

    fn logits(&self, states: &Tensor) -> Result<Tensor> {
        self.decoder.logits(states)
    }
}
