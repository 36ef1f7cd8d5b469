//! Text to token ids, and token ids to batches without needless padding.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use audsem_core::hub::ModelDir;
use candle_core::{Device, Tensor};
use rand::Rng;
use serde::Deserialize;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{
    AddedToken, Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Tokenizer, TokenizerBuilder, TruncationParams,
};

use crate::error::{Error, Result};

/// The special tokens of BERT, in the order of their ids in vocabularies made here.
pub const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// A tokenizer with its length limit.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    pad_id: u32,
}

/// The part of `tokenizer_config.json` that matters for a checkpoint with nothing but `vocab.txt`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenizerConfig {
    do_lower_case: Option<bool>,
}

impl TextEncoder {
    /// Loads `tokenizer.json`, or builds the BERT tokenizer from `vocab.txt`. Texts are cut at `max_length` tokens,
    /// special ones included.
    ///
    /// # Errors
    /// There is neither, or it cannot be parsed.
    pub fn load(dir: &ModelDir, max_length: usize) -> Result<Self> {
        let tokenizer = match (dir.optional("tokenizer.json"), dir.optional("vocab.txt")) {
            (Some(path), _) => Tokenizer::from_file(&path).map_err(|e| failed(&path, &e))?,
            (None, Some(path)) => {
                let config: TokenizerConfig = match dir.optional("tokenizer_config.json") {
                    Some(_) => dir.json("tokenizer_config.json")?,
                    None => TokenizerConfig::default(),
                };
                let vocab = path.to_string_lossy();
                let model = WordPiece::from_file(&vocab).unk_token("[UNK]".to_owned()).build();
                let model = model.map_err(|e| failed(&path, &e))?;
                wrap_wordpiece(model, config.do_lower_case.unwrap_or(true))?
            }
            (None, None) => {
                let path = dir.file("tokenizer.json")?;
                Tokenizer::from_file(&path).map_err(|e| failed(&path, &e))?
            }
        };
        Self::new(tokenizer, max_length)
    }

    /// Takes a tokenizer and sets the length limit; its own padding is turned off.
    ///
    /// # Errors
    /// The limit leaves no room for text.
    pub fn new(mut tokenizer: Tokenizer, max_length: usize) -> Result<Self> {
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|e| failed(Path::new(""), &e))?;
        tokenizer.with_padding(None);
        let pad_id = tokenizer.token_to_id(SPECIAL_TOKENS[0]).unwrap_or(0);
        Ok(Self { tokenizer, pad_id })
    }

    /// The tokenizer itself.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Id of the padding token.
    #[must_use]
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// Token ids of one text, with special tokens.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|e| failed(Path::new(""), &e))?;
        Ok(encoding.get_ids().to_vec())
    }
}

/// Segments words at random, for training: the greedy longest match of WordPiece, where each match longer than one
/// character is passed over with a fixed probability (Hiraoka, "MaxMatch-Dropout", 2022). A network that sees few
/// words learns from their parts, too.
#[derive(Debug, Clone)]
pub struct Segmenter {
    encoder: TextEncoder,
    vocab: HashMap<String, u32>,
    max_length: usize,
}

impl Segmenter {
    /// For a tokenizer with the pipeline of BERT.
    #[must_use]
    pub fn new(encoder: &TextEncoder, max_length: usize) -> Self {
        Self { vocab: encoder.tokenizer.get_vocab(true), encoder: encoder.clone(), max_length }
    }

