//! The pipeline of BERT around a WordPiece vocabulary.

use std::path::Path;

use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Model, Tokenizer};

use super::failed;
use crate::error::Result;

/// The special tokens of BERT, in the order of their ids in vocabularies made here.
pub const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// The lower-casing pipeline of `BertTokenizerFast` around a new vocabulary.
pub(super) fn wrap_wordpiece(model: WordPiece) -> Result<Tokenizer> {
    let id = |token: &str| {
        model.token_to_id(token).ok_or_else(|| failed(Path::new("vocab.txt"), &format!("no token {token}")))
    };
    let (cls, sep) = (("[CLS]".to_owned(), id("[CLS]")?), ("[SEP]".to_owned(), id("[SEP]")?));
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(BertNormalizer::new(true, true, None, true)))
        .map_err(|e| failed(Path::new(""), &e))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(BertProcessing::new(sep, cls)));
    tokenizer.with_decoder(Some(WordPieceDecoder::default()));
    tokenizer
        .add_special_tokens(SPECIAL_TOKENS.map(|token| AddedToken::from(token, true)))
        .map_err(|e| failed(Path::new(""), &e))?;
    Ok(tokenizer)
}
