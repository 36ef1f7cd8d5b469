//! New vocabularies, trained on texts.

use std::collections::BTreeSet;
use std::path::Path;

use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, Model, Tokenizer, TokenizerBuilder};

use super::bert::{SPECIAL_TOKENS, wrap_wordpiece};
use super::failed;
use crate::error::Result;

/// Trains a lower-casing WordPiece tokenizer of at most `vocab_size` tokens on `texts`.
///
/// # Errors
/// The trainer refuses (no text at all).
pub fn train_wordpiece<'a>(texts: impl IntoIterator<Item = &'a str>, vocab_size: usize) -> Result<Tokenizer> {
    let texts: Vec<&str> = texts.into_iter().collect();
    // The trainer numbers the letters within words (`##a`) in the order of a hash map, and numbers decide between
    // merges of equal count. A first round finds those letters; the second gets them in a fixed order.
    let mut first: Vec<String> = SPECIAL_TOKENS.map(str::to_owned).to_vec();
    let draft = train_once(&texts, vocab_size, &first)?;
    let vocab = draft.get_vocab();
    let is_letter = |token: &&String| token.strip_prefix("##").is_some_and(|rest| rest.chars().count() == 1);
    let letters: BTreeSet<&String> = vocab.keys().filter(is_letter).collect();
    first.extend(letters.into_iter().cloned());
    wrap_wordpiece(train_once(&texts, vocab_size, &first)?)
}

/// One round of training, with the tokens `first` at the head of the vocabulary.
fn train_once(texts: &[&str], vocab_size: usize, first: &[String]) -> Result<WordPiece> {
    type Draft = TokenizerBuilder<WordPiece, BertNormalizer, BertPreTokenizer, BertProcessing, WordPieceDecoder>;
    let failed = |e: tokenizers::Error| failed(Path::new(""), &e);
    let mut trainer = WordPieceTrainer::builder()
        .show_progress(false)
        .vocab_size(vocab_size)
        .min_frequency(2)
        .special_tokens(first.iter().map(|token| AddedToken::from(token.as_str(), true)).collect())
        .build();
    let mut draft = Draft::new()
        .with_model(WordPiece::default())
        .with_normalizer(Some(BertNormalizer::new(true, true, None, true)))
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(None)
        .with_decoder(None)
        .build()
        .map_err(failed)?;
    draft.train(&mut trainer, texts.iter()).map_err(failed)?;
    Ok(draft.get_model().clone())
}

/// The special tokens of RoBERTa, in the order of their ids in vocabularies made here.
pub const ROBERTA_TOKENS: [&str; 5] = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];

/// Trains a byte-level BPE tokenizer of at most `vocab_size` tokens on `texts`, with the pipeline of RoBERTa.
///
/// # Errors
/// The trainer refuses (no text at all).
pub fn train_byte_level_bpe<'a>(texts: impl IntoIterator<Item = &'a str>, vocab_size: usize) -> Result<Tokenizer> {
    type Draft = TokenizerBuilder<BPE, BertNormalizer, ByteLevel, RobertaProcessing, ByteLevel>;
    let failed = |e: tokenizers::Error| failed(Path::new(""), &e);
    let special = ROBERTA_TOKENS.map(|token| AddedToken::from(token, true));
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(vocab_size)
        .min_frequency(2)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(special.to_vec())
        .build();
    let bytes = ByteLevel::default().add_prefix_space(false);
    let ends = |token: &str, id: u32| (token.to_owned(), id);
    let processing = RobertaProcessing::new(ends("</s>", 2), ends("<s>", 0)).add_prefix_space(false);
    let mut draft = Draft::new()
        .with_model(BPE::default())
        .with_normalizer(None)
        .with_pre_tokenizer(Some(bytes))
        .with_post_processor(Some(processing.clone()))
        .with_decoder(Some(bytes))
        .build()
        .map_err(failed)?;
    let texts: Vec<&str> = texts.into_iter().collect();
    draft.train(&mut trainer, texts.iter()).map_err(failed)?;
    let mut tokenizer = Tokenizer::new(draft.get_model().clone());
    tokenizer.with_pre_tokenizer(Some(bytes));
    tokenizer.with_post_processor(Some(processing));
    tokenizer.with_decoder(Some(bytes));
    tokenizer.add_special_tokens(special).map_err(failed)?;
    Ok(tokenizer)
}

/// The vocabulary as `vocab.txt` has it: one token a line, in the order of ids.
#[must_use]
pub fn vocab_txt(tokenizer: &Tokenizer) -> String {
    let mut vocab: Vec<(u32, String)> = tokenizer.get_vocab(true).into_iter().map(|(token, id)| (id, token)).collect();
    vocab.sort();
    vocab.into_iter().map(|(_, token)| token + "\n").collect()
}
