//! `config.json` of Qwen2, Llama and Mixtral.

use candle_nn::VarBuilder;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::nn::{Activation, DecoderConfig, ProjectionBias, RopeScaling, Rotary};

/// Which reference a network follows where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Qwen2 and Qwen2.5: queries, keys and values have biases.
    Qwen2,
    /// Llama 1 to 3, SmolLM: biases are a setting.
    Llama,
    /// Mixtral: several feed-forward blocks, among which each token chooses.
    Mixtral,
}

/// The feed-forward blocks among which a token chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// How many there are.
    pub number: usize,
    /// How many a token goes through.
    pub per_token: usize,
}

/// The sizes and settings of a network; absent keys have the defaults of `Qwen2Config`, `LlamaConfig` or
/// `MixtralConfig`.
#[derive(Debug, Clone)]
pub struct LanguageConfig {
    /// Which reference the network follows.
    pub family: Family,
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Width D.
    pub hidden_size: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads H of queries.
    pub num_attention_heads: usize,
    /// Heads K of keys and values, a divisor of H.
    pub num_key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Activation of the gate.
    pub activation: Activation,
    /// Epsilon of the norms.
    pub rms_norm_eps: f64,
    /// Rotary positions.
    pub rotary: Rotary,
    /// Which projections of attention have biases.
    pub attention_bias: ProjectionBias,
    /// Whether the projections of the feed-forward block have biases.
    pub mlp_bias: bool,
    /// The feed-forward blocks of each layer, where there are several.
    pub experts: Option<Experts>,
    /// Whether the head is the token table.
    pub tie_word_embeddings: bool,
    /// Most tokens of a sequence.
    pub max_position_embeddings: usize,
}

/// The keys that are read.
#[derive(Deserialize)]
struct Keys {
    model_type: String,
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    hidden_act: Option<String>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RopeKeys>,
    rope_parameters: Option<RopeKeys>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    max_position_embeddings: Option<usize>,
    use_sliding_window: Option<bool>,
    sliding_window: Option<usize>,
    num_local_experts: Option<usize>,
    num_experts_per_tok: Option<usize>,
}

/// `rope_parameters` of transformers 5, or `rope_scaling` of older configurations.
#[derive(Deserialize, Default)]
struct RopeKeys {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
}

impl LanguageConfig {
    /// This configuration for the weights below `vb`, in which a head that is stored is the head. Configurations of audio
    /// language models may say that it is the token table where their checkpoint has a head of its own; transformers 5
    /// follows the checkpoint.
    #[must_use]
    pub fn with_stored_head(&self, vb: &VarBuilder<'_>) -> Self {
        let tie_word_embeddings = self.tie_word_embeddings && !vb.contains_tensor("lm_head.weight");
        Self { tie_word_embeddings, ..self.clone() }
    }