    /// Token ids of one text, with special tokens; with `share` 0 those of [`TextEncoder::encode`].
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn encode(&self, text: &str, share: f64, rng: &mut impl Rng) -> Result<Vec<u32>> {
        let failed = |e: tokenizers::Error| failed(Path::new(""), &e);
        let mut normalized = NormalizedString::from(text);
        if let Some(normalizer) = self.encoder.tokenizer.get_normalizer() {
            normalizer.normalize(&mut normalized).map_err(failed)?;
        }
        let mut words = PreTokenizedString::from(normalized);
        if let Some(pre) = self.encoder.tokenizer.get_pre_tokenizer() {
            pre.pre_tokenize(&mut words).map_err(failed)?;
        }
        let special = |token: &str| self.vocab.get(token).copied().unwrap_or(self.encoder.pad_id);
        let (unknown, cls, sep) = (special("[UNK]"), special("[CLS]"), special("[SEP]"));
        let mut ids = vec![cls];
        for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            match self.segment(word, share, rng) {
                Some(pieces) => ids.extend(pieces),
                None => ids.push(unknown),
            }
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

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Tokenizer { path: path.to_owned(), message: error.to_string() }
}

/// The pipeline of `BertTokenizerFast` around a WordPiece vocabulary.
fn wrap_wordpiece(model: WordPiece, lowercase: bool) -> Result<Tokenizer> {
    let id = |token: &str| {
        model.token_to_id(token).ok_or_else(|| failed(Path::new("vocab.txt"), &format!("no token {token}")))
    };
    let (cls, sep) = (("[CLS]".to_owned(), id("[CLS]")?), ("[SEP]".to_owned(), id("[SEP]")?));
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)))
        .map_err(|e| failed(Path::new(""), &e))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(BertProcessing::new(sep, cls)));
    tokenizer.with_decoder(Some(WordPieceDecoder::default()));
    tokenizer
        .add_special_tokens(SPECIAL_TOKENS.map(|token| AddedToken::from(token, true)))
        .map_err(|e| failed(Path::new(""), &e))?;
    Ok(tokenizer)
}

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
    wrap_wordpiece(train_once(&texts, vocab_size, &first)?, true)
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

/// Groups rows of similar length: indices sorted by (length, index), cut into batches of `batch_size`.
#[must_use]
pub fn length_buckets(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&row| (lengths[row], row));
    order.chunks(batch_size.max(1)).map(<[usize]>::to_vec).collect()
}

