//! What `config.json` says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::Activation;

/// Maps that the encoder mixes: the last three stages of the backbone.
pub(super) const LEVELS: usize = 3;

/// The backbone; absent keys have the defaults of the transformers class, which are those of ResNet-50-D.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackboneConfig {
    /// Channels behind the stem.
    pub embedding_size: usize,
    /// Channels behind each of the four stages.
    pub hidden_sizes: Vec<usize>,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Kind of blocks; must be `bottleneck`.
    pub layer_type: String,
    /// Activation.
    pub hidden_act: String,
    /// Whether the first stage halves the map; must be false.
    pub downsample_in_first_stage: bool,
    /// Whether the first instead of the second convolution of a block has the stride; must be false.
    pub downsample_in_bottleneck: bool,
    /// The stages whose maps are used; must be the last three.
    pub out_features: Option<Vec<String>>,
}

impl Default for BackboneConfig {
    fn default() -> Self {
        Self {
            embedding_size: 64,
            hidden_sizes: vec![256, 512, 1024, 2048],
            depths: vec![3, 4, 6, 3],
            layer_type: "bottleneck".to_owned(),
            hidden_act: "relu".to_owned(),
            downsample_in_first_stage: false,
            downsample_in_bottleneck: false,
            out_features: None,
        }
    }
}

/// The network; absent keys have the defaults of the transformers class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Name of the architecture family; must be `rt_detr`.
    pub model_type: String,
    /// The backbone.
    pub backbone_config: BackboneConfig,
    /// Width of the hybrid encoder.
    pub encoder_hidden_dim: usize,
    /// Transformer layers of the encoder, on each map of `encode_proj_layers`.
    pub encoder_layers: usize,
    /// Width of the encoder's feed-forward block.
    pub encoder_ffn_dim: usize,
    /// Attention heads of the encoder.
    pub encoder_attention_heads: usize,
    /// The maps with transformer layers.
    pub encode_proj_layers: Vec<usize>,
    /// Base of the wavelengths of positions.
    pub positional_encoding_temperature: f64,
    /// Activation of the encoder's feed-forward block.
    pub encoder_activation_function: String,
    /// Activation of the encoder's convolutions.
    pub activation_function: String,
    /// Side of pictures for which positions are stored; must be absent.
    pub eval_size: Option<serde_json::Value>,
    /// Whether norms stand before the parts of the encoder's layers; must be false.
    pub normalize_before: bool,
    /// Width of the inner convolutions of a block that mixes two maps, as a share of the encoder's.
    pub hidden_expansion: f64,
    /// Width D of the decoder.
    pub d_model: usize,
    /// Queries Q, and most detections of a picture.
    pub num_queries: usize,
    /// Widths of the maps that the decoder reads.
    pub decoder_in_channels: Vec<usize>,
    /// Width of the decoder's feed-forward block.
    pub decoder_ffn_dim: usize,
    /// Maps that the decoder reads; must be 3.
    pub num_feature_levels: usize,
    /// Points that a head samples of each map.
    pub decoder_n_points: usize,
    /// Decoder layers.
    pub decoder_layers: usize,
    /// Attention heads of the decoder.
    pub decoder_attention_heads: usize,
    /// Activation of the decoder's feed-forward block.
    pub decoder_activation_function: String,
    /// Whether queries start with trained states; must be false.
    pub learn_initial_query: bool,
    /// Epsilon of layer normalisation.
    pub layer_norm_eps: f64,
    /// Epsilon of batch normalisation outside the backbone; must be that of the backbone, 1e-5.
    pub batch_norm_eps: f64,
    /// Class names by number.
    pub id2label: BTreeMap<u32, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model_type: "rt_detr".to_owned(),
            backbone_config: BackboneConfig::default(),
            encoder_hidden_dim: 256,
            encoder_layers: 1,
            encoder_ffn_dim: 1024,
            encoder_attention_heads: 8,
            encode_proj_layers: vec![2],
            positional_encoding_temperature: 10_000.0,
            encoder_activation_function: "gelu".to_owned(),
            activation_function: "silu".to_owned(),
            eval_size: None,
            normalize_before: false,
            hidden_expansion: 1.0,
            d_model: 256,
            num_queries: 300,
            decoder_in_channels: vec![256; LEVELS],
            decoder_ffn_dim: 1024,
            num_feature_levels: LEVELS,
            decoder_n_points: 4,
            decoder_layers: 6,
            decoder_attention_heads: 8,
            decoder_activation_function: "relu".to_owned(),
            learn_initial_query: false,
            layer_norm_eps: 1e-5,
            batch_norm_eps: super::conv::NORM_EPS,
            id2label: (0..2).map(|n| (n, format!("LABEL_{n}"))).collect(),
        }
    }
}

