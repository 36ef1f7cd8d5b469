//! The networks of all families behind one interface, for inference.

use candle_core::Tensor;
use candle_nn::VarBuilder;

use super::AudioLanguageConfig;
use crate::error::Result;
use crate::language::LanguageNetwork;
use crate::multimodal::MultimodalNetwork;
use crate::multimodal::qwen2_5_omni::OmniThinker;
use crate::multimodal::qwen2_audio::Qwen2Audio;

/// A network that hears and writes.
#[derive(Debug)]
pub enum AudioLanguageNetwork {
    /// Qwen2-Audio.
    Qwen2Audio(Box<Qwen2Audio>),
    /// The thinker of Qwen2.5-Omni.
    QwenOmni(Box<OmniThinker>),
}

impl AudioLanguageNetwork {
    /// Loads the network that a configuration describes, by the names of [`super::AudioFamily::tensor_name`].
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or the configuration asks for what the network does not have.
    pub fn load(vb: &VarBuilder<'_>, config: &AudioLanguageConfig) -> Result<Self> {
        Ok(match config {
            AudioLanguageConfig::Qwen2Audio(config) => Self::Qwen2Audio(Box::new(Qwen2Audio::load(vb, config)?)),
            AudioLanguageConfig::QwenOmni(config) => Self::QwenOmni(Box::new(OmniThinker::load(vb, config)?)),
        })
    }

    /// Vectors (N, E) that the language model gets of a sound: mono samples at [`crate::multimodal::SAMPLE_RATE_HZ`].
    ///
    /// # Errors
    /// The sound is too short, or a sample is not finite.
    pub fn embed_audio(&self, samples: &[f32]) -> Result<Tensor> {
        match self {
            Self::Qwen2Audio(network) => network.embed_audio(samples),
            Self::QwenOmni(network) => network.embed_audio(samples),
        }
    }
}

impl MultimodalNetwork for AudioLanguageNetwork {
    /// Vectors (N, E) of sounds, as [`AudioLanguageNetwork::embed_audio`] gives them.
    type Media = Vec<Tensor>;

    fn language(&self) -> &LanguageNetwork {
        match self {
            Self::Qwen2Audio(network) => network.language(),
            Self::QwenOmni(network) => network.language(),
        }
    }

    fn merge(&self, prompt: &[u32], sounds: &Vec<Tensor>) -> Result<Tensor> {
        match self {
            Self::Qwen2Audio(network) => network.merge(prompt, sounds),
            Self::QwenOmni(network) => network.merge(prompt, sounds),
        }
    }
}
