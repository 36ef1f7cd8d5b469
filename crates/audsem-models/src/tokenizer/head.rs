//! The head of a very long text that determines its first tokens.
//!
//! The tokenizer needs 150 times the memory of a text, and the network reads a few hundred tokens. So only the head of a
//! very long text is tokenised, cut where the tokens before the cut cannot depend on the text after it.

use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, TruncationDirection};

/// Texts up to so many bytes go through the tokenizer as a whole.
pub(super) const WHOLE_BYTES: usize = 1 << 18;

/// Whether the tokens of words before a blank do not depend on the text after it. This holds for the pipelines of BERT and
/// of byte-level BPE: normalisation is local to a character and its combining marks, a word ends before a blank, and no
/// token is longer than a word. It does not hold with added tokens that contain blanks, which may span the cut, and with
/// truncation on the left, which needs the end of the text.
pub(super) fn ends_words_at_blanks(tokenizer: &tokenizers::Tokenizer) -> bool {
    let normalises_characters =
        tokenizer.get_normalizer().is_none_or(|wrapper| matches!(wrapper, NormalizerWrapper::BertNormalizer(_)));
    let splits_words = match tokenizer.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::BertPreTokenizer(_)) => true,
        Some(PreTokenizerWrapper::ByteLevel(bytes)) => bytes.use_regex,
        _ => false,
    };
    let keeps_front =
        tokenizer.get_truncation().is_none_or(|truncation| truncation.direction == TruncationDirection::Right);
    let added = tokenizer.get_added_tokens_decoder();
    let added_are_words = added.values().all(|token| token.content.bytes().all(|byte| byte.is_ascii_graphic()));
    normalises_characters && splits_words && keeps_front && added_are_words
}

/// The longest head of at most `most` bytes that ends with a word before a blank; nothing if there is no such place.
pub(super) fn head(text: &str, most: usize) -> Option<&str> {
    let is_blank = |at: usize| matches!(text.as_bytes()[at], b' ' | b'\t' | b'\n' | b'\r');
    let ends_word = |at: usize| text[..at].chars().next_back().is_some_and(|c| !c.is_whitespace());
    let end = (0..text.len().min(most + 1)).rev().find(|&at| is_blank(at) && ends_word(at))?;
    Some(&text[..end])
}
