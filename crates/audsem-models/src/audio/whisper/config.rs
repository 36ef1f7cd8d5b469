//! `config.json` of Whisper.

use serde::Deserialize;

use super::encoder::{SpeechEncoderConfig, check_heads};
use crate::error::{Error, Result};
use crate::nn::Activation;

/// What `config.json` says; absent keys have the defaults of `WhisperConfig`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct WhisperConfig {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Mel bands.
    pub num_mel_bins: usize,
    /// Width D.
    pub d_model: usize,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Attention heads of the encoder.
    pub encoder_attention_heads: usize,
    /// Width of the encoder's feed-forward blocks.
    pub encoder_ffn_dim: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Attention heads of the decoder.
    pub decoder_attention_heads: usize,
    /// Width of the decoder's feed-forward blocks.
    pub decoder_ffn_dim: usize,
    /// Activation of the feed-forward blocks.
    pub activation_function: String,
    /// States of 30 seconds.
    pub max_source_positions: usize,
    /// Most tokens of a text.
    pub max_target_positions: usize,
    /// Whether token vectors are multiplied by the root of the width; must be false.
    pub scale_embedding: bool,
    /// The token that a text begins with.
    pub decoder_start_token_id: u32,
}

impl Default for WhisperConfig {
    fn default() -> Self {
        Self {
            vocab_size: 51_865,
            num_mel_bins: 80,
            d_model: 384,
            encoder_layers: 4,
            encoder_attention_heads: 6,
            encoder_ffn_dim: 1536,
            decoder_layers: 4,
            decoder_attention_heads: 6,
            decoder_ffn_dim: 1536,
            activation_function: "gelu".to_owned(),
            max_source_positions: 1500,
            max_target_positions: 448,
            scale_embedding: false,
            decoder_start_token_id: 50_257,
        }
    }
}

impl WhisperConfig {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<()> {
        if self.scale_embedding {
            return Err(Error::unsupported("scale_embedding", &true, "false"));
        }
        Error::check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("decoder_layers", self.decoder_layers),
            ("decoder_attention_heads", self.decoder_attention_heads),
            ("decoder_ffn_dim", self.decoder_ffn_dim),
            ("max_target_positions", self.max_target_positions),
        ])?;
        self.encoder()?.validate()?;
        check_heads("decoder_attention_heads", self.decoder_attention_heads, self.d_model)
    }

    pub(super) fn activation(&self) -> Result<Activation> {
        Activation::from_name("activation_function", &self.activation_function)
    }

    pub(crate) fn encoder(&self) -> Result<SpeechEncoderConfig> {
        Ok(SpeechEncoderConfig {
            mels: self.num_mel_bins,
            positions: self.max_source_positions,
            dim: self.d_model,
            heads: self.encoder_attention_heads,
            layers: self.encoder_layers,
            intermediate: self.encoder_ffn_dim,
            activation: self.activation()?,
        })
    }
}
