//! From samples and strings to vectors.

use std::path::Path;

use audsem_core::hub::ModelDir;
use candle_core::{DType, Device, Tensor};

use super::network::Network;
use super::words::Words;
use super::{FeatureConfig, FeatureExtractor, Features, OpenClip, OpenClipConfig};
use crate::convert::{ConvertError, SourceFile, SourceNetwork};
use crate::error::{Error, Result};
use crate::tokenizer::Encoded;

/// A checkpoint with its feature extractor and its tokenizer, for inference.
#[derive(Debug)]
pub struct ClapEncoder {
    model: Network,
    extractor: FeatureExtractor,
    words: Words,
}

impl ClapEncoder {
    /// Opens a checkpoint in the layout of the Hugging Face hub, or of `open_clip`. Texts are truncated to the tokens the network
    /// takes, special ones included, or to `max_tokens` if that is less.
    ///
    /// # Errors
    /// A file cannot be read; configuration or features are unsupported; tensors are missing, unused or of another
    /// shape, all of which are named.
    pub fn open(dir: &ModelDir, device: &Device, dtype: DType, max_tokens: Option<usize>) -> Result<Self> {
        Self::open_with(dir, dir, device, dtype, max_tokens)
    }

    /// As [`ClapEncoder::open`], with the tokenizer of another folder.
    ///
    /// # Errors
    /// As [`ClapEncoder::open`].
    pub fn open_with(
        dir: &ModelDir,
        tokenizer: &ModelDir,
        device: &Device,
        dtype: DType,
        max_tokens: Option<usize>,
    ) -> Result<Self> {
        let features = match OpenClip::is_in(dir)? {
            true => OpenClipConfig::open(dir)?.audio.features(),
            false => FeatureConfig::open(dir)?,
        };
        let extractor = FeatureExtractor::new(&features)?;
        let model = Network::open(dir, device, dtype)?;
        Self::of_parts(model, extractor, tokenizer, max_tokens)
    }

    /// Opens the file that the authors of LAION's CLAP or of MS-CLAP 2023 published, with the tokenizer of a folder: that of
    /// `roberta-base` or of `gpt2`. Which of them it is, and its sizes, its tensors tell.
    ///
    /// # Errors
    /// The file cannot be read, its tensors are not those of such a network, or the tokenizer is not one for it.
    pub fn open_original(
        file: &Path,
        tokenizer: &ModelDir,
        device: &Device,
        dtype: DType,
        max_tokens: Option<usize>,
    ) -> std::result::Result<Self, ConvertError> {
        let converted = {
            let source = SourceFile::open(file, None, None)?;
            SourceNetwork::of_clap(&source)?.convert(&source)?
        };
        let vb = converted.var_builder(device, dtype)?;
        let model = match converted.network {
            SourceNetwork::MsClap => Network::load_msclap(&vb, &converted.config()?)?,
            _ => Network::load_clap(&vb, &converted.config()?)?,
        };
        let extractor = FeatureExtractor::new(&converted.features()?).map_err(Error::from)?;
        Ok(Self::of_parts(model, extractor, tokenizer, max_tokens)?)
    }

    fn of_parts(
        model: Network,
        extractor: FeatureExtractor,
        tokenizer: &ModelDir,
        max_tokens: Option<usize>,
    ) -> Result<Self> {
        let (features, (wanted_mels, most)) = (extractor.config(), model.hears());
        let (frames, mels) = (features.frames(), features.feature_size);
        let max_frames = most.unwrap_or(frames);
        if mels != wanted_mels || frames > max_frames {
            return Err(Error::FeatureShape { frames, mels, max_frames, wanted_mels });
        }
        let words = Words::load(tokenizer, &model, max_tokens)?;
        Ok(Self { model, extractor, words })
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
        self.model.dim()
    }

    /// What cosines of a sound are multiplied with before a softmax over texts.
    #[must_use]
    pub fn logit_scale(&self) -> f32 {
        self.model.logit_scale()
    }

    /// Unit vectors (B, D) of sounds; none depends on the others.
    ///
    /// # Errors
    /// Features of another extractor, memory, device.
    pub fn embed_features(&self, sounds: &[&Features]) -> Result<Tensor> {
        self.model.embed_features(sounds)
    }

    /// Unit vectors (B, D) of texts; none depends on the others, and their order does not matter for speed.
    ///
    /// # Errors
    /// The tokenizer refuses a text, memory, device.
    pub fn embed_texts(&self, texts: &[&str]) -> Result<Tensor> {
        let ids = texts.iter().map(|text| Ok(self.encode(text)?.ids)).collect::<Result<Vec<_>>>()?;
        self.embed_ids(&ids.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// Unit vectors (B, D) of texts given as token ids, as [`ClapEncoder::encode`] makes them; otherwise as
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

    /// The tokens of a text, with those that the network wants around it.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`](crate::tokenizer::Tokenizer::encode).
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        self.words.encode(text)
    }

    /// Most tokens of a text, special ones included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.words.max_tokens()
    }
}
