//! The configuration of CoNeTTE.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, SettingValue};
use crate::nn::Activation;

/// What `config.json` says; absent keys have the defaults of `CoNeTTEConfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Names of the styles that captions can have: the data sets that the network was trained on.
    pub task_names: Vec<String>,
    /// No end before a caption has this many words.
    pub min_pred_size: usize,
    /// Most words of a caption, its end included.
    pub max_pred_size: usize,
    /// Captions that are followed at a time.
    pub beam_size: usize,
    /// Attention heads of the decoder.
    pub nhead: usize,
    /// Width D of the decoder.
    pub d_model: usize,
    /// Layers of the decoder.
    pub num_decoder_layers: usize,
    /// Width of the decoder's feed-forward block.
    pub dim_feedforward: usize,
    /// Activation of the feed-forward block.
    pub acti_name: String,
    /// The vocabulary.
    pub tokenizer_state: TokenizerState,
    /// Channels of each stage of the encoder. Not in the published file: those of ConvNeXt-Tiny.
    pub encoder_dims: [usize; 4],
    /// Blocks of each stage of the encoder. Not in the published file: those of ConvNeXt-Tiny.
    pub encoder_depths: [usize; 4],
}

/// The tokenizer's part of the configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenizerState {
    /// The tokenizer.
    pub tokenizer: WordTable,
}

/// Words by their ids.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WordTable {
    /// Words by their ids.
    pub itos: BTreeMap<usize, String>,
}

impl Default for Config {
    fn default() -> Self {
        let tasks =
            ["audioset_sl", "bbc_sound_effects", "freesound", "soundbible"].map(|name| format!("wavcaps_{name}"));
        Self {
            task_names: ["clotho", "audiocaps", "macs"].map(str::to_owned).into_iter().chain(tasks).collect(),
            min_pred_size: 3,
            max_pred_size: 20,
            beam_size: 3,
            nhead: 8,
            d_model: 256,
            num_decoder_layers: 6,
            dim_feedforward: 2048,
            acti_name: "gelu".to_owned(),
            tokenizer_state: TokenizerState::default(),
            encoder_dims: [96, 192, 384, 768],
            encoder_depths: [3, 3, 9, 3],
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
            ("d_model", self.d_model),
            ("dim_feedforward", self.dim_feedforward),
            ("beam_size", self.beam_size),
            ("max_pred_size", self.max_pred_size),
        ])?;
        self.encoder_dims.iter().try_for_each(|dim| Error::check_sizes(&[("encoder_dims", *dim)]))?;
        let refuse = |key, value: &dyn SettingValue, supported| Err(Error::unsupported(key, value, supported));
        if self.nhead == 0 || !self.d_model.is_multiple_of(self.nhead) {
            return refuse("nhead", &self.nhead, "a divisor of d_model");
        }
        if self.d_model % 2 == 1 {
            return refuse("d_model", &self.d_model, "even numbers");
        }
        if self.task_names.is_empty() {
            return refuse("task_names", &self.task_names, "one or more");
        }
        let words = &self.tokenizer_state.tokenizer.itos;
        if words.is_empty() || words.keys().enumerate().any(|(index, id)| index != *id) {
            return refuse("tokenizer_state", &words.len(), "`tokenizer.itos` with a word for every id from 0 on");
        }
        Activation::from_name("acti_name", &self.acti_name).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_not_supported_is_named() {
        let words = r#""tokenizer_state": {"tokenizer": {"itos": {"0": "<pad>", "1": "a"}}}"#;
        let read = |json: &str| serde_json::from_str::<Config>(json).unwrap().validate();
        read(&format!("{{{words}}}")).unwrap();
        for (json, part) in [
            ("{}".to_owned(), "tokenizer_state"),
            (r#"{"tokenizer_state": {"tokenizer": {"itos": {"1": "a"}}}}"#.to_owned(), "tokenizer_state"),
            (format!(r#"{{"nhead": 7, {words}}}"#), "nhead"),
            (format!(r#"{{"task_names": [], {words}}}"#), "task_names"),
            (format!(r#"{{"acti_name": "sine", {words}}}"#), "acti_name"),
            (format!(r#"{{"beam_size": 0, {words}}}"#), "beam_size"),
        ] {
            let error = read(&json).unwrap_err().to_string();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
