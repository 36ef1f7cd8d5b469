//! The test for words that only speech has.

use regex::Regex;

/// The pronouns whose presence marks speech.
pub(super) const DEFAULT: [&str; 10] = ["i", "you", "he", "she", "it", "we", "they", "me", "my", "your"];

/// A list of words, looked for as whole words.
#[derive(Debug, Clone)]
pub struct Pronouns {
    words: Vec<String>,
    /// `\b(a|b|…)\b`, the definition; `None` for an empty list, which occurs nowhere.
    regex: Option<Regex>,
    /// Whether all words are made of `[A-Za-z0-9_]`, so that comparing words is enough in ASCII.
    simple: bool,
    /// The length of the longest word, in bytes.
    longest: usize,
}

impl Pronouns {
    /// A list of pronouns, in lower case like the captions they are compared with.
    pub fn new(words: &[String]) -> Self {
        let pattern = words.iter().map(|word| regex::escape(word)).collect::<Vec<_>>().join("|");
        let regex = Regex::new(&format!(r"\b(?:{pattern})\b")).expect("escaped words make a pattern");
        Self {
            words: words.to_vec(),
            regex: (!words.is_empty()).then_some(regex),
            simple: words.iter().all(|word| !word.is_empty() && word.bytes().all(is_word_byte)),
            longest: words.iter().map(String::len).max().unwrap_or(0),
        }
    }

    /// Whether one of the pronouns occurs as a whole word.
    pub fn occur_in(&self, text: &str) -> bool {
        if !(self.simple && text.is_ascii()) {
            return self.regex.as_ref().is_some_and(|regex| regex.is_match(text));
        }
        text.as_bytes()
            .split(|byte| !is_word_byte(*byte))
            .filter(|word| (1..=self.longest).contains(&word.len()))
            .any(|word| self.words.iter().any(|pronoun| pronoun.as_bytes() == word))
    }
}

impl Default for Pronouns {
    fn default() -> Self {
        Self::new(&DEFAULT.map(str::to_owned))
    }
}

const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pronouns_are_whole_words() {
        let pronouns = Pronouns::default();
        for (text, expected) in [
            ("he laughs", true),
            ("it's raining", true),
            ("the hen laughs", false),
            ("we_all", false),
            ("oh,my", true),
            ("caf\u{e9} me", true),
            ("", false),
        ] {
            assert_eq!(pronouns.occur_in(text), expected, "{text}");
        }
        assert!(!Pronouns::new(&[]).occur_in("he laughs"));
        assert!(Pronouns::new(&["it's".to_owned()]).occur_in("it's raining"));
    }

    static PRONOUNS: LazyLock<Pronouns> = LazyLock::new(Pronouns::default);
    static DEFINITION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(i|you|he|she|it|we|they|me|my|your)\b").expect("a pattern"));

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn comparing_words_agrees_with_the_definition(
            text in prop_oneof!["[iyouhesitwam,_' ]{0,20}", "[ -~]{0,30}", any::<String>()],
        ) {
            prop_assert_eq!(PRONOUNS.occur_in(&text), DEFINITION.is_match(&text));
        }
    }
}
