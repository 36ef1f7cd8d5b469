//! What is done to the texts of a data set.

use std::sync::OnceLock;

use regex::Regex;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use super::python_text::{Border, collapse, is_punctuation, is_space, is_word, replace, replace_if, split};
use super::whisper::{self, Symbols};

/// Which texts are normalised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextProfile {
    /// English.
    #[default]
    English,
    /// Chinese, also mixed with English: each Chinese character is a word.
    Chinese,
    /// English with words of other languages, whose accents stay, as in the fourth part of the National Speech Corpus.
    ImdaPart4,
    /// Vietnamese, and other languages with blanks between words.
    Vietnamese,
    /// As it is, but for white space. Thai comes with blanks between its words, as [`ThaiWords`](super::ThaiWords) puts them.
    Verbatim,
}

/// Whether the published evaluation is followed in its faults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compat {
    /// What it means: numbers stay whole, typographic apostrophes count, scripts stand apart.
    #[default]
    Fixed,
    /// What it does.
    Reference,
}

/// The numbers that are written as words, and these.
const NUMERALS: [(&str, &str); 28] = [
    ("0", "zero"),
    ("1", "one"),
    ("2", "two"),
    ("3", "three"),
    ("4", "four"),
    ("5", "five"),
    ("6", "six"),
    ("7", "seven"),
    ("8", "eight"),
    ("9", "nine"),
    ("10", "ten"),
    ("11", "eleven"),
    ("12", "twelve"),
    ("13", "thirteen"),
    ("14", "fourteen"),
    ("15", "fifteen"),
    ("16", "sixteen"),
    ("17", "seventeen"),
    ("18", "eighteen"),
    ("19", "nineteen"),
    ("20", "twenty"),
    ("30", "thirty"),
    ("40", "forty"),
    ("50", "fifty"),
    ("60", "sixty"),
    ("70", "seventy"),
    ("80", "eighty"),
    ("90", "ninety"),
];

/// Common contractions, wherever they stand in a word.
const CONTRACTIONS: [(&str, &str); 11] = [
    ("won't", "will not"),
    ("can't", "can not"),
    ("let's", "let us"),
    ("n't", " not"),
    ("'re", " are"),
    ("'s", " is"),
    ("'d", " would"),
    ("'ll", " will"),
    ("'t", " not"),
    ("'ve", " have"),
    ("'m", " am"),
];

const FILLERS: [&str; 5] = ["uh", "umm", "um", "er", "ah"];

/// Brackets that open what is no speech.
const OPENING: [char; 4] = ['[', '(', '{', '<'];

/// Normalises a text.
#[must_use]
pub fn normalise(text: &str, profile: TextProfile, compat: Compat) -> String {
    match profile {
        TextProfile::English => english(text, Symbols::Removed, compat),
        TextProfile::Chinese => spaced(&english(text, Symbols::Removed, compat), compat),
        TextProfile::ImdaPart4 => joined(&spaced(&english(text, Symbols::Kept, compat), compat)),
        TextProfile::Vietnamese => {
            // Accents may be characters of their own, which are neither letters nor numbers.
            let composed = || text.nfc().collect::<String>();
            let text = if compat == Compat::Fixed { composed() } else { text.to_owned() };
            let is_kept = |c: char| is_space(c) || (c != '_' && is_word(c));
            joined(&text.to_lowercase().chars().map(|c| if is_kept(c) { c } else { ' ' }).collect::<String>())
        }
        TextProfile::Verbatim => joined(text),
    }
}

