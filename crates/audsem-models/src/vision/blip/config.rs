//! What `config.json` says.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::Activation;

/// The vision tower; absent keys have the defaults of the transformers class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VisionConfig {
    /// Width E.
    pub hidden_size: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads, a divisor of E.
    pub num_attention_heads: usize,
    /// Side of the pictures.
    pub image_size: usize,
    /// Side of the patches, a divisor of the pictures'.
    pub patch_size: usize,
    /// Activation of the feed-forward block.
    pub hidden_act: String,
    /// Epsilon of layer normalisation.
    pub layer_norm_eps: f64,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 384,
            patch_size: 16,
            hidden_act: "gelu".to_owned(),
            layer_norm_eps: 1e-5,
        }
    }
}

impl VisionConfig {
    /// Patches along one side.
    pub(super) fn grid(&self) -> usize {
        self.image_size / self.patch_size.max(1)
    }
}

/// The text decoder; absent keys have the defaults of the transformers class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Width D.
    pub hidden_size: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads, a divisor of D.
    pub num_attention_heads: usize,
    /// Longest caption.
    pub max_position_embeddings: usize,
    /// Activation of the feed-forward block and of the output layer.
    pub hidden_act: String,
    /// Epsilon of layer normalisation.
    pub layer_norm_eps: f64,
    /// Id of the token that captions start with.
    pub bos_token_id: u32,
    /// Id of the token that captions end with.
    pub sep_token_id: u32,
    /// Id of the padding token.
    pub pad_token_id: u32,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 30_524,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 512,
            hidden_act: "gelu".to_owned(),
            layer_norm_eps: 1e-12,
            bos_token_id: 30_522,
            sep_token_id: 102,
            pad_token_id: 0,
        }
    }
}

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Name of the architecture family; must be `blip`.
    pub model_type: String,
    /// The text decoder.
    pub text_config: TextConfig,
    /// The vision tower.
    pub vision_config: VisionConfig,
}

impl Default for Config {
    fn default() -> Self {
        let (text_config, vision_config) = (TextConfig::default(), VisionConfig::default());
        Self { model_type: "blip".to_owned(), text_config, vision_config }
    }
}

impl Config {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first setting that it does not.
    pub fn validate(&self) -> Result<()> {
        let Self { model_type, text_config: text, vision_config: vision } = self;
        if model_type != "blip" {
            return Err(Error::unsupported("model_type", model_type, "blip"));
        }
        Error::check_sizes(&[
            ("vocab_size", text.vocab_size),
            ("hidden_size", text.hidden_size),
            ("intermediate_size", text.intermediate_size),
            ("max_position_embeddings", text.max_position_embeddings),
            ("hidden_size", vision.hidden_size),
            ("intermediate_size", vision.intermediate_size),
            ("image_size", vision.image_size),
            ("patch_size", vision.patch_size),
        ])?;
        Error::check_eps("layer_norm_eps", text.layer_norm_eps)?;
        Error::check_eps("layer_norm_eps", vision.layer_norm_eps)?;
        if !vision.image_size.is_multiple_of(vision.patch_size) {
            return Err(Error::unsupported("patch_size", &vision.patch_size, "a divisor of image_size"));
        }
        let heads = [(text.num_attention_heads, text.hidden_size), (vision.num_attention_heads, vision.hidden_size)];
        if let Some((heads, dim)) = heads.iter().find(|(heads, dim)| *heads == 0 || !dim.is_multiple_of(*heads)) {
            return Err(Error::unsupported("num_attention_heads", heads, &format!("a divisor of {dim}")));
        }
        Activation::from_name("hidden_act", &text.hidden_act)?;
        Activation::from_name("hidden_act", &vision.hidden_act).map(drop)
    }
}