    /// Reads the content of a `config.json`, or the part of one that describes the language model.
    ///
    /// # Errors
    /// A key has a wrong type, or a value that this network does not support.
    pub fn from_json(json: &Value) -> Result<Self> {
        let keys: Keys = serde_json::from_value(json.clone()).map_err(|error| {
            Error::unsupported("config.json", &error.to_string(), "keys of Qwen2, Llama or Mixtral")
        })?;
        let family = match keys.model_type.as_str() {
            "qwen2" => Family::Qwen2,
            "llama" => Family::Llama,
            "mixtral" => Family::Mixtral,
            other => return Err(Error::unsupported("model_type", &other, "qwen2, llama, mixtral")),
        };
        if keys.use_sliding_window == Some(true) {
            return Err(Error::unsupported("use_sliding_window", &true, "false"));
        }
        let (vocabulary, intermediate, positions) = match family {
            Family::Qwen2 => (151_936, 22_016, 32_768),
            Family::Llama => (32_000, 11_008, 2048),
            Family::Mixtral => (32_000, 14_336, 131_072),
        };
        let positions = keys.max_position_embeddings.unwrap_or(positions);
        // Qwen2 says whether it has a window; of Mixtral the number alone does.
        if let Some(window) = keys.sliding_window.filter(|window| family == Family::Mixtral && *window < positions) {
            return Err(Error::unsupported("sliding_window", &window, "none"));
        }
        let is_mixtral = family == Family::Mixtral;
        let heads = keys.num_attention_heads.unwrap_or(32);
        let kv_heads = keys.num_key_value_heads.unwrap_or(match family {
            Family::Qwen2 => 32,
            Family::Llama => heads,
            Family::Mixtral => 8,
        });
        let hidden_size = keys.hidden_size.unwrap_or(4096);
        let head_dim = keys.head_dim.unwrap_or(hidden_size / heads.max(1));
        let config = Self {
            family,
            vocab_size: keys.vocab_size.unwrap_or(vocabulary),
            hidden_size,
            intermediate_size: keys.intermediate_size.unwrap_or(intermediate),
            num_hidden_layers: keys.num_hidden_layers.unwrap_or(32),
            num_attention_heads: heads,
            num_key_value_heads: kv_heads,
            head_dim,
            activation: Activation::from_name("hidden_act", keys.hidden_act.as_deref().unwrap_or("silu"))?,
            rms_norm_eps: keys.rms_norm_eps.unwrap_or(if is_mixtral { 1e-5 } else { 1e-6 }),
            rotary: rotary(&keys, head_dim, if is_mixtral { 1e6 } else { 10_000.0 })?,
            attention_bias: match (family, keys.attention_bias) {
                (Family::Qwen2, _) => ProjectionBias::QWEN2,
                (Family::Llama, Some(true)) => ProjectionBias::ALL,
                (Family::Llama | Family::Mixtral, _) => ProjectionBias::NONE,
            },
            mlp_bias: family == Family::Llama && keys.mlp_bias == Some(true),
            experts: is_mixtral.then(|| Experts {
                number: keys.num_local_experts.unwrap_or(8),
                per_token: keys.num_experts_per_tok.unwrap_or(2),
            }),
            tie_word_embeddings: keys.tie_word_embeddings.unwrap_or(false),
            max_position_embeddings: positions,
        };
        config.validate()?;
        Ok(config)
    }

    /// The layers as a decoder that can be trained.
    ///
    /// # Errors
    /// The feed-forward blocks are several, among which tokens choose.
    pub fn decoder(&self) -> Result<DecoderConfig> {
        if let Some(experts) = self.experts {
            return Err(Error::unsupported("num_local_experts", &experts.number, "none, where a network is trained"));
        }
        Ok(DecoderConfig {
            layers: self.num_hidden_layers,
            dim: self.hidden_size,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
            intermediate: self.intermediate_size,
            activation: self.activation,
            mlp_bias: self.mlp_bias,
            attention_bias: self.attention_bias,
            rms_norm_eps: self.rms_norm_eps,
            rotary: self.rotary.clone(),
            window: None,
            first_windowed_layer: 0,
            attention_dropout: 0.0,
            initializer_range: 0.02,
        })
    }

