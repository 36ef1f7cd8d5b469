//! The tokenizer of a GGUF file: byte-level BPE from the vocabulary and merges in its metadata.

use candle_core::quantized::gguf_file::Value;
use serde_json::{Map, json};
use tokenizers::Tokenizer;

use super::GgufFile;
use crate::error::{Error, Result};

/// Kinds of tokens in `tokenizer.ggml.token_type`.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// How Qwen2 splits text into words, by the pattern of its `tokenizer.json`.
const QWEN2_WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The pattern of Llama 3, with numbers of up to three digits.
const LLAMA3_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl GgufFile {
    /// Builds the tokenizer.
    ///
    /// # Errors
    /// The vocabulary is of another kind than byte-level BPE, its way of splitting words is unknown, or a list is broken.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let model = self.text("tokenizer.ggml.model")?.unwrap_or_default();
        if model != "gpt2" {
            return Err(self.fault(format!("vocabulary `{model}`\nhint: byte-level BPE (gpt2) is supported")));
        }
        let tokens = self.texts("tokenizer.ggml.tokens")?;
        let mut vocabulary = Map::new();
        for (id, token) in tokens.iter().enumerate() {
            if vocabulary.insert((*token).to_owned(), json!(id)).is_some() {
                return Err(self.fault(format!("token `{token}` has two ids")));
            }
        }
        let pre = self.text("tokenizer.ggml.pre")?.unwrap_or("default");
        let (normalizer, words) = self.words(pre)?;
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "post_processor": null,
            "added_tokens": self.added(&tokens)?,
            "normalizer": normalizer,
            "pre_tokenizer": words,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": pre == "llama-bpe", "vocab": vocabulary, "merges": self.texts("tokenizer.ggml.merges")?},
        });
        Tokenizer::from_bytes(file.to_string()).map_err(|error| self.fault(format!("tokenizer: {error}")))
    }

    /// Normaliser and splitter by the name that the file gives them.
    fn words(&self, pre: &str) -> Result<(serde_json::Value, serde_json::Value)> {
        let bytes = |splits: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": splits});
        let split = |pattern: &str| {
            let split =
                json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
            json!({"type": "Sequence", "pretokenizers": [split, bytes(false)]})
        };
        let digits = json!({"type": "Digits", "individual_digits": true});
        match pre {
            "gpt-2" | "default" => Ok((json!(null), bytes(true))),
            "smollm" => Ok((json!(null), json!({"type": "Sequence", "pretokenizers": [digits, bytes(true)]}))),
            "qwen2" => Ok((json!({"type": "NFC"}), split(QWEN2_WORDS))),
            "llama-bpe" => Ok((json!(null), split(LLAMA3_WORDS))),
            other => {
                let reason =
                    format!("words are split as `{other}`\nhint: gpt-2, smollm, qwen2 and llama-bpe are supported");
                Err(self.fault(reason))
            }
        }
    }

    /// Tokens that text is cut at before words are.
    fn added(&self, tokens: &[&str]) -> Result<Vec<serde_json::Value>> {
        let kinds = self.list("tokenizer.ggml.token_type")?;
        if kinds.len() != tokens.len() {
            return Err(self.fault(format!("{} kinds of {} tokens", kinds.len(), tokens.len())));
        }
        let kinds = kinds.iter().map(|kind| match kind {
            Value::I32(kind) => Some(i64::from(*kind)),
            Value::U32(kind) => Some(i64::from(*kind)),
            _ => None,
        });
        let mut added = Vec::new();
        for (id, (kind, token)) in kinds.zip(tokens).enumerate() {
            if let Some(kind @ (CONTROL | USER_DEFINED)) = kind {
                added.push(json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": kind == CONTROL}));
            }
        }
        Ok(added)
    }

    fn list(&self, key: &str) -> Result<&[Value]> {
        match self.optional(key) {
            Some(Value::Array(values)) => Ok(values),
            _ => Err(self.fault(format!("metadata lacks the list `{key}`"))),
        }
    }

    fn texts(&self, key: &str) -> Result<Vec<&str>> {
        let texts = self.list(key)?.iter().map(|value| match value {
            Value::String(text) => Ok(text.as_str()),
            _ => Err(self.fault(format!("`{key}` holds what is no text"))),
        });
        texts.collect()
    }

    /// Text of the token whose id stands under a key, as `tokenizer.ggml.bos_token_id`.
    ///
    /// # Errors
    /// There is no such token.
    pub fn token(&self, key: &str) -> Result<Option<(u32, &str)>> {
        let Some(id) = self.number(key)? else { return Ok(None) };
        let tokens = self.list("tokenizer.ggml.tokens")?;
        match (tokens.get(id), u32::try_from(id)) {
            (Some(Value::String(text)), Ok(id)) => Ok(Some((id, text))),
            _ => Err(self.token_fault(key, id)),
        }
    }

    fn token_fault(&self, key: &str, id: usize) -> Error {
        self.fault(format!("`{key}` is {id}, which is no token"))
    }
}
