//! Tokenizers from the files of a checkpoint.

use std::path::Path;

use audsem_core::hub::ModelDir;
use serde_json::{Value, json};
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{ModelWrapper, Tokenizer, TruncationDirection};

use super::failed;
use super::settings::{Class, Settings};
use crate::error::Result;

/// A tokenizer as transformers would have it, with its padding token and limits.
pub(super) struct Loaded {
    pub(super) tokenizer: Tokenizer,
    pub(super) pad_id: Option<u32>,
    pub(super) direction: TruncationDirection,
    pub(super) max_tokens: usize,
}

pub(super) fn load(dir: &ModelDir, positions: usize, limit: Option<usize>) -> Result<Loaded> {
    let whole: Option<Value> = dir.optional_json("tokenizer.json")?;
    let settings = Settings::open(dir, whole.as_ref())?;
    let mut tokenizer = match settings.class {
        Class::General => {
            let path = dir.file("tokenizer.json")?;
            Tokenizer::from_file(&path).map_err(|e| failed(&path, &e))?
        }
        Class::Bert => bert(wordpiece(dir, whole, &settings)?, &settings)?,
        Class::Roberta => {
            let mut tokenizer = Tokenizer::new(byte_level_bpe(dir, whole)?);
            tokenizer.with_pre_tokenizer(Some(byte_level(&settings)));
            tokenizer
        }
    };
    let known: Vec<String> = tokenizer.get_added_tokens_decoder().into_values().map(|token| token.content).collect();
    let tokens = settings.tokens_to_add(|content| known.iter().any(|other| other == content));
    tokenizer.add_tokens(tokens).map_err(|e| failed(dir.root(), &e))?;
    frame(&mut tokenizer, &settings, dir.root())?;
    tokenizer.set_encode_special_tokens(settings.flag("split_special_tokens").unwrap_or(false));
    let pad_id = settings.token("pad_token").and_then(|token| tokenizer.token_to_id(&token));
    let max_tokens = settings.max_tokens(positions, limit);
    Ok(Loaded { tokenizer, pad_id, direction: settings.direction(), max_tokens })
}

/// The model of `tokenizer.json` with settings of its own replaced by those that the class gives it.
fn model(whole: Value, kind: &str, settings: Value) -> Result<ModelWrapper> {
    let path = Path::new("tokenizer.json");
    let mut model = whole.get("model").cloned().unwrap_or_default();
    // Older files do not say which model they hold.
    let found = model.get("type").and_then(Value::as_str).unwrap_or(kind).to_owned();
    match (&mut model, settings) {
        (Value::Object(model), Value::Object(settings)) if found == kind => model.extend(settings),
        _ => return Err(failed(path, &format!("the model is {found}, where the tokenizer's class has {kind}"))),
    }
    serde_json::from_value(model).map_err(|e| failed(path, &e))
}

fn wordpiece(dir: &ModelDir, whole: Option<Value>, settings: &Settings) -> Result<ModelWrapper> {
    let unknown = settings.token("unk_token").unwrap_or_default();
    if let Some(whole) = whole {
        let own = json!({"type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100});
        return model(whole, "WordPiece", own);
    }
    let path = match dir.optional("vocab.txt")? {
        Some(path) => path,
        None => dir.file("tokenizer.json")?,
    };
    let model = WordPiece::from_file(&path.to_string_lossy()).unk_token(unknown).build();
    Ok(model.map_err(|e| failed(&path, &e))?.into())
}

/// The pipeline of BERT around a vocabulary.
fn bert(model: ModelWrapper, settings: &Settings) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::new(model);
    let normalizer = BertNormalizer::new(
        true,
        settings.flag("tokenize_chinese_chars").unwrap_or(true),
        settings.flag("strip_accents"),
        settings.flag("do_lower_case").unwrap_or(true),
    );
    tokenizer.with_normalizer(Some(normalizer)).map_err(|e| failed(Path::new(""), &e))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_decoder(Some(WordPieceDecoder::default()));
    Ok(tokenizer)
}

fn byte_level_bpe(dir: &ModelDir, whole: Option<Value>) -> Result<ModelWrapper> {
    if let Some(whole) = whole {
        let own = json!({"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false});
        return model(whole, "BPE", own);
    }
    let (Some(vocab), Some(merges)) = (dir.optional("vocab.json")?, dir.optional("merges.txt")?) else {
        return Err(dir.file("tokenizer.json").err().map_or_else(|| failed(dir.root(), &"no vocabulary"), Into::into));
    };
    let model = BPE::from_file(&vocab.to_string_lossy(), &merges.to_string_lossy())
        .continuing_subword_prefix(String::new())
        .end_of_word_suffix(String::new())
        .build();
    Ok(model.map_err(|e| failed(&vocab, &e))?.into())
}

fn byte_level(settings: &Settings) -> ByteLevel {
    ByteLevel::default().add_prefix_space(settings.flag("add_prefix_space").unwrap_or(false))
}

/// Puts the special tokens around a text.
fn frame(tokenizer: &mut Tokenizer, settings: &Settings, root: &Path) -> Result<()> {
    let token = |role: &str| -> Result<(String, u32)> {
        let token = settings.token(role).unwrap_or_default();
        let id = tokenizer.token_to_id(&token).ok_or_else(|| failed(root, &format!("no token {token} for {role}")))?;
        Ok((token, id))
    };
    match settings.class {
        Class::General => {}
        Class::Bert => {
            let processing = BertProcessing::new(token("sep_token")?, token("cls_token")?);
            tokenizer.with_post_processor(Some(processing));
        }
        Class::Roberta => {
            let prefix = settings.flag("add_prefix_space").unwrap_or(false);
            let processing = RobertaProcessing::new(token("sep_token")?, token("cls_token")?).add_prefix_space(prefix);
            tokenizer.with_post_processor(Some(processing));
            tokenizer.with_decoder(Some(byte_level(settings)));
        }
    }
    Ok(())
}
