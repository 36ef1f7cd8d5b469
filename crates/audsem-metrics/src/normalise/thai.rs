//! Words of Thai, which is written without blanks between them.

use std::path::Path;

use audsem_core::error::{Error, Result};
use audsem_core::input::read_whole;
use nlpo3::tokenizer::newmm::NewmmTokenizer;
use nlpo3::tokenizer::tokenizer_trait::Tokenizer as _;

use super::Compat;
use super::profile::joined;
use super::python_text::{is_punctuation_or_symbol, split};

/// The words that Thai text is cut into, by the longest matches of a word list (`newmm` of PyThaiNLP, in its Rust version). A sign
/// right in front of a digit, and digits of two scripts side by side, are cut apart, which they are not in PyThaiNLP 5.4.
pub struct ThaiWords {
    tokenizer: NewmmTokenizer,
}

impl std::fmt::Debug for ThaiWords {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ThaiWords")
    }
}

impl ThaiWords {
    /// Reads a list with one word to a line, such as `words_th.txt` of PyThaiNLP.
    ///
    /// # Errors
    /// The file cannot be read, or has no word.
    pub fn open(path: &Path) -> Result<Self> {
        let text = String::from_utf8(read_whole(path)?).map_err(|_| Error::input(path, "not UTF-8".to_owned()))?;
        let words: Vec<String> =
            text.lines().map(|line| line.trim().to_owned()).filter(|word| !word.is_empty()).collect();
        if words.is_empty() { Err(Error::input(path, "no word".to_owned())) } else { Ok(Self::new(words)) }
    }

    /// Takes the words of a list.
    #[must_use]
    pub fn new(words: Vec<String>) -> Self {
        Self { tokenizer: NewmmTokenizer::from_word_list(words) }
    }

    /// Puts single blanks between the words of a text. The published evaluation cuts it as it stands, so that case and punctuation
    /// count as errors; what it means is lower case without punctuation and symbols.
    #[must_use]
    pub fn normalise(&self, text: &str, compat: Compat) -> String {
        match compat {
            Compat::Reference => self.segment(text),
            Compat::Fixed => {
                let kept = |c: char| if is_punctuation_or_symbol(c) { ' ' } else { c };
                self.segment(&joined(&text.to_lowercase().chars().map(kept).collect::<String>()))
            }
        }
    }

    fn segment(&self, text: &str) -> String {
        split(&self.tokenizer.segment_to_string(&scripts_apart(text), false, false).join(" "))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Blanks between Thai and what is not, where PyThaiNLP always cuts and its Rust version does not before signs.
fn scripts_apart(text: &str) -> String {
    let is_thai = |c: char| ('\u{e00}'..='\u{e7f}').contains(&c);
    let mut out = String::with_capacity(text.len());
    let mut before: Option<char> = None;
    for c in text.chars() {
        if before.is_some_and(|before| is_thai(before) != is_thai(c)) {
            out.push(' ');
        }
        out.push(c);
        before = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_are_apart_and_punctuation_is_no_word() {
        let words = ThaiWords::new(["ฉัน", "กิน", "ข้าว", "น้ำ"].map(str::to_owned).into());
        assert_eq!(words.normalise("ฉันกินข้าว!", Compat::Reference), "ฉัน กิน ข้าว !");
        assert_eq!(words.normalise("ฉันกินข้าว, น้ำ! OK", Compat::Fixed), "ฉัน กิน ข้าว น้ำ ok");
        assert_eq!(words.normalise("", Compat::Fixed), "");
    }

    #[test]
    fn a_list_without_words_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(ThaiWords::open(file.path()).unwrap_err().to_string().contains("no word"));
    }
}
