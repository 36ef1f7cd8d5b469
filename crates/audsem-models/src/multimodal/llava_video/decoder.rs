//! The language model behind the vision part.

use candle_core::Tensor;
use candle_nn::VarBuilder;

use super::{Config, LlavaVideoVision};
use crate::error::{Error, Result};
use crate::generate::{CausalDecoder, GenerationConfig};
use crate::language::{LanguageConfig, LanguageDecoder, LanguageNetwork};
use crate::vision::siglip;

/// A video and where it stands in its prompt.
#[derive(Debug, Clone)]
pub struct PromptedVideo {
    /// Vectors (N, D) of its frames.
    pub vectors: Tensor,
    /// Tokens of the prompt in front of them.
    pub before: usize,
}

/// The network: vision part and language model.
#[derive(Debug, Clone)]
pub struct LlavaVideo {
    vision: LlavaVideoVision,
    language: LanguageNetwork,
}

impl LlavaVideo {
    /// Loads the tensors of the vision part and those of the language model, `model` and `lm_head`.
    ///
    /// # Errors
    /// A configuration asks for something unsupported, or a tensor is missing or of another shape.
    pub fn load(
        vb: &VarBuilder<'_>,
        config: &Config,
        tower: &siglip::Config,
        language: &LanguageConfig,
    ) -> Result<Self> {
        let vision = LlavaVideoVision::load(vb, config, tower)?;
        Ok(Self { vision, language: LanguageNetwork::load(vb, language)? })
    }

    /// The vision part.
    #[must_use]
    pub fn vision(&self) -> &LlavaVideoVision {
        &self.vision
    }

    /// The language model.
    #[must_use]
    pub fn language(&self) -> &LanguageNetwork {
        &self.language
    }

    /// A decoder that continues prompts about these videos, one for each.
    #[must_use]
    pub fn decoder(&self, videos: Vec<PromptedVideo>) -> LlavaVideoDecoder<'_> {
        LlavaVideoDecoder { network: self, videos, language: LanguageDecoder::new(&self.language) }
    }

    /// How descriptions are written: the likeliest token each time, up to `max_new_tokens`, until one of `ends` ends it.
    #[must_use]
    pub fn generation_config(max_new_tokens: usize, ends: &[u32]) -> GenerationConfig {
        let (max_new_tokens, eos_token_id) = (Some(max_new_tokens), ends.to_vec());
        GenerationConfig { max_new_tokens, eos_token_id, ..GenerationConfig::default() }
    }

    /// Vectors (T + N, D) of a prompt of T tokens, with those of a video among them.
    ///
    /// # Errors
    /// The video stands behind the prompt's end, or a token is not in the vocabulary.
    pub fn merge(&self, prompt: &[u32], video: &PromptedVideo) -> Result<Tensor> {
        let PromptedVideo { vectors, before } = video;
        let text = self.language.embed(prompt)?;
        let misplaced = || format!("a video behind {before} tokens of a prompt of {}", prompt.len());
        let after = prompt.len().checked_sub(*before);
        let after = after.ok_or_else(|| Error::from(candle_core::Error::Msg(misplaced())))?;
        let vectors = vectors.to_dtype(text.dtype())?;
        Ok(Tensor::cat(&[text.narrow(0, 0, *before)?, vectors, text.narrow(0, *before, after)?], 0)?)
    }
}

/// Descriptions in the making. Each prompt is read alone, so that none depends on the length of the others.
#[derive(Debug)]
pub struct LlavaVideoDecoder<'a> {
    network: &'a LlavaVideo,
    videos: Vec<PromptedVideo>,
    language: LanguageDecoder<'a>,
}

impl CausalDecoder for LlavaVideoDecoder<'_> {
    fn prefill(&mut self, prompts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        if prompts.len() != self.videos.len() {
            let message = format!("{} prompts about {} videos", prompts.len(), self.videos.len());
            return Err(candle_core::Error::Msg(message).into());
        }
        let merged = prompts.iter().zip(&self.videos).map(|(prompt, video)| self.network.merge(prompt, video));
        let merged = merged.collect::<Result<Vec<_>>>()?;
        self.language.prefill_embedded(&merged)
    }

    fn step(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
        self.language.step(tokens)
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        self.language.select(rows)
    }
}
