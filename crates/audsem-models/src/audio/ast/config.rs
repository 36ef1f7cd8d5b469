//! The configuration of AST and of its features.

use std::collections::BTreeMap;

use audsem_media::audio::{FrameCount, FrontEndConfig, MelConfig, Normalization};
use serde::{Deserialize, Serialize};

use super::SAMPLE_RATE_HZ;
use crate::error::{Error, Result, SettingValue};
use crate::nn::Activation;

/// Number of classes of ESC-50.
const ESC50_CLASSES: usize = 50;

/// Number of classes of AudioSet.
const AUDIOSET_CLASSES: usize = 527;

/// What `config.json` says; absent keys have the defaults of `ASTConfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Width D.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads; D is a multiple of it.
    pub num_attention_heads: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Activation of the feed-forward block.
    pub hidden_act: String,
    /// Epsilon of layer normalisation.
    pub layer_norm_eps: f64,
    /// Height and width of a patch.
    pub patch_size: usize,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Bands from one patch to the next.
    pub frequency_stride: usize,
    /// Frames from one patch to the next.
    pub time_stride: usize,
    /// Frames of a clip.
    pub max_length: usize,
    /// Bands of a frame.
    pub num_mel_bins: usize,
    /// Names of the classes by index.
    pub id2label: BTreeMap<usize, String>,
    /// `single_label_classification` or `multi_label_classification`, where the checkpoint says.
    pub problem_type: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".to_owned(),
            layer_norm_eps: 1e-12,
            patch_size: 16,
            qkv_bias: true,
            frequency_stride: 10,
            time_stride: 10,
            max_length: 1024,
            num_mel_bins: 128,
            id2label: BTreeMap::new(),
            problem_type: None,
        }
    }
}

/// Which classes a checkpoint tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AstHead {
    /// The 50 classes of ESC-50, one of which applies.
    Esc50,
    /// The 527 classes of AudioSet, any of which apply.
    AudioSet,
    /// Other classes.
    Other,
}

impl Config {
    /// Checks that this network supports all settings.
    ///
    /// # Errors
    /// The first that it does not support.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("max_length", self.max_length),
            ("num_mel_bins", self.num_mel_bins),
            ("patch_size", self.patch_size),
            ("frequency_stride", self.frequency_stride),
            ("time_stride", self.time_stride),
        ])?;
        Error::check_eps("layer_norm_eps", self.layer_norm_eps)?;
        let refuse = |key, value: &dyn SettingValue, supported| Err(Error::unsupported(key, value, supported));
        if self.num_attention_heads == 0 || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return refuse("num_attention_heads", &self.num_attention_heads, "a divisor of hidden_size");
        }
        if self.patch_size > self.num_mel_bins.min(self.max_length) {
            return refuse("patch_size", &self.patch_size, "at most num_mel_bins and max_length");
        }
        if self.id2label.is_empty() || self.id2label.keys().enumerate().any(|(index, id)| index != *id) {
            return refuse("id2label", &self.id2label.len(), "the name of every class, by indices from 0 on");
        }
        self.is_multi_label()?;
        Activation::from_name("hidden_act", &self.hidden_act).map(|_| ())
    }

    /// Which classes the checkpoint tells apart, by their number.
    #[must_use]
    pub fn head(&self) -> AstHead {
        match self.id2label.len() {
            ESC50_CLASSES => AstHead::Esc50,
            AUDIOSET_CLASSES => AstHead::AudioSet,
            _ => AstHead::Other,
        }
    }

    /// Names of the classes in the order of the output.
    #[must_use]
    pub fn labels(&self) -> Vec<&str> {
        self.id2label.values().map(String::as_str).collect()
    }

    /// Whether several classes may apply to a clip. A checkpoint that does not say so is one of single labels, unless its
    /// classes are those of AudioSet.
    ///
    /// # Errors
    /// The checkpoint is no classifier.
    pub(super) fn is_multi_label(&self) -> Result<bool> {
        match self.problem_type.as_deref() {
            None => Ok(self.head() == AstHead::AudioSet),
            Some("multi_label_classification") => Ok(true),
            Some("single_label_classification") => Ok(false),
            Some(other) => {
                let supported = "single_label_classification, multi_label_classification";
                Err(Error::unsupported("problem_type", &other, supported))
            }
        }
    }

    /// Patches along frequency and along time.
    pub(super) fn grid(&self) -> [usize; 2] {
        let patches = |length: usize, stride: usize| (length - self.patch_size) / stride + 1;
        [patches(self.num_mel_bins, self.frequency_stride), patches(self.max_length, self.time_stride)]
    }
}

