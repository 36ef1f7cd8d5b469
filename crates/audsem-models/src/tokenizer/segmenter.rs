//! Random segmentation of words, for training.

use std::collections::HashMap;
use std::path::Path;

use rand::Rng;
use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::head::WHOLE_BYTES;
use super::{Tokenizer, failed};
use crate::error::{Error, Result};

/// Segments words at random, for training: the greedy longest match of WordPiece, where each match longer than one
/// character is skipped with a fixed probability (Hiraoka, "MaxMatch-Dropout", 2022). A network that sees few
/// words learns from their parts, too.
#[derive(Debug, Clone)]
pub struct Segmenter {
    tokenizer: Tokenizer,
    vocab: HashMap<String, u32>,
    max_length: usize,
}

impl Segmenter {
    /// For a tokenizer with the pipeline of BERT.
    #[must_use]
    pub fn new(tokenizer: &Tokenizer, max_length: usize) -> Self {
        Self { vocab: tokenizer.inner.get_vocab(true), tokenizer: tokenizer.clone(), max_length }
    }

    /// Token ids of one text, with special tokens; with `share` 0 those of [`Tokenizer::ids`].
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn encode(&self, text: &str, share: f64, rng: &mut impl Rng) -> Result<Vec<u32>> {
        let failed = |e: tokenizers::Error| failed(Path::new(""), &e);
        let head = self.tokenizer.head(text, WHOLE_BYTES)?;
        let mut normalized = NormalizedString::from(head);
        if let Some(normalizer) = self.tokenizer.inner.get_normalizer() {
            normalizer.normalize(&mut normalized).map_err(failed)?;
        }
        let mut words = PreTokenizedString::from(normalized);
        if let Some(pre) = self.tokenizer.inner.get_pre_tokenizer() {
            pre.pre_tokenize(&mut words).map_err(failed)?;
        }
        let special = |token: &str| self.vocab.get(token).copied().unwrap_or(self.tokenizer.pad_id);
        let (unknown, cls, sep) = (special("[UNK]"), special("[CLS]"), special("[SEP]"));
        let mut ids = vec![cls];
        for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            match self.segment(word, share, rng) {
                Some(pieces) => ids.extend(pieces),
                None => ids.push(unknown),
            }
        }
        if head.len() < text.len() && ids.len() < self.max_length {
            return Err(Error::TextBytes { bytes: text.len(), most: WHOLE_BYTES });
        }
        ids.truncate(self.max_length.saturating_sub(1));
        ids.push(sep);
        Ok(ids)
    }

    /// The pieces of one word, unless a character of it is unknown.
    fn segment(&self, word: &str, share: f64, rng: &mut impl Rng) -> Option<Vec<u32>> {
        let (mut pieces, mut rest) = (Vec::new(), word);
        while !rest.is_empty() {
            let prefix = if pieces.is_empty() { "" } else { "##" };
            let mut ends: Vec<usize> = rest.char_indices().map(|(i, c)| i + c.len_utf8()).collect();
            ends.reverse();
            let shortest = ends.last().copied();
            let (end, id) = ends.into_iter().find_map(|end| {
                let id = *self.vocab.get(&format!("{prefix}{}", &rest[..end]))?;
                let taken = Some(end) == shortest || share == 0.0 || !rng.random_bool(share);
                taken.then_some((end, id))
            })?;
            pieces.push(id);
            rest = &rest[end..];
        }
        Some(pieces)
    }
}
