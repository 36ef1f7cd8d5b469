//! Word lists: names, names to leave alone, the dictionary.

use std::collections::HashSet;
use std::path::Path;

use audsem_core::error::Error;
use audsem_core::input;
use foldhash::fast::FixedState;

/// Names that are common English words, which the rule for names leaves alone unless another list is named.
const NAMES_THAT_ARE_WORDS: &str = include_str!("../../lists/names-that-are-words.txt");

/// A set of words.
#[derive(Debug, Clone)]
pub struct WordList {
    words: HashSet<String, FixedState>,
    /// First bytes of the words: names begin with capitals and words of captions rarely do, so one byte excludes most.
    starts: [bool; 256],
}

impl WordList {
    fn new(words: HashSet<String, FixedState>) -> Self {
        let mut starts = [false; 256];
        words.iter().filter_map(|word| word.bytes().next()).for_each(|byte| starts[usize::from(byte)] = true);
        Self { words, starts }
    }

    /// Reads a file, plain or compressed: one word on each line (blank lines and lines that begin
    /// with `#` are ignored), or a JSON object whose keys are the words, or a JSON array.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, is broken JSON, or holds no word.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = input::read_whole(path)?;
        Self::from_bytes(&bytes).map_err(|problem| Error::input(path, problem))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = bytes[..error.valid_up_to()].split(|b| *b == b'\n').count();
            format!("the word list is not UTF-8 on line {line}")
        })?;
        let list = Self::parse(text)?;
        if list.words.is_empty() {
            return Err("the word list holds no word\nhint: it has one word on each line, or is a JSON object".into());
        }
        Ok(list)
    }

    /// Reads a list from a text.
    ///
    /// # Errors
    /// The text begins like JSON but is not valid JSON.
    pub fn parse(text: &str) -> Result<Self, String> {
        let json = |error: serde_json::Error| format!("the word list begins like JSON but is not valid JSON: {error}");
        let words = match text.trim_start_matches('\u{feff}').trim_start().chars().next() {
            Some('{') => {
                let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(json)?;
                object.into_iter().map(|(word, _)| word).collect()
            }
            Some('[') => serde_json::from_str::<Vec<String>>(text).map_err(json)?.into_iter().collect(),
            _ => text
                .trim_start_matches('\u{feff}')
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned)
                .collect(),
        };
        Ok(Self::new(words))
    }

    /// The built-in list of names that are words.
    pub fn names_that_are_words() -> Self {
        Self::parse(NAMES_THAT_ARE_WORDS).expect("the built-in list is plain text, one word per line")
    }

    /// Whether the word is in the list; case matters.
    pub fn contains(&self, word: &str) -> bool {
        word.bytes().next().is_none_or(|byte| self.starts[usize::from(byte)]) && self.words.contains(word)
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Removes the words of another list.
    pub fn remove(&mut self, others: &Self) {
        self.words.retain(|word| !others.contains(word));
    }

    /// A hash of the content that does not depend on order, for the configuration of a run.
    pub fn fingerprint(&self) -> String {
        let mut words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        words.sort_unstable();
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        for word in &words {
            hash.update(word.as_bytes());
            hash.update(b"\n");
        }
        format!("{} words, xxh3 {:016x}", words.len(), hash.digest())
    }
}

impl<S: Into<String>> FromIterator<S> for WordList {
    fn from_iter<I: IntoIterator<Item = S>>(words: I) -> Self {
        Self::new(words.into_iter().map(Into::into).collect())
    }
}

impl Default for WordList {
    fn default() -> Self {
        Self::new(HashSet::default())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_are_lines_or_json() {
        for text in
            ["door\r\n# a note\n\n slam \n", "{\"door\": 1, \"slam\": 1}", "[\"door\", \"slam\"]", "\u{feff}slam\ndoor"]
        {
            let list = WordList::parse(text).unwrap();
            assert!(list.contains("door") && list.contains("slam") && list.len() == 2, "{text:?} gave {list:?}");
            assert_eq!(list.fingerprint(), WordList::from_iter(["slam", "door"]).fingerprint());
        }
        assert!(WordList::parse("{door}").unwrap_err().contains("begins like JSON"));
    }

    #[test]
    fn files_that_are_no_lists_say_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        for (bytes, part) in [(&b"# none\n"[..], "holds no word"), (b"ok\n\xff\xfe\n", "not UTF-8 on line 2")] {
            std::fs::write(&path, bytes).unwrap();
            let message = WordList::read(&path).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn the_built_in_list_has_the_names_one_thinks_of() {
        let list = WordList::names_that_are_words();
        for name in ["Will", "Mark", "Rose", "Art", "Bill", "Grace"] {
            assert!(list.contains(name), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn foreign_bytes_as_a_word_list_never_panic(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                "\u{feff}?[\\[{]([\"\\\\,:\\[\\]{}\n]|door|1|null){0,40}".prop_map(String::into_bytes),
            ],
        ) {
            if let Ok(list) = WordList::from_bytes(&bytes) {
                prop_assert!(!list.is_empty());
                list.fingerprint();
            }
        }
    }
}