/// What `preprocessor_config.json` says; absent keys have the defaults of `ASTFeatureExtractor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AstFeatureConfig {
    /// Sample rate in Hz; must be 16,000.
    pub sampling_rate: u32,
    /// Bands of a frame.
    pub num_mel_bins: usize,
    /// Frames of a clip: longer ones are cut, shorter ones filled with zeros.
    pub max_length: usize,
    /// Whether features are normalised.
    pub do_normalize: bool,
    /// What is subtracted.
    pub mean: f64,
    /// Half of what is divided by.
    pub std: f64,
}

impl Default for AstFeatureConfig {
    fn default() -> Self {
        Self {
            sampling_rate: SAMPLE_RATE_HZ,
            num_mel_bins: 128,
            max_length: 1024,
            do_normalize: true,
            mean: -4.267_739_3,
            std: 4.568_997_4,
        }
    }
}

impl AstFeatureConfig {
    /// The front end.
    ///
    /// # Errors
    /// The sample rate is another one.
    pub fn front_end(&self) -> Result<FrontEndConfig> {
        if self.sampling_rate != SAMPLE_RATE_HZ {
            return Err(Error::unsupported("sampling_rate", &self.sampling_rate, "16000"));
        }
        let normalization = Normalization { mean: self.mean, divisor: 2.0 * self.std };
        Ok(FrontEndConfig {
            mel: MelConfig::kaldi(self.num_mel_bins, 20.0, 8000.0),
            n_frames: FrameCount::Fixed(self.max_length),
            normalization: self.do_normalize.then_some(normalization),
            ..FrontEndConfig::ast()
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn labelled(n: usize) -> Config {
        Config { id2label: (0..n).map(|id| (id, format!("class {id}"))).collect(), ..Config::default() }
    }

    #[test]
    fn the_number_of_names_tells_the_head() {
        for (n, head, multi) in
            [(50, AstHead::Esc50, false), (527, AstHead::AudioSet, true), (2, AstHead::Other, false)]
        {
            let config = labelled(n);
            config.validate().unwrap();
            assert_eq!((config.head(), config.is_multi_label().unwrap(), config.labels().len()), (head, multi, n));
        }
        assert_eq!(labelled(50).grid(), [12, 101]);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let read = |json: &str| serde_json::from_str::<Config>(json).unwrap().validate().unwrap_err().to_string();
        for (json, part) in [
            ("{}", "id2label"),
            (r#"{"id2label": {"0": "a", "2": "b"}}"#, "id2label"),
            (r#"{"id2label": {"0": "a"}, "problem_type": "regression"}"#, "problem_type"),
            (r#"{"id2label": {"0": "a"}, "num_attention_heads": 7}"#, "num_attention_heads"),
            (r#"{"id2label": {"0": "a"}, "patch_size": 129}"#, "patch_size"),
            (r#"{"id2label": {"0": "a"}, "time_stride": 0}"#, "time_stride"),
            (r#"{"id2label": {"0": "a"}, "hidden_act": "sine"}"#, "hidden_act"),
        ] {
            let error = read(json);
            assert!(error.contains(part), "{json}: {error}");
        }
        let rate = AstFeatureConfig { sampling_rate: 44_100, ..AstFeatureConfig::default() };
        assert!(rate.front_end().unwrap_err().to_string().contains("sampling_rate"));
        assert_eq!(AstFeatureConfig::default().front_end().unwrap(), FrontEndConfig::ast());
    }
}
