//! From samples and strings to vectors.

use audsem_core::hub::ModelDir;
use candle_core::{DType, Device, Tensor};

use super::{Clap, ClapInference, FeatureConfig, FeatureExtractor, Features};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// A checkpoint with its feature extractor and its tokenizer, for inference.
#[derive(Debug)]
pub struct ClapEncoder {
    model: ClapInference,
    extractor: FeatureExtractor,
    tokenizer: Tokenizer,
}

impl ClapEncoder {
    /// Opens a checkpoint in the layout of the Hugging Face hub. Texts are truncated to the tokens the network
    /// takes, special ones included, or to `max_tokens` if that is less.
    ///
    /// # Errors
    /// A file cannot be read; configuration or features are unsupported; tensors are missing, unused or of another
    /// shape, all of which are named.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType, max_tokens: Option<usize>) -> Result<Self> {
        let extractor = FeatureExtractor::new(&FeatureConfig::open(dir)?)?;
        let model = Clap::open(dir, device, dtype)?;
        let tokenizer = Tokenizer::load(dir, model.config().text_config.longest(), max_tokens)?;
        Ok(Self { model: model.into_inference()?, extractor, tokenizer })
    }

    /// As [`FusedTextModel::with_batch_size`](crate::nn::text::FusedTextModel::with_batch_size).
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        Self { model: self.model.with_batch_size(batch_size), ..self }
    }

    /// Makes the features of sounds, in any number of threads.
    #[must_use]
    pub fn extractor(&self) -> &FeatureExtractor {
        &self.extractor
    }

    /// Width D of the vectors.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.model.config().projection_dim
    }

    /// As [`ClapInference::logit_scale`].
    #[must_use]
    pub fn logit_scale(&self) -> f32 {
        self.model.logit_scale()
    }

    /// Unit vectors (B, D) of sounds; none depends on the others.
    ///
    /// # Errors
    /// Features of another extractor, memory, device.
    pub fn embed_features(&self, sounds: &[&Features]) -> Result<Tensor> {
        let Some(first) = sounds.first() else {
            return Ok(Tensor::zeros((0, self.dim()), DType::F32, self.model.device())?);
        };
        let mels = first.mel.len() / (first.channels * first.frames).max(1);
        let mut values = Vec::with_capacity(sounds.len() * first.mel.len());
        for sound in sounds {
            if sound.mel.len() != first.mel.len() {
                return Err(Error::MixedFeatures);
            }
            values.extend_from_slice(&sound.mel);
        }
        let shape = (sounds.len(), first.channels, first.frames, mels);
        let longer: Vec<bool> = sounds.iter().map(|sound| sound.is_longer).collect();
        self.model.embed_audio(&Tensor::from_vec(values, shape, &Device::Cpu)?, &longer)
    }

    /// Unit vectors (B, D) of texts; none depends on the others, and their order does not matter for speed.
    ///
    /// # Errors
    /// The tokenizer refuses a text, memory, device.
    pub fn embed_texts(&self, texts: &[&str]) -> Result<Tensor> {
        if texts.is_empty() {
            return Ok(Tensor::zeros((0, self.dim()), DType::F32, self.model.device())?);
        }
        let ids = texts.iter().map(|text| self.tokenizer.ids(text)).collect::<Result<Vec<_>>>()?;
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        self.model.embed_text(&ids)
    }

    /// Token ids of a text.
    ///
    /// # Errors
    /// The tokenizer refuses it.
    pub fn token_ids(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.ids(text)
    }

    /// Most tokens of a text, special ones included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.tokenizer.max_tokens()
    }

    /// Whether a text has more tokens than [`ClapEncoder::max_tokens`], so that its end is in no vector.
    ///
    /// # Errors
    /// The tokenizer refuses it.
    pub fn is_truncated(&self, text: &str) -> Result<bool> {
        Ok(self.tokenizer.encode(text)?.truncated)
    }
}
