//! How sequences are continued: the fields of `generation_config.json`.

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::GenerationError;
use crate::Result;

/// When beam search stops looking for better sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum EarlyStopping {
    /// `true`: once there are as many finished sequences as beams.
    WhenFull,
    /// `false`: once the best running sequence, at its present length, cannot beat the worst finished one.
    Heuristic,
    /// `"never"`: once no running sequence of any length can.
    Never,
}

impl<'de> Deserialize<'de> for EarlyStopping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(true) => Ok(Self::WhenFull),
            Value::Bool(false) | Value::Null => Ok(Self::Heuristic),
            Value::String(text) if text == "never" => Ok(Self::Never),
            other => Err(de::Error::custom(format!("`early_stopping` is true, false or \"never\", not {other}"))),
        }
    }
}

/// How sequences are continued. Names, meanings and defaults are those of transformers' `GenerationConfig`; fields that are
/// `null` or absent have the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// Most tokens of prompt and continuation together; only without `max_new_tokens`.
    pub max_length: usize,
    /// Most tokens of the continuation.
    pub max_new_tokens: Option<usize>,
    /// No end before prompt and continuation together have this many tokens.
    pub min_length: usize,
    /// No end before the continuation has this many tokens.
    pub min_new_tokens: usize,
    /// Tokens that end a sequence: one id or a list.
    #[serde(deserialize_with = "one_or_many")]
    pub eos_token_id: Vec<u32>,
    /// Whether tokens are drawn at random; otherwise the likeliest is taken.
    pub do_sample: bool,
    /// Sequences that are followed at a time.
    pub num_beams: usize,
    /// Continuations returned for each prompt; at most `num_beams`.
    pub num_return_sequences: usize,
    /// When beam search stops.
    pub early_stopping: EarlyStopping,
    /// Power of the length that scores of beams are divided by.
    pub length_penalty: f32,
    /// Divisor of logits before sampling.
    pub temperature: f32,
    /// Sampling draws from this many of the likeliest tokens; 0 for all.
    pub top_k: usize,
    /// Sampling draws from the fewest likeliest tokens that have this much probability together.
    pub top_p: f32,
    /// Sampling draws from tokens with at least this share of the likeliest one's probability.
    pub min_p: Option<f32>,
    /// Divisor (of positive scores; factor of negative ones) of tokens that occur already, in the prompt too.
    pub repetition_penalty: f32,
    /// No n-gram of this size occurs twice; 0 for no such rule.
    pub no_repeat_ngram_size: usize,
    /// The token after a prompt of one token.
    pub forced_bos_token_id: Option<u32>,
    /// The last token at `max_length`: one id or a list.
    #[serde(deserialize_with = "one_or_many")]
    pub forced_eos_token_id: Vec<u32>,
    /// Tokens that never occur.
    pub suppress_tokens: Option<Vec<u32>>,
    /// Tokens that do not begin a continuation.
    pub begin_suppress_tokens: Option<Vec<u32>>,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            max_length: 20,
            max_new_tokens: None,
            min_length: 0,
            min_new_tokens: 0,
            eos_token_id: Vec::new(),
            do_sample: false,
            num_beams: 1,
            num_return_sequences: 1,
            early_stopping: EarlyStopping::Heuristic,
            length_penalty: 1.0,
            temperature: 1.0,
            top_k: 50,
            top_p: 1.0,
            min_p: None,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            forced_bos_token_id: None,
            forced_eos_token_id: Vec::new(),
            suppress_tokens: None,
            begin_suppress_tokens: None,
        }
    }
}

/// Fields that would change the result and are not implemented, with the values that change nothing.
const UNSUPPORTED: [(&str, &[f64]); 14] = [
    ("guidance_scale", &[1.0]),
    ("sequence_bias", &[]),
    ("encoder_repetition_penalty", &[1.0]),
    ("encoder_no_repeat_ngram_size", &[0.0]),
    ("bad_words_ids", &[]),
    ("exponential_decay_length_penalty", &[]),
    ("typical_p", &[1.0]),
    ("epsilon_cutoff", &[0.0]),
    ("eta_cutoff", &[0.0]),
    ("top_h", &[]),
    ("watermarking_config", &[]),
    ("stop_strings", &[]),
    ("num_beam_groups", &[1.0]),
    ("penalty_alpha", &[0.0]),
];

