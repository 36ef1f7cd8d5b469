//! The configuration of BEATs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, SettingValue};
use crate::nn::Activation;

/// What the checkpoint's `cfg` says, and its `label_dict`; absent keys have the defaults of the reference's `BEATsConfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Height and width of a patch.
    pub input_patch_size: usize,
    /// Width of a patch's vector.
    pub embed_dim: usize,
    /// Whether the patches have a bias.
    pub conv_bias: bool,
    /// Encoder layers.
    pub encoder_layers: usize,
    /// Width D.
    pub encoder_embed_dim: usize,
    /// Width of the feed-forward block.
    pub encoder_ffn_embed_dim: usize,
    /// Attention heads H; D is a multiple of it.
    pub encoder_attention_heads: usize,
    /// Activation of the feed-forward block.
    pub activation_fn: String,
    /// Whether norms stand before each part; must be false.
    pub layer_norm_first: bool,
    /// Whether residuals are scaled by (2 · layers)^¼ (Wang et al., "DeepNet", 2022).
    pub deep_norm: bool,
    /// Patches that the positional convolution spans; even.
    pub conv_pos: usize,
    /// Groups of the positional convolution.
    pub conv_pos_groups: usize,
    /// Whether attention has a bias by distance; must be true.
    pub relative_position_embedding: bool,
    /// Classes of distances, half of them for keys behind the query.
    pub num_buckets: usize,
    /// The distance from which on all share a class.
    pub max_distance: usize,
    /// Whether the bias is gated by the query; must be true.
    pub gru_rel_pos: bool,
    /// Whether there is a classification head; must be true.
    pub finetuned_model: bool,
    /// Number of classes.
    pub predictor_class: usize,
    /// For each class its AudioSet id, such as `/m/09x0r`, by index; the order is the checkpoint's own, not that of
    /// AudioSet's table. Empty where the checkpoint does not say.
    pub label_dict: BTreeMap<usize, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            input_patch_size: 16,
            embed_dim: 512,
            conv_bias: false,
            encoder_layers: 12,
            encoder_embed_dim: 768,
            encoder_ffn_embed_dim: 3072,
            encoder_attention_heads: 12,
            activation_fn: "gelu".to_owned(),
            layer_norm_first: false,
            deep_norm: false,
            conv_pos: 128,
            conv_pos_groups: 16,
            relative_position_embedding: false,
            num_buckets: 320,
            max_distance: 1280,
            gru_rel_pos: false,
            finetuned_model: false,
            predictor_class: 527,
            label_dict: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first that it does not support.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[
            ("input_patch_size", self.input_patch_size),
            ("embed_dim", self.embed_dim),
            ("encoder_embed_dim", self.encoder_embed_dim),
            ("encoder_ffn_embed_dim", self.encoder_ffn_embed_dim),
            ("predictor_class", self.predictor_class),
            ("conv_pos", self.conv_pos),
        ])?;
        let flags = [
            ("layer_norm_first", self.layer_norm_first, false),
            ("relative_position_embedding", self.relative_position_embedding, true),
            ("gru_rel_pos", self.gru_rel_pos, true),
            ("finetuned_model", self.finetuned_model, true),
        ];
        if let Some((key, value, wanted)) = flags.into_iter().find(|(_, value, wanted)| value != wanted) {
            return Err(Error::unsupported(key, &value, &wanted.to_string()));
        }
        self.validate_shapes()?;
        Activation::from_name("activation_fn", &self.activation_fn).map(|_| ())
    }

    fn validate_shapes(&self) -> Result<()> {
        let refuse = |key, value: &dyn SettingValue, supported| Err(Error::unsupported(key, value, supported));
        let (dim, heads, groups) = (self.encoder_embed_dim, self.encoder_attention_heads, self.conv_pos_groups);
        if heads == 0 || !dim.is_multiple_of(heads) {
            return refuse("encoder_attention_heads", &heads, "a divisor of encoder_embed_dim");
        }
        if groups == 0 || !dim.is_multiple_of(groups) {
            return refuse("conv_pos_groups", &groups, "a divisor of encoder_embed_dim");
        }
        if self.input_patch_size > super::MEL_BINS {
            return refuse("input_patch_size", &self.input_patch_size, "1 to 128");
        }
        if self.conv_pos % 2 == 1 {
            return refuse("conv_pos", &self.conv_pos, "even numbers");
        }
        if self.num_buckets < 4 || !self.num_buckets.is_multiple_of(4) {
            return refuse("num_buckets", &self.num_buckets, "multiples of 4");
        }
        if self.max_distance <= self.num_buckets / 4 {
            return refuse("max_distance", &self.max_distance, "more than a quarter of num_buckets");
        }
        let named = self.label_dict.len();
        let is_complete = self.label_dict.keys().enumerate().all(|(index, id)| index == *id);
        if named > 0 && (named != self.predictor_class || !is_complete) {
            return refuse("label_dict", &named, "an AudioSet id for each of predictor_class classes, from 0 on");
        }
        Ok(())
    }

    /// What residuals are scaled by.
    pub(super) fn residual_scale(&self) -> f64 {
        if self.deep_norm { (2.0 * self.encoder_layers as f64).powf(0.25) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_not_supported_is_named() {
        let good = Config {
            relative_position_embedding: true,
            gru_rel_pos: true,
            finetuned_model: true,
            predictor_class: 2,
            ..Config::default()
        };
        good.validate().unwrap();
        let labels = |ids: &[usize]| ids.iter().map(|id| (*id, "/m/0".to_owned())).collect();
        Config { label_dict: labels(&[0, 1]), ..good.clone() }.validate().unwrap();
        for (config, part) in [
            (Config { finetuned_model: false, ..good.clone() }, "finetuned_model"),
            (Config { gru_rel_pos: false, ..good.clone() }, "gru_rel_pos"),
            (Config { layer_norm_first: true, ..good.clone() }, "layer_norm_first"),
            (Config { encoder_attention_heads: 5, ..good.clone() }, "encoder_attention_heads"),
            (Config { conv_pos: 127, ..good.clone() }, "conv_pos"),
            (Config { max_distance: 80, ..good.clone() }, "max_distance"),
            (Config { label_dict: labels(&[0]), ..good.clone() }, "label_dict"),
            (Config { label_dict: labels(&[0, 2]), ..good.clone() }, "label_dict"),
            (Config { activation_fn: "glu".to_owned(), ..good }, "activation_fn"),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
