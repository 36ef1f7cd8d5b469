//! Text to token ids, as the tokenizers of Hugging Face transformers make them.

mod bert;
mod segmenter;
#[cfg(test)]
mod tests;
mod train;

use std::path::Path;

use audsem_core::hub::ModelDir;
use serde::Deserialize;
use tokenizers::TruncationParams;
use tokenizers::models::wordpiece::WordPiece;

use crate::error::{Error, Result};

pub use bert::SPECIAL_TOKENS;
pub use segmenter::Segmenter;
pub use train::{ROBERTA_TOKENS, train_byte_level_bpe, train_wordpiece, vocab_txt};

/// A tokenizer of a checkpoint, with the most tokens that its network takes.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pad_id: u32,
    max_tokens: usize,
}

/// Token ids of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The ids, special tokens included.
    pub ids: Vec<u32>,
    /// Whether tokens were cut off to keep to the limit.
    pub truncated: bool,
}

/// The part of `tokenizer_config.json` that is read.
#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenizerConfig {
    do_lower_case: Option<bool>,
    /// Often 1e30, which stands for no limit.
    model_max_length: Option<f64>,
}

impl TokenizerConfig {
    fn open(dir: &ModelDir) -> Result<Self> {
        Ok(match dir.optional("tokenizer_config.json") {
            Some(_) => dir.json("tokenizer_config.json")?,
            None => Self::default(),
        })
    }

    /// The limit of a text: the least of what the network has `positions` for, what the tokenizer is
    /// configured to, and what the caller asks for.
    fn max_tokens(&self, positions: usize, limit: Option<usize>) -> usize {
        // Saturates where the number is larger than any length.
        let own = self.model_max_length.filter(|length| *length >= 1.0).map_or(usize::MAX, |length| length as usize);
        positions.min(own).min(limit.unwrap_or(usize::MAX))
    }
}

impl Tokenizer {
    /// Loads `tokenizer.json`, or builds the BERT tokenizer from `vocab.txt`. Texts are truncated to what the
    /// network has `positions` for or to the tokenizer's own `model_max_length`, special tokens included; `limit`
    /// lowers that.
    ///
    /// # Errors
    /// There is neither file, or one cannot be parsed.
    pub fn load(dir: &ModelDir, positions: usize, limit: Option<usize>) -> Result<Self> {
        let config = TokenizerConfig::open(dir)?;
        let inner = match (dir.optional("tokenizer.json"), dir.optional("vocab.txt")) {
            (Some(path), _) => tokenizers::Tokenizer::from_file(&path).map_err(|e| failed(&path, &e))?,
            (None, Some(path)) => {
                let vocab = path.to_string_lossy();
                let model = WordPiece::from_file(&vocab).unk_token("[UNK]".to_owned()).build();
                let model = model.map_err(|e| failed(&path, &e))?;
                bert::wrap_wordpiece(model, config.do_lower_case.unwrap_or(true))?
            }
            (None, None) => {
                let path = dir.file("tokenizer.json")?;
                tokenizers::Tokenizer::from_file(&path).map_err(|e| failed(&path, &e))?
            }
        };
        Self::new(inner, config.max_tokens(positions, limit))
    }

    /// Takes a tokenizer and sets the length limit; its own padding is turned off.
    ///
    /// # Errors
    /// The limit leaves no room for text.
    pub fn new(mut inner: tokenizers::Tokenizer, max_tokens: usize) -> Result<Self> {
        let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(|e| failed(Path::new(""), &e))?;
        inner.with_padding(None);
        let pad_id = inner.token_to_id(SPECIAL_TOKENS[0]).unwrap_or(0);
        Ok(Self { inner, pad_id, max_tokens })
    }

    /// The tokenizer of the `tokenizers` library.
    #[must_use]
    pub fn inner(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }

    /// Id of the padding token.
    #[must_use]
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// Most tokens of a text, special ones included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Token ids of one text, with special tokens, and whether any were cut off.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        let encoding = self.inner.encode_fast(text, true).map_err(|e| failed(Path::new(""), &e))?;
        Ok(Encoded { ids: encoding.get_ids().to_vec(), truncated: !encoding.get_overflowing().is_empty() })
    }

    /// As [`Tokenizer::encode`]; the ids alone.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encode(text)?.ids)
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Tokenizer { path: path.to_owned(), message: error.to_string() }
}