impl GenerationConfig {
    /// Reads the text of a `generation_config.json`.
    ///
    /// # Errors
    /// It is not a JSON object, a field has a wrong type, or one asks for something that is not implemented: nothing that
    /// would change the result is silently ignored.
    pub fn from_json(text: &str) -> Result<Self> {
        let problem = |error: serde_json::Error| GenerationError::config(error.to_string());
        let mut fields: Map<String, Value> = serde_json::from_str(text).map_err(problem)?;
        fields.retain(|_, value| !value.is_null());
        for (name, neutral) in UNSUPPORTED {
            match fields.get(name) {
                Some(value) if !value.as_f64().is_some_and(|value| neutral.contains(&value)) => {
                    let problem = format!(
                        "`{name}` is not supported: `{value}`\nhint: without the field, results differ from transformers'"
                    );
                    return Err(GenerationError::config(problem).into());
                }
                _ => {}
            }
        }
        let config: Self = serde_json::from_value(Value::Object(fields)).map_err(problem)?;
        config.validate()?;
        Ok(config)
    }

    /// Most tokens of a continuation of a prompt.
    ///
    /// # Errors
    /// The prompt alone has `max_length` tokens.
    pub(super) fn limit(&self, prompt_length: usize) -> Result<usize> {
        let limit = self.max_new_tokens.unwrap_or_else(|| self.max_length.saturating_sub(prompt_length));
        if limit == 0 {
            return Err(GenerationError::NoRoom { prompt_length, max_length: self.max_length }.into());
        }
        Ok(limit)
    }

    /// Minimum number of tokens that sampling keeps, so that beams can continue where every end is likely.
    pub(super) fn min_tokens_to_keep(&self) -> usize {
        match (self.num_beams, self.eos_token_id.len()) {
            (..=1, _) => 1,
            (_, 0) => 2,
            (_, n) => n + 1,
        }
    }

    /// Refuses what contradicts itself.
    pub(crate) fn validate(&self) -> Result<()> {
        let problem = if self.num_beams == 0 || self.num_return_sequences == 0 {
            "num_beams and num_return_sequences are at least 1".to_owned()
        } else if self.num_return_sequences > self.num_beams {
            format!("num_return_sequences {} is more than num_beams {}", self.num_return_sequences, self.num_beams)
        } else if self.temperature.is_nan() || self.temperature <= 0.0 {
            format!("temperature {} is not positive; for the likeliest token set do_sample to false", self.temperature)
        } else if !(0.0..=1.0).contains(&self.top_p) || self.min_p.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            "top_p and min_p lie between 0 and 1".to_owned()
        } else if self.repetition_penalty.is_nan() || self.repetition_penalty <= 0.0 {
            format!("repetition_penalty {} is not positive", self.repetition_penalty)
        } else {
            return Ok(());
        };
        Err(GenerationError::config(problem).into())
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ids {
        One(u32),
        Many(Vec<u32>),
    }
    Ok(match Ids::deserialize(deserializer)? {
        Ids::One(id) => vec![id],
        Ids::Many(ids) => ids,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_checkpoints_file_is_read_as_transformers_reads_it() {
        let text = r#"{"do_sample": true, "eos_token_id": [151643, 151645], "temperature": 0.7, "top_k": 20, "top_p": 0.5,
            "repetition_penalty": 1.1, "typical_p": 1.0, "pad_token_id": 151643, "min_p": null, "transformers_version": "4.38.1"}"#;
        let config = GenerationConfig::from_json(text).unwrap();
        assert_eq!(
            (config.eos_token_id.as_slice(), config.top_k, config.max_length),
            (&[151_643, 151_645][..], 20, 20)
        );
        let beams =
            GenerationConfig::from_json(r#"{"eos_token_id": 2, "num_beams": 4, "early_stopping": "never"}"#).unwrap();
        assert_eq!((beams.eos_token_id, beams.early_stopping, beams.top_k), (vec![2], EarlyStopping::Never, 50));
    }

    #[test]
    fn what_would_change_results_is_refused() {
        for (text, part) in [
            (r#"{"typical_p": 0.5}"#, "`typical_p` is not supported: `0.5`"),
            (r#"{"bad_words_ids": [[1]]}"#, "`bad_words_ids`"),
            (r#"{"temperature": 0}"#, "temperature 0 is not positive"),
            (r#"{"num_return_sequences": 3}"#, "more than num_beams"),
            (r#"{"early_stopping": "soon"}"#, "early_stopping"),
            (r#"{"eos_token_id": "</s>"}"#, "generation config"),
            ("[]", "generation config"),
        ] {
            let error = GenerationConfig::from_json(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_prompt_that_fills_max_length_is_refused() {
        let config = GenerationConfig { max_length: 5, ..GenerationConfig::default() };
        assert_eq!(config.limit(3).unwrap(), 2);
        assert!(config.limit(5).unwrap_err().to_string().contains("no room within max_length 5"));
    }
}