impl Config {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first setting that it does not.
    pub fn validate(&self) -> Result<()> {
        self.backbone_config.validate()?;
        self.check_switches()?;
        Error::check_sizes(&[
            ("encoder_hidden_dim", self.encoder_hidden_dim),
            ("encoder_ffn_dim", self.encoder_ffn_dim),
            ("d_model", self.d_model),
            ("num_queries", self.num_queries),
            ("decoder_ffn_dim", self.decoder_ffn_dim),
            ("decoder_n_points", self.decoder_n_points),
            ("decoder_layers", self.decoder_layers),
        ])?;
        Error::check_eps("layer_norm_eps", self.layer_norm_eps)?;
        let heads = [
            ("encoder_attention_heads", self.encoder_attention_heads, self.encoder_hidden_dim),
            ("decoder_attention_heads", self.decoder_attention_heads, self.d_model),
        ];
        for (key, heads, dim) in heads {
            if heads == 0 || !dim.is_multiple_of(heads) {
                return Err(Error::unsupported(key, &heads, &format!("a divisor of {dim}")));
            }
        }
        if !self.encoder_hidden_dim.is_multiple_of(4) {
            return Err(Error::unsupported("encoder_hidden_dim", &self.encoder_hidden_dim, "a multiple of 4"));
        }
        Activation::from_name("encoder_activation_function", &self.encoder_activation_function)?;
        Activation::from_name("activation_function", &self.activation_function)?;
        Activation::from_name("decoder_activation_function", &self.decoder_activation_function)?;
        self.labels().map(drop)
    }

    /// Refuses what would change the network's form.
    fn check_switches(&self) -> Result<()> {
        let refuse = |key, value, supported| Err(Error::unsupported(key, value, supported));
        if self.model_type != "rt_detr" {
            return refuse("model_type", &self.model_type, "rt_detr");
        }
        if self.num_feature_levels != LEVELS || self.decoder_in_channels.len() != LEVELS {
            return refuse("num_feature_levels", &self.num_feature_levels, "3, with 3 decoder_in_channels");
        }
        if let Some(map) = self.encode_proj_layers.iter().find(|map| **map >= LEVELS) {
            return refuse("encode_proj_layers", map, "0 to 2");
        }
        for (key, is_set) in [
            ("normalize_before", self.normalize_before),
            ("learn_initial_query", self.learn_initial_query),
            ("eval_size", self.eval_size.is_some()),
        ] {
            if is_set {
                return Err(Error::unsupported(key, &is_set, "neither true nor a value"));
            }
        }
        if (self.batch_norm_eps - super::conv::NORM_EPS).abs() > 1e-12 {
            return refuse("batch_norm_eps", &self.batch_norm_eps, "1e-5");
        }
        Ok(())
    }

    /// Names of the classes, in order.
    ///
    /// # Errors
    /// Numbers are missing, or there is no class.
    pub(super) fn labels(&self) -> Result<Vec<String>> {
        let in_order = self.id2label.keys().copied().eq((0..).take(self.id2label.len()));
        if !in_order || self.id2label.is_empty() {
            return Err(Error::unsupported("id2label", &self.id2label.len(), "names of the numbers from 0"));
        }
        Ok(self.id2label.values().cloned().collect())
    }
}

impl BackboneConfig {
    fn validate(&self) -> Result<()> {
        let refuse = |key, value, supported| Err(Error::unsupported(key, value, supported));
        if self.hidden_sizes.len() != LEVELS + 1 || self.hidden_sizes.iter().any(|size| !size.is_multiple_of(4)) {
            return refuse("hidden_sizes", &self.hidden_sizes, "four multiples of 4");
        }
        if self.depths.len() != self.hidden_sizes.len() || self.depths.contains(&0) {
            return refuse("depths", &self.depths, "a number of blocks for each of four stages");
        }
        if self.embedding_size < 2 || !self.embedding_size.is_multiple_of(2) {
            return refuse("embedding_size", &self.embedding_size, "an even number");
        }
        if self.layer_type != "bottleneck" || self.downsample_in_first_stage || self.downsample_in_bottleneck {
            return refuse(
                "layer_type",
                &self.layer_type,
                "bottleneck, with strides in the 3 × 3 convolutions of stages 2 to 4",
            );
        }
        let last_three = ["stage2", "stage3", "stage4"];
        if self.out_features.as_ref().is_some_and(|features| !features.iter().map(String::as_str).eq(last_three)) {
            return refuse("out_features", &self.out_features, "stage2, stage3, stage4");
        }
        Error::check_sizes(&[("hidden_sizes", *self.hidden_sizes.iter().min().unwrap_or(&0))])?;
        Activation::from_name("hidden_act", &self.hidden_act).map(drop)
    }
}
