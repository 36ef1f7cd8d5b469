//! Words as the tokenizer of NLTK cuts them, in the manner of the Penn Treebank.

use std::sync::OnceLock;

use fancy_regex::Regex;

use crate::normalise::words;

/// What is replaced in front of everything else: opening quotation marks.
const OPENING: [(&str, &str); 5] = [
    ("([«“‘„]|[`]+)", " $1 "),
    (r#"^""#, "``"),
    ("(``)", " $1 "),
    (r#"([ (\[{<])("|'{2})"#, "$1 `` "),
    (r"(?i)(?<!\w)(')(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", "$1 "),
];

/// Punctuation, and the last full stop with what may stand behind it.
const PUNCTUATION: [(&str, &str); 12] = [
    (r#"([^.])(\.)([\])}>"'»”’ ]*)\s*\z"#, "$1 $2 $3 "),
    (r"([:,])(\D)", " $1 $2"),
    (r"([:,])(?=\n?\z)", " $1 "),
    (r"(\.{2,})", " $1 "),
    ("([;@#$%&])", " $1 "),
    (r"([\x{2012}-\x{2015}])", " $1 "),
    (r#"([^.])(\.)([\])}>"']*)\s*\z"#, "$1 $2$3 "),
    ("([?!])", " $1 "),
    ("([^'])' ", "$1 ' "),
    ("([*])", " $1 "),
    (r"([\]\[(){}<>])", " $1 "),
    ("--", " -- "),
];

/// Closing quotation marks, endings behind apostrophes, and words that are written as one. The text has a blank at both ends.
const CLOSING: [(&str, &str); 16] = [
    ("([»”’])", " $1 "),
    ("''", " '' "),
    ("\"", " '' "),
    (r"\s+", " "),
    ("([^' ])('[sS]|'[mM]|'[dD]|') ", "$1 $2 "),
    ("([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", "$1 $2 "),
    (r"(?i)(?<![\p{L}\p{N}_])(can)(not)(?![\p{L}\p{N}_])", " $1 $2 "),
    (r"(?i)(?<![\p{L}\p{N}_])(d)('ye)(?![\p{L}\p{N}_])", " $1 $2 "),
    (r"(?i)(?<![\p{L}\p{N}_])(gim)(me)(?![\p{L}\p{N}_])", " $1 $2 "),
    (r"(?i)(?<![\p{L}\p{N}_])(gon)(na)(?![\p{L}\p{N}_])", " $1 $2 "),
    (r"(?i)(?<![\p{L}\p{N}_])(got)(ta)(?![\p{L}\p{N}_])", " $1 $2 "),
    (r"(?i)(?<![\p{L}\p{N}_])(lem)(me)(?![\p{L}\p{N}_])", " $1 $2 "),
    (r"(?i)(?<![\p{L}\p{N}_])(more)('n)(?![\p{L}\p{N}_])", " $1 $2 "),
    (r"(?i)(?<![\p{L}\p{N}_])(wan)(na)(?=\s)", " $1 $2 "),
    (r"(?i) ('t)(is)(?![\p{L}\p{N}_])", " $1 $2 "),
    (r"(?i) ('t)(was)(?![\p{L}\p{N}_])", " $1 $2 "),
];

type Rule = (Regex, &'static str);

fn rules() -> &'static [Vec<Rule>; 2] {
    static RULES: OnceLock<[Vec<Rule>; 2]> = OnceLock::new();
    let compile = |(pattern, with): &(&'static str, &'static str)| {
        (Regex::new(pattern).expect("the pattern is valid, as every test shows"), *with)
    };
    RULES.get_or_init(|| {
        [OPENING.iter().chain(&PUNCTUATION).map(compile).collect(), CLOSING.iter().map(compile).collect()]
    })
}

/// The words and signs of a text. It is taken as one sentence: NLTK first cuts texts into sentences by a model that it
/// downloads, and so parts full stops within a text from their words, which stay together here.
#[must_use]
pub fn tokens(text: &str) -> Vec<String> {
    let replaced = |text: String, (pattern, with): &Rule| pattern.replace_all(&text, *with).into_owned();
    let [first, last] = rules();
    let text = first.iter().fold(text.to_owned(), replaced);
    let text = last.iter().fold(format!(" {text} "), replaced);
    words(&text).map(str::to_owned).collect()
}
