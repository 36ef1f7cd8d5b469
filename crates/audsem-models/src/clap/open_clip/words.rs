//! From texts to tokens, as `open_clip` makes them.

use audsem_core::hub::ModelDir;

use super::OpenClip;
use super::text_config::{Clean, NativePool, Tokens, Tower};
use crate::error::{Error, Result};
use crate::tokenizer::{Encoded, Tiktoken, Tokenizer};

/// The tokenizers of models of `open_clip`.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a model has one")]
enum Kind {
    /// Byte pairs of tiktoken, with three tokens above theirs: the end, padding, the beginning.
    Tiktoken { bytes: Tiktoken, end: u32, beginning: u32 },
    /// `tokenizer.json`, which puts these tokens around a text itself.
    File(Tokenizer),
}

/// A tokenizer, and what becomes of texts before they get there.
#[derive(Debug, Clone)]
pub(in crate::clap) struct OpenClipWords {
    kind: Kind,
    clean: Option<Clean>,
    max_tokens: usize,
}

impl OpenClipWords {
    /// Loads the tokenizer of a folder for a network.
    pub(in crate::clap) fn load(dir: &ModelDir, model: &OpenClip, limit: Option<usize>) -> Result<Self> {
        let config = &model.config().text;
        let tokens = &config.tokens;
        let max_tokens = limit.map_or(tokens.context_length, |limit| limit.min(tokens.context_length));
        if tokens.is_tiktoken() {
            return Ok(Self { kind: tiktoken(dir, tokens)?, clean: tokens.clean(), max_tokens });
        }
        if dir.files_of(["tokenizer.json", "vocab.json"])?.is_empty() {
            return Err(failed(
                dir,
                "there is no tokenizer.json; the library has its words in its own package\nhint: give `--tokenizer` a folder with the tokenizer of openai/clip-vit-large-patch14, which has the same words",
            ));
        }
        let tokenizer = Tokenizer::load(dir, tokens.context_length, limit)?;
        check_end(dir, &tokenizer, &config.tower, tokens)?;
        let max_tokens = tokenizer.max_tokens();
        Ok(Self { kind: Kind::File(tokenizer), clean: Some(tokens.clean().unwrap_or(Clean::Whitespace)), max_tokens })
    }

    pub(in crate::clap) fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// As [`Tokenizer::encode`].
    pub(in crate::clap) fn encode(&self, text: &str) -> Result<Encoded> {
        let cleaned = self.clean.map(|clean| cleaned(text, clean)).transpose()?;
        let text = cleaned.as_deref().unwrap_or(text);
        match &self.kind {
            Kind::File(tokenizer) => tokenizer.encode(text),
            Kind::Tiktoken { bytes, end, beginning } => {
                let body = bytes.encode(text, self.max_tokens.saturating_sub(1))?;
                let has_text = !body.is_empty() && !text.trim().is_empty();
                let mut ids: Vec<u32> = std::iter::once(*beginning).chain(body).chain([*end]).collect();
                let truncated = ids.len() > self.max_tokens;
                ids.truncate(self.max_tokens);
                if let Some(last) = ids.last_mut() {
                    *last = *end;
                }
                Ok(Encoded { ids, truncated, has_text })
            }
        }
    }
}

fn failed(dir: &ModelDir, message: &str) -> Error {
    Error::Tokenizer { path: dir.root().to_owned(), message: message.to_owned() }
}

