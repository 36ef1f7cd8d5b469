//! `config.json` of a CLAP checkpoint; absent keys have the defaults of the transformers classes.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::nn::Activation;
use crate::roberta;

/// The whole model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Name of the architecture family; must be `clap`.
    pub model_type: String,
    /// The audio tower.
    pub audio_config: AudioConfig,
    /// The text tower.
    #[serde(deserialize_with = "text_config")]
    pub text_config: roberta::Config,
    /// Width of the embeddings.
    pub projection_dim: usize,
    /// Activation between the two layers of a projection.
    pub projection_hidden_act: String,
    /// Exponential of the logit scales of a new model.
    pub logit_scale_init_value: f64,
    /// Most tokens of a text, special ones included, where the library gives the network fewer than it has positions for;
    /// transformers has no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_text_tokens: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model_type: "clap".to_owned(),
            audio_config: AudioConfig::default(),
            text_config: roberta::Config::clap(),
            projection_dim: 512,
            projection_hidden_act: "relu".to_owned(),
            logit_scale_init_value: 1.0 / 0.07,
            max_text_tokens: None,
        }
    }
}

impl Config {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<()> {
        if self.model_type != "clap" {
            return Err(Error::unsupported("model_type", &self.model_type, "clap"));
        }
        Error::check_sizes(&[("projection_dim", self.projection_dim)])?;
        self.audio_config.validate()?;
        self.text_config.validate()?;
        Activation::from_name("projection_hidden_act", &self.projection_hidden_act).map(drop)
    }
}

/// Fills absent keys with the defaults of `ClapTextConfig`, which are not those of `RobertaConfig`.
fn text_config<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<roberta::Config, D::Error> {
    let given = Map::deserialize(deserializer)?;
    let defaults = serde_json::to_value(roberta::Config::clap()).map_err(D::Error::custom)?;
    let mut filled = defaults.as_object().cloned().unwrap_or_default();
    filled.extend(given);
    serde_json::from_value(Value::Object(filled)).map_err(D::Error::custom)
}

/// A number, or two of them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number or a list of two numbers")]
enum OneOrTwo {
    One(usize),
    Two([usize; 2]),
}

/// Two numbers, or one that stands for both.
fn pair<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<[usize; 2], D::Error> {
    Ok(match OneOrTwo::deserialize(deserializer)? {
        OneOrTwo::One(both) => [both; 2],
        OneOrTwo::Two(pair) => pair,
    })
}

/// A number, or two that are the same.
fn side<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<usize, D::Error> {
    match pair(deserializer)? {
        [height, width] if height == width => Ok(height),
        [height, width] => Err(D::Error::custom(format!("patches of {height} by {width}: only squares are supported"))),
    }
}

/// The HTSAT audio tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AudioConfig {
    /// Side of an attention window, in patches.
    pub window_size: usize,
    /// Mel bins F.
    pub num_mel_bins: usize,
    /// Side S of the image that the features are folded into; a multiple of F.
    pub spec_size: usize,
    /// Activation of the feed-forward blocks.
    pub hidden_act: String,
    /// Side of a patch. As in transformers, a file may give both sides.
    #[serde(deserialize_with = "side")]
    pub patch_size: usize,
    /// Steps between patches along frequency and time; must equal the patch size. A file may give one number for both.
    #[serde(deserialize_with = "pair")]
    pub patch_stride: [usize; 2],
    /// Width of the output.
    pub hidden_size: usize,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Heads of each stage.
    pub num_attention_heads: Vec<usize>,
    /// Whether long audio comes as four views, which are fused.
    pub enable_fusion: bool,
    /// How they are fused. All names mean `aff_2d`, also none (as published checkpoints have it), but `channel_map`,
    /// which the network does not have.
    pub fusion_type: Option<String>,
    /// Channels of the image; must be 1.
    pub patch_embed_input_channels: usize,
    /// Whether patches become a sequence; must be true.
    pub flatten_patch_embeds: bool,
    /// Width C of the first stage.
    pub patch_embeds_hidden_size: usize,
    /// Whether patches are normalised.
    pub enable_patch_layer_norm: bool,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Width of a feed-forward block over the width of its stage.
    pub mlp_ratio: f64,
    /// C over the inner width of the fusion.
    pub aff_block_r: usize,
    /// Epsilon of layer normalisation within the blocks.
    pub layer_norm_eps: f64,
    /// Multiplies the standard deviation of new weights.
    pub initializer_factor: f64,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self {
            window_size: 8,
            num_mel_bins: 64,
            spec_size: 256,
            hidden_act: "gelu".to_owned(),
            patch_size: 4,
            patch_stride: [4, 4],
            hidden_size: 768,
            depths: vec![2, 2, 6, 2],
            num_attention_heads: vec![4, 8, 16, 32],
            enable_fusion: false,
            fusion_type: None,
            patch_embed_input_channels: 1,
            flatten_patch_embeds: true,
            patch_embeds_hidden_size: 96,
            enable_patch_layer_norm: true,
            qkv_bias: true,
            mlp_ratio: 4.0,
            aff_block_r: 4,
            layer_norm_eps: 1e-5,
            initializer_factor: 1.0,
        }
    }
}