    /// Checks the sizes against each other.
    ///
    /// # Errors
    /// The first that does not fit.
    pub fn validate(&self) -> Result<()> {
        Error::check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        Error::check_eps("rms_norm_eps", self.rms_norm_eps)?;
        if let Some(Experts { number, per_token }) = self.experts {
            Error::check_sizes(&[("num_local_experts", number)])?;
            if !(1..=number).contains(&per_token) {
                return Err(Error::unsupported("num_experts_per_tok", &per_token, &format!("1 to {number}")));
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let supported = format!("a divisor of num_attention_heads {}", self.num_attention_heads);
            return Err(Error::unsupported("num_key_value_heads", &self.num_key_value_heads, &supported));
        }
        Ok(())
    }
}

fn rotary(keys: &Keys, head_dim: usize, theta: f64) -> Result<Rotary> {
    let none = RopeKeys::default();
    let rope = keys.rope_parameters.as_ref().or(keys.rope_scaling.as_ref()).unwrap_or(&none);
    let theta = rope.rope_theta.or(keys.rope_theta).unwrap_or(theta);
    let rotary = Rotary::new(head_dim, theta)?;
    let lacking = |key| Error::unsupported(key, &None::<f64>, "a number, which this rope_type needs");
    let factor = || rope.factor.ok_or_else(|| lacking("factor"));
    match rope.rope_type.as_deref().unwrap_or("default") {
        "default" => Ok(rotary),
        "linear" => Ok(rotary.with_scaling(RopeScaling::Linear { factor: factor()? })),
        "llama3" => Ok(rotary.with_scaling(RopeScaling::Llama3 {
            factor: factor()?,
            low_freq_factor: rope.low_freq_factor.ok_or_else(|| lacking("low_freq_factor"))?,
            high_freq_factor: rope.high_freq_factor.ok_or_else(|| lacking("high_freq_factor"))?,
            original_max_position_embeddings: rope
                .original_max_position_embeddings
                .ok_or_else(|| lacking("original_max_position_embeddings"))?,
        })),
        other => Err(Error::unsupported("rope_type", &other, "default, linear, llama3")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn absent_keys_have_the_defaults_of_the_family() {
        let qwen2 = LanguageConfig::from_json(&json!({"model_type": "qwen2", "sliding_window": null})).unwrap();
        let sizes = (qwen2.vocab_size, qwen2.hidden_size, qwen2.intermediate_size, qwen2.num_key_value_heads);
        assert_eq!(sizes, (151_936, 4096, 22_016, 32));
        assert_eq!(qwen2.attention_bias, ProjectionBias::QWEN2);
        let llama = json!({"model_type": "llama", "num_attention_heads": 8, "hidden_size": 64, "mlp_bias": true});
        let llama = LanguageConfig::from_json(&llama).unwrap();
        assert_eq!((llama.num_key_value_heads, llama.head_dim, llama.mlp_bias), (8, 8, true));
    }

    #[test]
    fn mixtral_has_experts_and_no_window() {
        let json = json!({"model_type": "mixtral", "num_local_experts": 4, "sliding_window": null});
        let mixtral = LanguageConfig::from_json(&json).unwrap();
        assert_eq!(mixtral.experts, Some(Experts { number: 4, per_token: 2 }));
        assert_eq!((mixtral.num_key_value_heads, mixtral.attention_bias), (8, ProjectionBias::NONE));
        for (key, value) in [("sliding_window", 4096), ("num_experts_per_tok", 9), ("num_local_experts", 0)] {
            let mut other = json!({"model_type": "mixtral"});
            other[key] = json!(value);
            let error = LanguageConfig::from_json(&other).unwrap_err().to_string();
            assert!(error.contains(key), "{key}: {error}");
        }
    }

    #[test]
    fn rotary_settings_of_old_and_new_files_mean_the_same() {
        let frequencies = |rope: Value| {
            let mut json = json!({"model_type": "llama", "hidden_size": 16, "num_attention_heads": 2});
            json.as_object_mut().unwrap().extend(rope.as_object().unwrap().clone());
            LanguageConfig::from_json(&json).unwrap().rotary.frequencies().to_vec()
        };
        let new = json!({"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5e5}});
        let old = json!({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4.0}});
        assert_eq!(frequencies(new), frequencies(old));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (key, value) in [
            ("model_type", json!("mamba")),
            ("use_sliding_window", json!(true)),
            ("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0})),
            ("rope_scaling", json!({"rope_type": "llama3", "factor": 4.0})),
            ("num_key_value_heads", json!(5)),
            ("num_hidden_layers", json!(0)),
            ("hidden_act", json!("swoosh")),
        ] {
            let mut json = json!({"model_type": "qwen2"});
            json[key] = value.clone();
            assert!(
                LanguageConfig::from_json(&json).unwrap_err().to_string().contains("not supported"),
                "{key} {value}"
            );
        }
    }
}
