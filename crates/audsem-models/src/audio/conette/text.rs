//! From words to a caption.

use std::sync::LazyLock;

use fancy_regex::Regex;

use super::Config;
use crate::error::{Error, Result};

/// Tokens that are no words, in the order of their ids.
const SPECIAL: [&str; 4] = ["<pad>", "<bos>", "<eos>", "<unk>"];

/// Id of the token that ends a caption.
pub(super) const END: u32 = 2;

/// What is replaced in a caption, in this order, after its special tokens are removed.
static BEFORE_PUNCTUATION: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\s+([,.!?;:"'])"#));
static SPACES: LazyLock<Regex> = LazyLock::new(|| pattern(" +"));
static AROUND_HYPHENS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\s*-\s*"));

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant, valid pattern")
}

/// Words by their ids, those that captions of each style start with among them.
#[derive(Debug, Clone)]
pub(super) struct Vocabulary {
    words: Vec<String>,
    starts: Vec<u32>,
}

impl Vocabulary {
    /// Takes the words of the configuration, and appends the starts of captions where they are not among them, as the
    /// original does.
    pub(super) fn new(config: &Config) -> Result<Self> {
        let mut words: Vec<String> = config.tokenizer_state.tokenizer.itos.values().cloned().collect();
        if words.iter().zip(SPECIAL).any(|(word, special)| word != special) || words.len() < SPECIAL.len() {
            let supported = "a vocabulary that begins with <pad>, <bos>, <eos> and <unk>";
            return Err(Error::unsupported("tokenizer_state", &&words[..words.len().min(4)], supported));
        }
        let mut starts = Vec::with_capacity(config.task_names.len());
        for task in &config.task_names {
            let start = format!("<bos_{task}>");
            let known = words.iter().position(|word| *word == start);
            #[expect(clippy::cast_possible_truncation, reason = "ids have 32 bits")]
            starts.push(known.unwrap_or(words.len()) as u32);
            if known.is_none() {
                words.push(start);
            }
        }
        Ok(Self { words, starts })
    }

    /// Number of tokens.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// The token that captions of each style start with.
    pub(super) fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The caption that tokens stand for.
    pub(super) fn caption(&self, tokens: &[u32]) -> Result<String> {
        let word = |id: &u32| match self.words.get(*id as usize) {
            Some(word) => Ok(word.as_str()),
            None => Err(Error::TokenId { id: *id, vocab_size: self.words.len() }),
        };
        Ok(clean(&tokens.iter().map(word).collect::<Result<Vec<_>>>()?.join(" ")))
    }
}

/// Cleans words joined by spaces, as `AACTokenizer` does.
fn clean(text: &str) -> String {
    let text = SPECIAL.iter().fold(text.to_owned(), |text, special| text.replace(special, ""));
    let text = BEFORE_PUNCTUATION.replace_all(&text, "$1");
    let text = SPACES.replace_all(text.trim(), " ");
    AROUND_HYPHENS.replace_all(&text, "-").to_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        texts: BTreeMap<String, String>,
    }

    #[test]
    fn texts_are_cleaned_as_the_original_cleans_them() {
        let golden = include_str!("../../../../../fixtures/goldens/conette_captions.json");
        let golden: Golden = serde_json::from_str(golden).unwrap();
        assert!(golden.texts.len() > 4);
        for (text, wanted) in golden.texts {
            assert_eq!(clean(&text), wanted, "{text}");
        }
    }

    #[test]
    fn starts_are_appended_where_the_words_lack_them() {
        let mut config = Config { task_names: vec!["b".to_owned(), "a".to_owned()], ..Config::default() };
        let words = ["<pad>", "<bos>", "<eos>", "<unk>", "dog", "<bos_a>"];
        config.tokenizer_state.tokenizer.itos = words.map(str::to_owned).into_iter().enumerate().collect();
        let vocabulary = Vocabulary::new(&config).unwrap();
        assert_eq!((vocabulary.starts(), vocabulary.len()), (&[6, 5][..], 7));
        assert_eq!(vocabulary.caption(&[4, 4, 2]).unwrap(), "dog dog");
        assert!(vocabulary.caption(&[7]).unwrap_err().to_string().contains("token id 7"));
        config.tokenizer_state.tokenizer.itos.insert(2, "cat".to_owned());
        assert!(Vocabulary::new(&config).unwrap_err().to_string().contains("<eos>"));
    }
}