fn tiktoken(dir: &ModelDir, tokens: &Tokens) -> Result<Kind> {
    let (Some(ranks), Some(config)) = (&tokens.tiktoken_bpe_path, &tokens.tiktoken_config_path) else {
        return Err(failed(
            dir,
            "open_clip_config.json names no `tiktoken_bpe_path` and `tiktoken_config_path`; without them the library fetches the tokenizer from elsewhere\nhint: save the model with `save_for_hf` of open_clip, which puts the tokenizer into its folder",
        ));
    };
    let bytes = Tiktoken::open(&dir.named_file(ranks)?, &dir.named_file(config)?)?;
    let end = bytes.n_vocab();
    let beginning = end + 2;
    let wanted =
        [("eos_id", tokens.eos_id, end), ("pad_id", tokens.pad_id, end + 1), ("bos_id", tokens.bos_id, beginning)];
    for (key, given, own) in wanted {
        if given.is_some_and(|given| given != own) {
            let given = given.unwrap_or_default();
            return Err(failed(
                dir,
                &format!("`{key}` of open_clip_config.json is {given}, and that of the tokenizer {own}"),
            ));
        }
    }
    if tokens.vocab_size <= beginning as usize {
        let problem = format!("the tokenizer has {} tokens, and the network {}", beginning + 1, tokens.vocab_size);
        return Err(failed(dir, &problem));
    }
    Ok(Kind::Tiktoken { bytes, end, beginning })
}

/// Checks that the network finds the end of a text: it looks for a number, or for the largest one.
fn check_end(dir: &ModelDir, tokenizer: &Tokenizer, tower: &Tower, tokens: &Tokens) -> Result<()> {
    let empty = tokenizer.encode("")?.ids;
    let end = empty.last().copied();
    let (looked_for, is_end) = match tower {
        Tower::Native(text) if text.pool_type == NativePool::Argmax => {
            // Padding is never seen here; in the library its number counts too.
            ("its largest token", end >= empty.iter().copied().max() && end >= Some(tokenizer.pad_id()))
        }
        _ => ("`eos_id`", tokens.eos_id.is_none() || tokens.eos_id == end),
    };
    match is_end && end.is_some() {
        true => Ok(()),
        false => Err(failed(dir, &format!("texts do not end with {looked_for}, by which the network finds their end"))),
    }
}

/// A text as the library cleans it before its tokens are made: with the package `ftfy` and with the references of HTML
/// resolved. Both leave plain letters as they are, and only such texts are taken here.
fn cleaned(text: &str, clean: Clean) -> Result<String> {
    if let Some(character) = text.char_indices().find_map(|(n, c)| (!is_plain(c, &text[n..])).then_some(c)) {
        return Err(Error::UncleanText { character });
    }
    let spaced = |text: &str| text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    Ok(match clean {
        Clean::Whitespace => spaced(text),
        Clean::Lower => spaced(text).to_ascii_lowercase(),
        Clean::WhitespaceUnderscore => spaced(&text.replace('_', " ")),
        Clean::Canonicalize => {
            let mut kept = text.replace('_', " ");
            kept.retain(|c| !c.is_ascii_punctuation());
            spaced(&kept).to_ascii_lowercase()
        }
    })
}

/// Whether a character at the beginning of `rest` is left as it is. Names of HTML have two characters or more.
fn is_plain(character: char, rest: &str) -> bool {
    match character {
        '&' => {
            let mut name = rest.chars().skip(1);
            let first = name.next();
            let second = name.next().is_some_and(|c| c.is_ascii_alphanumeric());
            first != Some('#') && !(first.is_some_and(|c| c.is_ascii_alphanumeric()) && second)
        }
        ' '..='~' | '\t' | '\n' | '\r' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn plain_texts_are_cleaned_and_others_are_refused() {
        let check = |text: &str, clean, wanted: &str| assert_eq!(cleaned(text, clean).unwrap(), wanted);
        check("  A dog\n barks_loudly ", Clean::Whitespace, "A dog barks_loudly");
        check("  A dog\n barks_loudly ", Clean::Lower, "a dog barks_loudly");
        check("  A dog\n barks_loudly ", Clean::WhitespaceUnderscore, "A dog barks loudly");
        check("R&B, AT&T & sea_waves!", Clean::Canonicalize, "rb att sea waves");
        for (text, character) in [("caf\u{e9}", '\u{e9}'), ("a &lt b", '&'), ("&#65;", '&'), ("\u{1b}[1m", '\u{1b}')] {
            let error = cleaned(text, Clean::Whitespace).unwrap_err();
            assert!(matches!(error, Error::UncleanText { character: found } if found == character), "{error}");
        }
    }
}
