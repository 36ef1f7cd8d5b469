//! Text to token ids, as the tokenizers of Hugging Face transformers make them.

mod bert;
mod head;
mod load;
mod segmenter;
mod settings;
#[cfg(test)]
mod tests;
mod tiktoken;
mod train;

use std::path::Path;

use audsem_core::hub::ModelDir;
use tokenizers::{PostProcessor as _, TruncationDirection, TruncationParams};

use crate::error::{Error, Result};

pub use bert::SPECIAL_TOKENS;
pub use segmenter::Segmenter;
pub use tiktoken::Tiktoken;
pub use train::{ROBERTA_TOKENS, train_byte_level_bpe, train_wordpiece, vocab_txt};

/// A tokenizer of a checkpoint, with the most tokens that its network takes.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pad_id: u32,
    max_tokens: usize,
    direction: TruncationDirection,
}

/// Token ids of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The ids, special tokens included.
    pub ids: Vec<u32>,
    /// Whether tokens were cut off to keep to the limit.
    pub truncated: bool,
    /// Whether there are tokens besides the special ones around every text.
    pub has_text: bool,
}

impl Tokenizer {
    /// Loads the tokenizer of a checkpoint as transformers does: from `tokenizer.json` or the vocabulary files, with the
    /// settings of `tokenizer_config.json` and its companions. Texts are truncated to what the network has `positions`
    /// for or to the tokenizer's own `model_max_length`, special tokens included; `limit` lowers that.
    ///
    /// # Errors
    /// There is no vocabulary, a file cannot be parsed, or the files contradict one another.
    pub fn load(dir: &ModelDir, positions: usize, limit: Option<usize>) -> Result<Self> {
        let load::Loaded { tokenizer, pad_id, direction, max_tokens } = load::load(dir, positions, limit)?;
        let mut loaded = Self::limited(tokenizer, max_tokens, direction)?;
        loaded.pad_id = pad_id.unwrap_or(loaded.pad_id);
        Ok(loaded)
    }

    /// Takes a tokenizer and sets the length limit; its own padding is turned off.
    ///
    /// # Errors
    /// The limit leaves no room for text.
    pub fn new(inner: tokenizers::Tokenizer, max_tokens: usize) -> Result<Self> {
        Self::limited(inner, max_tokens, TruncationDirection::Right)
    }

    fn limited(mut inner: tokenizers::Tokenizer, max_tokens: usize, direction: TruncationDirection) -> Result<Self> {
        // The library makes no more tokens than its limit, and where nothing is put around a text it cannot tell one that
        // was cut there from one that ends there. So it makes one more, which [`Tokenizer::encode`] takes off.
        let frames = inner.get_post_processor().is_some_and(|frame| frame.added_tokens(false) > 0);
        let max_length = if frames { max_tokens } else { max_tokens.saturating_add(1) };
        let truncation = TruncationParams { max_length, direction, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(|e| failed(Path::new(""), &e))?;
        inner.with_padding(None);
        let pad_id = inner.token_to_id(SPECIAL_TOKENS[0]).unwrap_or(0);
        Ok(Self { inner, pad_id, max_tokens, direction })
    }

    /// Makes a token a special one: it is cut out of texts before they are tokenised.
    ///
    /// # Errors
    /// The tokenizer refuses it.
    pub fn with_special(mut self, token: &str) -> Result<Self> {
        let special = tokenizers::AddedToken::from(token, true);
        self.inner.add_special_tokens([special]).map_err(|e| failed(Path::new(""), &e))?;
        Ok(self)
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
    /// The tokenizer refuses the text; or [`Error::TextBytes`]: it is too long, and its head does not determine its tokens.
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        self.encode_head(text, head::WHOLE_BYTES)
    }

    /// As [`Tokenizer::encode`]; texts of up to `most` bytes are tokenised as a whole.
    fn encode_head(&self, text: &str, most: usize) -> Result<Encoded> {
        let head = self.head(text, most)?;
        let mut encoding = self.inner.encode_fast(head, true).map_err(|e| failed(Path::new(""), &e))?;
        encoding.truncate(self.max_tokens, 0, self.direction);
        let truncated = !encoding.get_overflowing().is_empty();
        if head.len() < text.len() && !truncated {
            return Err(Error::TextBytes { bytes: text.len(), most });
        }
        let has_text = encoding.get_special_tokens_mask().contains(&0);
        Ok(Encoded { ids: encoding.get_ids().to_vec(), truncated, has_text })
    }

    /// The text, or at most `most` bytes from its beginning whose tokens are the first ones of the whole text.
    fn head<'a>(&self, text: &'a str, most: usize) -> Result<&'a str> {
        if text.len() <= most {
            return Ok(text);
        }
        let head = if head::ends_words_at_blanks(&self.inner) { head::head(text, most) } else { None };
        head.ok_or(Error::TextBytes { bytes: text.len(), most })
    }

    /// As [`Tokenizer::encode`]; the ids alone.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encode(text)?.ids)
    }

    /// The text of tokens, without special ones.
    ///
    /// # Errors
    /// The tokenizer refuses the tokens.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(|e| failed(Path::new(""), &e))
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Tokenizer { path: path.to_owned(), message: error.to_string() }
}
