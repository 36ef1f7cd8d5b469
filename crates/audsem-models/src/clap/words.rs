//! From texts to the tokens that a text tower reads.

use audsem_core::hub::ModelDir;

use super::network::Network;
use super::open_clip::OpenClipWords;
use crate::error::{Error, Result};
use crate::tokenizer::{Encoded, Tokenizer};

/// What stands behind every text for MS-CLAP, whose state becomes that of the text.
const END: &str = "<|endoftext|>";

/// The token that MS-CLAP pads with, which its library makes a special one: it is cut out of texts before they are
/// tokenised, so that `!!` is two tokens and not the one that GPT-2 has for it.
const PADDING: &str = "!";

/// A tokenizer, and what is put around texts.
#[derive(Debug, Clone)]
pub(super) enum Words {
    /// That of transformers, which knows what it puts around them.
    Plain(Tokenizer),
    /// That of MS-CLAP, whose texts end with the token of this id, [`END`].
    MsClap(Tokenizer, u32),
    /// That of `open_clip`.
    OpenClip(OpenClipWords),
}

impl Words {
    /// Loads the tokenizer of a folder for a network.
    ///
    /// # Errors
    /// It cannot be read, or is not one for this network.
    pub(super) fn load(dir: &ModelDir, network: &Network, max_tokens: Option<usize>) -> Result<Self> {
        if let Network::OpenClip(network) = network {
            return Ok(Self::OpenClip(OpenClipWords::load(dir, network, max_tokens)?));
        }
        let tokenizer = Tokenizer::load(dir, network.most_tokens(), max_tokens)?;
        let Network::MsClap(_) = network else { return Ok(Self::Plain(tokenizer)) };
        let tokenizer = tokenizer.with_special(PADDING)?;
        let [end] = *tokenizer.ids(END)? else {
            let message = format!("{END} is not one token\nhint: MS-CLAP reads texts with the tokenizer of gpt2");
            return Err(Error::Tokenizer { path: dir.root().to_owned(), message });
        };
        Ok(Self::MsClap(tokenizer, end))
    }

    pub(super) fn max_tokens(&self) -> usize {
        match self {
            Self::Plain(tokenizer) | Self::MsClap(tokenizer, _) => tokenizer.max_tokens(),
            Self::OpenClip(words) => words.max_tokens(),
        }
    }

    /// As [`Tokenizer::encode`]. A text that is cut keeps the token at its end.
    pub(super) fn encode(&self, text: &str) -> Result<Encoded> {
        let (tokenizer, end) = match self {
            Self::Plain(tokenizer) => return tokenizer.encode(text),
            Self::OpenClip(words) => return words.encode(text),
            Self::MsClap(tokenizer, end) => (tokenizer, end),
        };
        let has_text = !text.trim().is_empty() && tokenizer.encode(text)?.has_text;
        let Encoded { mut ids, truncated, .. } = tokenizer.encode(&format!("{text} {END}"))?;
        if let Some(last) = ids.last_mut() {
            *last = *end;
        }
        Ok(Encoded { ids, truncated, has_text })
    }
}