/// Largest side of the image, eight times that of the published networks. No weight depends on it, and memory does.
const MAX_SIDE: usize = 2048;

/// Most stages: each halves the image.
const MAX_STAGES: usize = 8;

/// Most numbers in the masks of a block's windows.
const MAX_MASK: usize = 1 << 24;

/// Standard deviation of new weights.
const INITIALIZER_RANGE: f64 = 0.02;

impl AudioConfig {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self) -> Result<()> {
        Activation::from_name("hidden_act", &self.hidden_act)?;
        self.validate_sizes()?;
        self.validate_grid()?;
        if self.enable_fusion && (self.aff_block_r == 0 || self.patch_embeds_hidden_size < self.aff_block_r) {
            return Err(Error::unsupported("aff_block_r", &self.aff_block_r, "1 to patch_embeds_hidden_size"));
        }
        if self.enable_fusion && self.fusion_type.as_deref() == Some("channel_map") {
            return Err(Error::unsupported("fusion_type", &self.fusion_type, "aff_2d, or null"));
        }
        Ok(())
    }

    /// Refuses what is absurd, before anything is computed from it.
    fn validate_sizes(&self) -> Result<()> {
        Error::check_sizes(&[
            ("patch_embeds_hidden_size", self.patch_embeds_hidden_size),
            ("window_size", self.window_size),
            ("num_mel_bins", self.num_mel_bins),
            ("patch_size", self.patch_size),
        ])?;
        Error::check_eps("layer_norm_eps", self.layer_norm_eps)?;
        if !(1..=MAX_SIDE).contains(&self.spec_size) {
            return Err(Error::unsupported("spec_size", &self.spec_size, &format!("1 to {MAX_SIDE}")));
        }
        if !(1..=MAX_STAGES).contains(&self.depths.len()) {
            let supported = format!("1 to {MAX_STAGES} stages");
            return Err(Error::unsupported("depths", &self.depths.len(), &supported));
        }
        if !(self.mlp_ratio > 0.0 && self.mlp_ratio <= 1024.0) {
            return Err(Error::unsupported("mlp_ratio", &self.mlp_ratio, "above 0, to 1024"));
        }
        Ok(())
    }

    /// Names what does not fit together, of patches, windows, stages and heads.
    fn validate_grid(&self) -> Result<()> {
        if self.patch_stride != [self.patch_size; 2] || self.patch_size == 0 {
            return Err(Error::unsupported("patch_stride", &self.patch_stride, "the patch size, twice"));
        }
        if self.patch_embed_input_channels != 1 {
            return Err(Error::unsupported("patch_embed_input_channels", &self.patch_embed_input_channels, "1"));
        }
        if !self.flatten_patch_embeds {
            return Err(Error::unsupported("flatten_patch_embeds", &false, "true"));
        }
        if self.num_mel_bins == 0 || !self.spec_size.is_multiple_of(self.num_mel_bins) {
            return Err(Error::unsupported("spec_size", &self.spec_size, "a multiple of num_mel_bins"));
        }
        let heads = &self.num_attention_heads;
        if heads.len() != self.depths.len() {
            return Err(Error::unsupported("num_attention_heads", heads, "as many numbers as depths has"));
        }
        for (stage, &heads) in heads.iter().enumerate() {
            if heads == 0 || !self.dim(stage).is_multiple_of(heads) {
                return Err(Error::unsupported(
                    "num_attention_heads",
                    &self.num_attention_heads,
                    "divisors of the stages' widths",
                ));
            }
            let (side, window) = (self.side(stage), self.window(stage));
            let halves = self.spec_size == self.patch_size * self.side(0) && self.side(0) == side << stage;
            if window == 0 || !side.is_multiple_of(window) || !halves {
                return Err(Error::unsupported(
                    "spec_size",
                    &self.spec_size,
                    "such that patches form whole windows in every stage",
                ));
            }
        }
        if (self.side(0) * self.window(0)).pow(2) > MAX_MASK {
            return Err(Error::unsupported("window_size", &self.window_size, "windows whose masks fit into memory"));
        }
        Ok(())
    }

    /// Width of a stage.
    #[must_use]
    pub fn dim(&self, stage: usize) -> usize {
        self.patch_embeds_hidden_size << stage
    }

    /// Width of the output.
    #[must_use]
    pub fn output_dim(&self) -> usize {
        self.dim(self.depths.len() - 1)
    }

    /// Side of a stage's grid, in tokens.
    #[must_use]
    pub fn side(&self, stage: usize) -> usize {
        (self.spec_size / self.patch_size) >> stage
    }

    /// Side of a stage's windows.
    #[must_use]
    pub fn window(&self, stage: usize) -> usize {
        self.window_size.min(self.side(stage))
    }

    /// Pieces of time that are stacked along frequency.
    #[must_use]
    pub fn freq_ratio(&self) -> usize {
        self.spec_size / self.num_mel_bins
    }

    /// Frames that fill the image.
    #[must_use]
    pub fn max_frames(&self) -> usize {
        self.spec_size * self.freq_ratio()
    }

    /// Standard deviation of new weights.
    pub(super) fn stdev(&self) -> f64 {
        INITIALIZER_RANGE * self.initializer_factor
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn sparse_files_get_the_defaults_of_the_classes() {
        let json = r#"{"audio_config": {"depths": [2, 2, 12, 2], "hidden_size": 1024, "patch_embeds_hidden_size": 128},
            "text_config": {}}"#;
        let config: Config = serde_json::from_str(json).unwrap();
        config.validate().unwrap();
        let audio = &config.audio_config;
        assert_eq!((audio.output_dim(), audio.side(0), audio.side(3), audio.max_frames()), (1024, 64, 8, 1024));
        assert!((config.text_config.layer_norm_eps - 1e-12).abs() < 1e-20);
        assert_eq!((config.text_config.vocab_size, config.text_config.max_position_embeddings), (50265, 514));
    }

    #[test]
    fn a_fused_checkpoint_need_not_say_how_it_fuses() {
        for key in ["", r#", "fusion_type": null"#, r#", "fusion_type": "aff_2d""#] {
            let json = format!(r#"{{"audio_config": {{"enable_fusion": true{key}}}}}"#);
            let config: Config = serde_json::from_str(&json).unwrap();
            assert!(config.audio_config.enable_fusion);
            config.validate().unwrap();
        }
    }

    #[test]
    fn sides_of_patches_come_in_both_forms() {
        for json in [
            r#"{"patch_size": 8, "patch_stride": [8, 8]}"#,
            r#"{"patch_size": [8, 8], "patch_stride": 8}"#,
            r#"{"patch_size": [8, 8], "patch_stride": [8, 8]}"#,
            r#"{"patch_size": 8, "patch_stride": 8}"#,
        ] {
            let config: AudioConfig = serde_json::from_str(json).unwrap();
            assert_eq!((config.patch_size, config.patch_stride), (8, [8, 8]), "{json}");
        }
        assert_eq!(serde_json::to_value(AudioConfig::default()).unwrap()["patch_size"], 4);
        for (json, part) in [
            (r#"{"patch_size": [4, 2]}"#, "patches of 4 by 2: only squares"),
            (r#"{"patch_size": [4]}"#, "a list of two numbers"),
            (r#"{"patch_stride": "4"}"#, "a list of two numbers"),
        ] {
            let error = serde_json::from_str::<AudioConfig>(json).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_the_network_does_not_have_is_named() {
        for (json, part) in [
            (r#"{"model_type": "bert"}"#, "model_type"),
            (r#"{"audio_config": {"patch_stride": [2, 2]}}"#, "patch_stride"),
            (r#"{"audio_config": {"enable_fusion": true, "fusion_type": "channel_map"}}"#, "fusion_type"),
            (r#"{"audio_config": {"spec_size": 200}}"#, "spec_size"),
            (r#"{"audio_config": {"num_attention_heads": [4, 8, 16]}}"#, "num_attention_heads"),
            (r#"{"audio_config": {"num_attention_heads": [5, 8, 16, 32]}}"#, "num_attention_heads"),
            (r#"{"projection_hidden_act": "swish?"}"#, "projection_hidden_act"),
            (r#"{"projection_dim": 0}"#, "projection_dim"),
            (r#"{"projection_dim": 18446744073709551615}"#, "projection_dim"),
            (r#"{"text_config": {"hidden_size": 0}}"#, "hidden_size"),
            (r#"{"text_config": {"vocab_size": 1099511627776}}"#, "vocab_size"),
            (r#"{"text_config": {"layer_norm_eps": -1.0}}"#, "layer_norm_eps"),
            (r#"{"audio_config": {"spec_size": 1099511627776}}"#, "spec_size"),
            (r#"{"audio_config": {"patch_embeds_hidden_size": 9223372036854775808}}"#, "patch_embeds_hidden_size"),
            (
                r#"{"audio_config": {"depths": [1,1,1,1,1,1,1,1,1], "num_attention_heads": [1,1,1,1,1,1,1,1,1]}}"#,
                "depths",
            ),
            (r#"{"audio_config": {"depths": [], "num_attention_heads": []}}"#, "depths"),
            (r#"{"audio_config": {"spec_size": 2048, "num_mel_bins": 64, "window_size": 256}}"#, "window_size"),
            (r#"{"audio_config": {"window_size": 0}}"#, "window_size"),
            (r#"{"audio_config": {"patch_size": 0, "patch_stride": [0, 0]}}"#, "patch_size"),
            (r#"{"audio_config": {"mlp_ratio": -4.0}}"#, "mlp_ratio"),
            (r#"{"audio_config": {"mlp_ratio": 1e300}}"#, "mlp_ratio"),
            (r#"{"audio_config": {"num_attention_heads": [0, 8, 16, 32]}}"#, "num_attention_heads"),
        ] {
            let config: Config = serde_json::from_str(json).unwrap();
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
