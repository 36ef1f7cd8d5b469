//! JSON of a given shape: a mask over the tokens that may come next, by llguidance.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::{Matcher, ParserFactory, token_bytes_from_tokenizer_json};
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::GenerationError;
use crate::error::Result;

/// What a tokenizer can write, prepared once for all answers.
pub struct Guide {
    factory: ParserFactory,
}

impl std::fmt::Debug for Guide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guide").finish_non_exhaustive()
    }
}

/// The tokens as a trie of their bytes.
struct Vocabulary {
    tokenizer: Tokenizer,
    trie: TokTrie,
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| match self.tokenizer.encode_fast(text, false) {
            Ok(encoding) => encoding.get_ids().to_vec(),
            Err(_) => self.trie.greedy_tokenize(text.as_bytes()),
        })
    }
}

impl Guide {
    /// For a network with `width` logits, of which those beyond the tokenizer's vocabulary stand for nothing, whose
    /// sequences end with one of `ends`.
    ///
    /// # Errors
    /// There is no end, or the tokenizer is neither byte-level nor falls back to bytes.
    pub fn new(tokenizer: &Tokenizer, width: usize, ends: &[u32]) -> Result<Self> {
        let fault = |problem: String| GenerationError::Guide { problem };
        let [end, ..] = ends else { return Err(fault("the checkpoint names no end of sequence".to_owned()).into()) };
        let file = serde_json::to_value(tokenizer).map_err(|error| fault(error.to_string()))?;
        let mut words = token_bytes_from_tokenizer_json(&file).map_err(|error| fault(format!("tokenizer: {error}")))?;
        if words.len() > width {
            return Err(fault(format!("{} tokens for {width} logits", words.len())).into());
        }
        words.resize(width, Vec::new());
        let size = u32::try_from(width).map_err(|error| fault(error.to_string()))?;
        let trie = TokTrie::from(&TokRxInfo::new(size, *end), &words).with_eos_tokens(ends);
        let vocabulary: TokEnv = Arc::new(Vocabulary { tokenizer: tokenizer.clone(), trie });
        let mut factory = ParserFactory::new_simple(&vocabulary).map_err(|error| fault(error.to_string()))?;
        factory.quiet();
        Ok(Self { factory })
    }

    /// Begins an answer that fits a schema. There is no white space but one blank behind `,` and `:`, which a weak
    /// model would otherwise write without end. Lists should have a maximum length for the same reason; that of a text costs
    /// time and memory for each of its characters, so that thousands are better left to the bound on tokens.
    ///
    /// # Errors
    /// The schema is broken, or has a keyword that cannot be followed.
    pub fn begin(&self, schema: &Value) -> Result<GuidedAnswer> {
        let mut schema = schema.clone();
        if let Value::Object(fields) = &mut schema {
            let plain = json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "});
            fields.entry("x-guidance").or_insert(plain);
        }
        let parser = self.factory.create_parser(TopLevelGrammar::from_json_schema(schema));
        let matcher = Matcher::new(parser);
        match matcher.get_error() {
            Some(problem) => Err(GenerationError::Guide { problem: format!("schema: {problem}") }.into()),
            None => Ok(GuidedAnswer { matcher }),
        }
    }
}

/// An answer in the making.
pub struct GuidedAnswer {
    matcher: Matcher,
}

impl std::fmt::Debug for GuidedAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuidedAnswer").field("is_complete", &self.is_complete()).finish()
    }
}

impl GuidedAnswer {
    /// Rules out all tokens that cannot come next.
    ///
    /// # Errors
    /// No token can.
    pub fn mask(&mut self, logits: &mut [f32]) -> Result<()> {
        let allowed = self.matcher.compute_mask_or_eos().map_err(|error| fault(&error))?;
        for (logits, word) in logits.chunks_mut(u32::BITS as usize).zip(allowed.as_slice()) {
            if *word == u32::MAX {
                continue;
            }
            for (bit, logit) in logits.iter_mut().enumerate() {
                if (word >> bit) & 1 == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        Ok(())
    }

    /// Appends a token.
    ///
    /// # Errors
    /// The token was ruled out.
    pub fn push(&mut self, token: u32) -> Result<()> {
        Ok(self.matcher.consume_token(token).map_err(|error| fault(&error))?)
    }

    /// Whether the answer is whole and nothing can follow.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.matcher.is_stopped() && self.matcher.stop_reason().is_ok()
    }
}

fn fault(error: &dyn std::fmt::Display) -> GenerationError {
    GenerationError::Guide { problem: error.to_string() }
}
