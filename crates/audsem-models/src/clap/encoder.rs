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
        let (features, network) = (extractor.config(), &model.config().audio_config);
        if features.feature_size != network.num_mel_bins || features.frames() > network.max_frames() {
            return Err(Error::FeatureShape {
                frames: features.frames(),
                mels: features.feature_size,
                max_frames: network.max_frames(),
                wanted_mels: network.num_mel_bins,
            });
        }
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
        let ids = texts.iter().map(|text| self.tokenizer.ids(text)).collect::<Result<Vec<_>>>()?;
        self.embed_ids(&ids.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// Unit vectors (B, D) of texts given as token ids, as [`ClapEncoder::tokenizer`] makes them; otherwise as
    /// [`ClapEncoder::embed_texts`].
    ///
    /// # Errors
    /// A text without a token or with more than the network takes, an id outside the vocabulary, memory, device.
    pub fn embed_ids(&self, texts: &[&[u32]]) -> Result<Tensor> {
        if texts.is_empty() {
            return Ok(Tensor::zeros((0, self.dim()), DType::F32, self.model.device())?);
        }
        self.model.embed_text(texts)
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
}