/// Rows of ids as one tensor (B, T), padded at the end; the mask (B, T) is absent where nothing had to be padded.
///
/// # Errors
/// Memory or device.
pub fn batch(rows: &[&[u32]], pad_id: u32, device: &Device) -> Result<(Tensor, Option<Tensor>)> {
    let t = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let padded = rows.iter().any(|row| row.len() < t);
    let mut ids = Vec::with_capacity(rows.len() * t);
    let mut mask = Vec::with_capacity(rows.len() * t);
    for row in rows {
        ids.extend_from_slice(row);
        ids.resize(ids.len() + t - row.len(), pad_id);
        mask.resize(mask.len() + row.len(), 1u8);
        mask.resize(mask.len() + t - row.len(), 0u8);
    }
    let ids = Tensor::from_vec(ids, (rows.len(), t), device)?;
    let mask = if padded { Some(Tensor::from_vec(mask, (rows.len(), t), device)?) } else { None };
    Ok((ids, mask))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use rand::SeedableRng;

    const TEXTS: [&str; 6] = [
        "dog barks loudly",
        "dogs barking",
        "a dog barks in the distance",
        "wind howling",
        "howling wind and rain",
        "rain falls",
    ];

    #[test]
    fn training_repeats_and_the_vocabulary_starts_with_the_special_tokens() {
        let a = train_wordpiece(TEXTS, 120).unwrap();
        let b = train_wordpiece(TEXTS, 120).unwrap();
        assert_eq!(a.to_string(false).unwrap(), b.to_string(false).unwrap());
        assert_eq!(vocab_txt(&a).lines().take(5).collect::<Vec<_>>(), SPECIAL_TOKENS);
    }

    #[test]
    fn byte_level_tokens_spell_any_text_and_training_repeats() {
        let train = || train_byte_level_bpe(TEXTS, 320).unwrap();
        let (a, b) = (train(), train());
        assert_eq!(a.to_string(false).unwrap(), b.to_string(false).unwrap());
        let encoder = TextEncoder::new(a, 64).unwrap();
        let ids = encoder.encode("a dog barks: naïve 🐕").unwrap();
        assert_eq!((ids[0], ids[ids.len() - 1]), (0, 2));
        let text = encoder.tokenizer().decode(&ids, true).unwrap();
        assert_eq!(text, "a dog barks: naïve 🐕");
    }

    #[test]
    fn encodes_like_bert_and_cuts_at_the_limit() {
        let encoder = TextEncoder::new(train_wordpiece(TEXTS, 120).unwrap(), 4).unwrap();
        let ids = encoder.encode("DOG barks, dog barks").unwrap();
        let tokens: Vec<String> = ids.iter().map(|&id| encoder.tokenizer().id_to_token(id).unwrap()).collect();
        assert_eq!(tokens, ["[CLS]", "dog", "barks", "[SEP]"]);
    }

    #[test]
    fn random_segments_spell_the_same_words() {
        let encoder = TextEncoder::new(train_wordpiece(TEXTS, 120).unwrap(), 32).unwrap();
        let segmenter = Segmenter::new(&encoder, 32);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let (mut longer, text) = (0, "Dogs barking, wind and RAIN");
        assert_eq!(segmenter.encode(text, 0.0, &mut rng).unwrap(), encoder.encode(text).unwrap());
        for _ in 0..50 {
            let ids = segmenter.encode(text, 0.5, &mut rng).unwrap();
            let tokens = ids[1..ids.len() - 1].iter().map(|&id| encoder.tokenizer().id_to_token(id).unwrap());
            let spelled: String = tokens.map(|token| token.trim_start_matches("##").to_owned()).collect();
            assert_eq!(spelled, "dogsbarking[UNK]windandrain");
            longer += usize::from(ids.len() > encoder.encode(text).unwrap().len());
        }
        assert!(longer > 25, "{longer}");
    }

    #[test]
    fn a_vocabulary_file_alone_gives_the_same_tokenizer() {
        let trained = train_wordpiece(TEXTS, 120).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::io::Write::write_all(
            &mut std::fs::OpenOptions::new().create(true).append(true).open(folder.path().join("vocab.txt")).unwrap(),
            vocab_txt(&trained).as_bytes(),
        )
        .unwrap();
        let loaded = TextEncoder::load(&ModelDir::local(folder.path()), 32).unwrap();
        let trained = TextEncoder::new(trained, 32).unwrap();
        for text in TEXTS.into_iter().chain(["Café [x] ♪", "", "unknownword, rain!"]) {
            assert_eq!(loaded.encode(text).unwrap(), trained.encode(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn a_folder_without_a_tokenizer_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = TextEncoder::load(&ModelDir::local(folder.path()), 32).unwrap_err().to_string();
        assert!(error.contains("lacks `tokenizer.json`"), "{error}");
    }

    #[test]
    fn buckets_hold_every_row_once_in_order_of_length() {
        assert_eq!(length_buckets(&[5, 2, 9, 2, 5], 2), [vec![1, 3], vec![0, 4], vec![2]]);
        assert!(length_buckets(&[], 4).is_empty());
    }

    #[test]
    fn a_batch_is_masked_only_where_it_is_padded() {
        let (ids, mask) = batch(&[&[1, 2], &[3, 4]], 0, &Device::Cpu).unwrap();
        assert_eq!(ids.to_vec2::<u32>().unwrap(), [[1, 2], [3, 4]]);
        assert!(mask.is_none());
        let (ids, mask) = batch(&[&[1, 2, 3], &[4]], 9, &Device::Cpu).unwrap();
        assert_eq!(ids.to_vec2::<u32>().unwrap(), [[1, 2, 3], [4, 9, 9]]);
        assert_eq!(mask.unwrap().to_vec2::<u8>().unwrap(), [[1, 1, 1], [1, 0, 0]]);
    }
}
