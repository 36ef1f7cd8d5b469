//! The network: the language model behind the vision part.

use candle_core::Tensor;
use candle_nn::VarBuilder;

use super::{Config, LlavaVideoVision};
use crate::error::Result;
use crate::generate::GenerationConfig;
use crate::language::{LanguageConfig, LanguageNetwork};
use crate::multimodal::{MultimodalNetwork, splice};
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

    /// How descriptions are written: the likeliest token each time, up to `max_new_tokens`, until one of `ends` ends it.
    #[must_use]
    pub fn generation_config(max_new_tokens: usize, ends: &[u32]) -> GenerationConfig {
        let (max_new_tokens, eos_token_id) = (Some(max_new_tokens), ends.to_vec());
        GenerationConfig { max_new_tokens, eos_token_id, ..GenerationConfig::default() }
    }
}

impl MultimodalNetwork for LlavaVideo {
    type Media = PromptedVideo;

    fn language(&self) -> &LanguageNetwork {
        &self.language
    }

    /// The video stands between the tokens in front of it and the rest of the prompt.
    fn merge(&self, prompt: &[u32], PromptedVideo { vectors, before }: &PromptedVideo) -> Result<Tensor> {
        splice(&self.language.embed(prompt)?, &[(*before..*before, vectors.clone())])
    }
}
