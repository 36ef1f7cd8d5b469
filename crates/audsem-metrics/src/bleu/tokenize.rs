//! The tokenizers of sacrebleu, as far as they are rules.

use std::sync::OnceLock;

use regex::{Captures, Regex};
use serde::{Deserialize, Serialize};

use crate::normalise::python_text::is_space;

/// How texts become the tokens that BLEU compares. `flores101` is not among them: these are the pieces of a model
/// (see [`SentencePieceModel`](crate::sentence_piece::SentencePieceModel)) that sacrebleu downloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BleuTokenizer {
    /// That of the scorer `mteval-v13a` of NIST, for languages with blanks between words.
    #[default]
    #[serde(rename = "13a")]
    V13a,
    /// That of `mteval-v14` for other scripts: punctuation and symbols of Unicode stand alone.
    Intl,
    /// Chinese: each Chinese character is a token.
    Zh,
    /// Each character is a token.
    Char,
    /// The text between blanks.
    None,
}

/// Patterns that are compiled once.
struct Patterns {
    punctuation: Regex,
    before_stop: Regex,
    behind_stop: Regex,
    hyphen: Regex,
    intl_before: Regex,
    intl_behind: Regex,
    symbol: Regex,
}

fn patterns() -> &'static Patterns {
    static PATTERNS: OnceLock<Patterns> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        let pattern = |text: &str| Regex::new(text).expect("the pattern is valid, as every test shows");
        Patterns {
            // ASCII punctuation without apostrophe, hyphen, comma and full stop.
            punctuation: pattern(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"),
            before_stop: pattern(r"([^0-9])([\.,])"),
            behind_stop: pattern(r"([\.,])([^0-9])"),
            hyphen: pattern(r"([0-9])(-)"),
            intl_before: pattern(r"(\P{N})(\p{P})"),
            intl_behind: pattern(r"(\p{P})(\P{N})"),
            symbol: pattern(r"(\p{S})"),
        }
    })
}

impl BleuTokenizer {
    /// The name in sacrebleu, which belongs to every score.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V13a => "13a",
            Self::Intl => "intl",
            Self::Zh => "zh",
            Self::Char => "char",
            Self::None => "none",
        }
    }

    /// The settings of a score, as sacrebleu signs it, with the largest number of references of a prediction.
    #[must_use]
    pub fn signature(self, references: usize) -> String {
        format!("nrefs:{references}|case:mixed|eff:no|tok:{}|smooth:exp|version:2.6.0", self.name())
    }

    /// The tokens of a text.
    #[must_use]
    pub fn tokens(self, text: &str) -> Vec<String> {
        let text = text.trim_end_matches(is_space);
        let split = |text: &str| text.split(is_space).filter(|token| !token.is_empty()).map(str::to_owned).collect();
        match self {
            Self::V13a => split(&v13a(text)),
            Self::Intl => split(&intl(text)),
            Self::Zh => split(&zh(text)),
            Self::Char => text.chars().filter(|c| !is_space(*c)).map(String::from).collect(),
            Self::None => split(text),
        }
    }
}

fn v13a(text: &str) -> String {
    let text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let entities = [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")];
    let has_entity = text.contains('&');
    let decoded = entities.iter().fold(text, |text, (name, c)| if has_entity { text.replace(name, c) } else { text });
    punctuated(&format!(" {decoded} "))
}

/// Punctuation apart from words, but for what belongs to numbers.
fn punctuated(text: &str) -> String {
    let patterns = patterns();
    let text = patterns.punctuation.replace_all(text, " $1 ");
    let text = patterns.before_stop.replace_all(&text, "$1 $2 ");
    let text = patterns.behind_stop.replace_all(&text, " $1 $2");
    patterns.hyphen.replace_all(&text, "$1 $2 ").into_owned()
}

fn intl(text: &str) -> String {
    let patterns = patterns();
    let text = patterns.intl_before.replace_all(text, "$1 $2 ");
    let text = patterns.intl_behind.replace_all(&text, " $1 $2");
    patterns.symbol.replace_all(&text, |found: &Captures<'_>| format!(" {} ", &found[1])).into_owned()
}

fn zh(text: &str) -> String {
    let mut spaced = String::with_capacity(2 * text.len());
    for c in text.trim_matches(is_space).chars() {
        if is_chinese(c) {
            spaced.extend([' ', c, ' ']);
        } else {
            spaced.push(c);
        }
    }
    punctuated(&spaced)
}

/// Whether sacrebleu counts a character as Chinese. A range is written with five digits where four are read, which
/// makes U+2001 to U+2A6D Chinese too; its scores depend on that.
fn is_chinese(c: char) -> bool {
    matches!(
        u32::from(c),
        0x3400..=0x4db5 | 0x4e00..=0x9fbb | 0xf900..=0xfa2d | 0xfa30..=0xfa6a | 0xfa70..=0xfad9 | 0xff00..=0xffef
            | 0x2e80..=0x2eff | 0x3000..=0x303f | 0x31c0..=0x31ef | 0x2f00..=0x2fdf | 0x2ff0..=0x2fff
            | 0x3100..=0x312f | 0x31a0..=0x31bf | 0xfe10..=0xfe1f | 0xfe30..=0xfe4f | 0x2600..=0x27bf
            | 0x3200..=0x33ff | 0x2001..=0x2a6d
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stand_apart() {
        for (tokenizer, text, expected) in [
            (BleuTokenizer::V13a, "It's 3.5, 1-2 &amp; \"so\".", "It's 3.5 , 1 - 2 & \" so \" ."),
            (BleuTokenizer::Intl, "«Oui», 3.5 €!", "« Oui » , 3.5 € !"),
            (BleuTokenizer::Zh, "我go到 3.5", "我 go 到 3.5"),
            (BleuTokenizer::Char, "a b", "a b"),
            (BleuTokenizer::None, "a, b ", "a, b"),
        ] {
            assert_eq!(tokenizer.tokens(text).join(" "), expected, "{}", tokenizer.name());
        }
    }
}