fn english(text: &str, symbols: Symbols, compat: Compat) -> String {
    let without_fillers = |text: String| FILLERS.iter().fold(text, |text, word| replace(text, word, Border::Both, ""));
    match compat {
        Compat::Reference => {
            let text = whisper::normalise(&text.to_lowercase(), symbols);
            let text = NUMERALS.iter().fold(text, |text, (digits, word)| replace(text, digits, Border::Both, word));
            let text = replace_if(text, &OPENING, pattern(Pattern::ReferenceBrackets), "");
            without_fillers(cleaned(&text)).trim_matches(is_space).to_owned()
        }
        Compat::Fixed => {
            let symbols = if symbols == Symbols::Removed { Symbols::RemovedButSigns } else { symbols };
            let text = whisper::normalise(&text.replace('\u{2019}', "'"), symbols);
            let text = replace_if(text, &OPENING, pattern(Pattern::Brackets), "");
            let words = split(&text).map(without_punctuation).collect::<Vec<_>>().join(" ");
            joined(&without_fillers(words))
        }
    }
}

/// The transformations that the published evaluation takes from jiwer.
fn cleaned(text: &str) -> String {
    let text = pattern(Pattern::Spaces).replace_all(text, " ").into_owned();
    let text = CONTRACTIONS.iter().fold(text, |text, (short, full)| replace(text, short, Border::Neither, full));
    let text = replace_if(text, &['<', '['], pattern(Pattern::Noises), "");
    text.chars().filter(|c| !is_punctuation(*c)).collect()
}

/// A word without punctuation. What has digits is a number, and keeps its points, sign and share.
fn without_punctuation(word: &str) -> String {
    if word.chars().any(|c| c.is_numeric()) {
        let is_of_number = |c: char| "-%".contains(c);
        return word.trim_matches(|c: char| is_punctuation(c) && !is_of_number(c)).to_owned();
    }
    word.chars().filter(|c| !is_punctuation(*c)).collect()
}

/// Chinese characters as words.
fn spaced(text: &str, compat: Compat) -> String {
    let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    let mut out = String::with_capacity(2 * text.len());
    let mut before: Option<char> = None;
    for c in text.chars() {
        let is_border = before.is_some_and(|before| match compat {
            Compat::Reference => is_chinese(before) && is_chinese(c),
            Compat::Fixed => is_chinese(before) || is_chinese(c),
        });
        if is_border {
            out.push(' ');
        }
        out.push(c);
        before = Some(c);
    }
    if compat == Compat::Fixed { joined(&out) } else { out }
}

/// A text with single blanks between its words, and none around it.
pub(super) fn joined(text: &str) -> String {
    collapse(text).trim_matches(' ').to_owned()
}

/// Patterns that are compiled once.
enum Pattern {
    Spaces,
    Noises,
    Brackets,
    /// Has the letter `n` and `\` among what may not stand inside, by a slip of quoting.
    ReferenceBrackets,
}

fn pattern(which: Pattern) -> &'static Regex {
    static ALL: OnceLock<[Regex; 4]> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        [r"[\s\x1C-\x1F]{2,}", r"[<\[][^>\]]*[>\]]", r"[\[({<][^\[\](){}<>\n]*[\])}>]", r"[\[({<][^()\\n\[\]]*[\])}>]"]
            .map(|text| Regex::new(text).expect("the pattern is valid, as every test shows"))
    });
    &all[which as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_kept_apart_from_what_is_done() {
        for (text, profile, reference, fixed) in [
            ("I don’t know.", TextProfile::English, "i don t know", "i do not know"),
            ("$2.07 or -5 °C", TextProfile::English, "$two07 or five c", "$2.07 or -5 c"),
            ("uh, one (noise) 1", TextProfile::English, "one one", "one one"),
            ("我们go到", TextProfile::Chinese, "我 们go到", "我 们 go 到"),
            ("{noise} {lah} mana", TextProfile::ImdaPart4, "noise mana", "mana"),
            ("Xin CHÀO, 2 bạn_!", TextProfile::Vietnamese, "xin chào 2 bạn", "xin chào 2 bạn"),
            ("cha\u{300}o", TextProfile::Vietnamese, "cha o", "chào"),
            ("  ก  ข ", TextProfile::Verbatim, "ก ข", "ก ข"),
        ] {
            let got = [Compat::Reference, Compat::Fixed].map(|compat| normalise(text, profile, compat));
            assert_eq!(got, [reference, fixed], "{text}");
        }
    }
}
