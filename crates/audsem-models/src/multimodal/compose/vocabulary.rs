//! The tokens of a conversation about sounds, added to a language model that lacks them.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::Init;
use serde_json::{Value, json};
use tokenizers::{AddedToken, PostProcessorWrapper, Tokenizer};

use super::parts::{LanguagePart, TABLES};
use crate::error::{Error, Result};
use crate::multimodal::processor::{AUDIO, refused};
use crate::nn::Params;

const BEGIN_OF_TURN: &str = "<|im_start|>";
const END_OF_TURN: &str = "<|im_end|>";
const END_OF_TEXT: &str = "<|endoftext|>";

/// The tokens that the chat template writes, and that of padding.
const TOKENS: [&str; 6] = [END_OF_TEXT, BEGIN_OF_TURN, END_OF_TURN, AUDIO, "<|audio_bos|>", "<|audio_eos|>"];

/// The tokenizer with the new tokens.
pub(super) struct Vocabulary {
    tokenizer: Tokenizer,
    pub(super) new_tokens: BTreeMap<String, u32>,
    /// Rows of the token table.
    pub(super) rows: usize,
    pub(super) added_rows: usize,
    pub(super) audio: u32,
    pub(super) end_of_turn: u32,
    pub(super) padding: u32,
}

impl Vocabulary {
    /// Adds the tokens, and gives each new one a row of the token table and of the head: a spare one where the tables have
    /// more rows than there were tokens, else one behind the last.
    ///
    /// # Errors
    /// The tokenizer cannot take the tokens, or the tables are of another shape than the configuration says.
    pub(super) fn extend(language: &mut LanguagePart, seed: u64) -> Result<Self> {
        let mut tokenizer = language.tokenizer.clone();
        let new: Vec<&str> = TOKENS.into_iter().filter(|token| tokenizer.token_to_id(token).is_none()).collect();
        // Tokens of the vocabulary become special too, so that none is cut and answers are free of them.
        tokenizer.add_special_tokens(TOKENS.map(|token| AddedToken::from(token, true))).map_err(refused)?;
        tokenizer.with_post_processor(None::<PostProcessorWrapper>);
        tokenizer.with_padding(None);
        let id = |token: &str| {
            let missing = || Error::Composition { reason: format!("the tokenizer does not take {token}") };
            tokenizer.token_to_id(token).ok_or_else(missing)
        };
        let new_tokens =
            new.into_iter().map(|token| Ok((token.to_owned(), id(token)?))).collect::<Result<BTreeMap<_, _>>>()?;
        let (audio, end_of_turn, padding) = (id(AUDIO)?, id(END_OF_TURN)?, id(END_OF_TEXT)?);
        let old = language.config.vocab_size;
        let last = new_tokens.values().max().map_or(0, |id| *id as usize + 1);
        let rows = old.max(last);
        for name in TABLES {
            let table = with_rows(language.table(name)?, rows, &new_tokens, (name, seed))?;
            language.tensors.insert(name.to_owned(), table);
        }
        Ok(Self { tokenizer, new_tokens, rows, added_rows: rows - old, audio, end_of_turn, padding })
    }

    pub(super) fn tokenizer_json(&self) -> Result<String> {
        self.tokenizer.to_string(false).map_err(refused)
    }

    pub(super) fn settings_json(&self, longest: usize) -> Value {
        json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "processor_class": "Qwen2AudioProcessor",
            "clean_up_tokenization_spaces": false,
            "model_max_length": longest,
            "eos_token": END_OF_TURN,
            "pad_token": END_OF_TEXT,
        })
    }

    pub(super) fn generation_json(&self) -> Value {
        json!({
            "do_sample": false,
            "eos_token_id": [self.end_of_turn, self.padding],
            "pad_token_id": self.padding,
        })
    }
}

/// A table (V, D) with so many rows, of which those of new tokens are drawn around the mean of the old ones, as widely as
/// those are spread in each dimension: near all tokens, and unlike each other.
fn with_rows(table: &Tensor, rows: usize, new: &BTreeMap<String, u32>, (name, seed): (&str, u64)) -> Result<Tensor> {
    let (old, dim) = table.dims2()?;
    if new.is_empty() {
        return Ok(table.clone());
    }
    let known = new.values().map(|id| *id as usize).min().map_or(old, |first| first.min(old));
    let values = table.narrow(0, 0, known)?.to_dtype(DType::F32)?;
    let mean = values.mean_keepdim(0)?;
    let spread = (values.sqr()?.mean_keepdim(0)? - mean.sqr()?)?.relu()?.sqrt()?;
    let params = Params::new(seed);
    let vb = params.var_builder(DType::F32, &Device::Cpu);
    let mut parts: Vec<Tensor> = Vec::new();
    for row in known..rows {
        let token = new.iter().find(|(_, id)| **id as usize == row).map(|(token, _)| token.as_str());
        parts.push(match token {
            None if row < old => table.narrow(0, row, 1)?,
            // Rows that no token has yet, behind the last one that was there.
            token => {
                let own = format!("{name}.{}", token.map_or_else(|| row.to_string(), str::to_owned));
                let noise = vb.get_with_hints((1, dim), &own, Init::Randn { mean: 0.0, stdev: 1.0 })?;
                (noise.detach().mul(&spread)? + &mean)?.to_dtype(table.dtype())?
            }
        });
    }
    let kept = table.narrow(0, 0, known)?;
    Ok(Tensor::cat(&std::iter::once(&kept).chain(&parts).collect::<Vec<_>>(), 0)?)
}
