//! The normaliser of English text that was published with OpenAI's Whisper (MIT licence, Copyright (c) 2022 OpenAI).

use std::collections::HashMap;
use std::sync::OnceLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization as _;

use super::numbers::spell_numbers;
use super::python_text::{Border, collapse, is_mark_or_symbol, is_nonspacing, is_space, replace, replace_if, split};

/// Symbols that are part of numbers.
const KEPT: [char; 6] = ['.', '%', '$', '¢', '€', '£'];

/// Sounds of hesitation, which nobody transcribes alike.
const HESITATIONS: [&str; 6] = ["hmm", "mm", "mhm", "mmm", "uh", "um"];

/// Contractions and what they are short for, as whole words.
const CONTRACTIONS: [(&str, &str); 14] = [
    ("won't", "will not"),
    ("can't", "can not"),
    ("let's", "let us"),
    ("ain't", "aint"),
    ("y'all", "you all"),
    ("wanna", "want to"),
    ("gotta", "got to"),
    ("gonna", "going to"),
    ("i'ma", "i am going to"),
    ("imma", "i am going to"),
    ("woulda", "would have"),
    ("coulda", "could have"),
    ("shoulda", "should have"),
    ("ma'am", "madam"),
];

/// Titles, as whole words; a blank follows what they are short for.
const TITLES: [(&str, &str); 21] = [
    ("mr", "mister "),
    ("mrs", "missus "),
    ("st", "saint "),
    ("dr", "doctor "),
    ("prof", "professor "),
    ("capt", "captain "),
    ("gov", "governor "),
    ("ald", "alderman "),
    ("gen", "general "),
    ("sen", "senator "),
    ("rep", "representative "),
    ("pres", "president "),
    ("rev", "reverend "),
    ("hon", "honorable "),
    ("asst", "assistant "),
    ("assoc", "associate "),
    ("lt", "lieutenant "),
    ("col", "colonel "),
    ("jr", "junior "),
    ("sr", "senior "),
    ("esq", "esquire "),
];

/// Endings of words, the longer ones first.
const ENDINGS: [(&str, &str); 14] = [
    ("'d been", " had been"),
    ("'s been", " has been"),
    ("'d gone", " had gone"),
    ("'s gone", " has gone"),
    ("'d done", " had done"),
    ("'s got", " has got"),
    ("n't", " not"),
    ("'re", " are"),
    ("'s", " is"),
    ("'d", " would"),
    ("'ll", " will"),
    ("'t", " not"),
    ("'ve", " have"),
    ("'m", " am"),
];

/// Whether symbols and accents are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbols {
    /// They are, but for those of numbers.
    Removed,
    /// The same, but the sign in front of a number stays.
    RemovedButSigns,
    /// They stay, as in the variant for the fourth part of the National Speech Corpus.
    Kept,
}

/// Patterns that are compiled once.
struct Patterns {
    angled: Regex,
    round: Regex,
    before_apostrophe: Regex,
    digit_comma: Regex,
    stop: Regex,
    sign: Regex,
    stray_symbol: Regex,
    stray_percent: Regex,
}

fn patterns() -> &'static Patterns {
    static PATTERNS: OnceLock<Patterns> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        let pattern = |text: &str| Regex::new(text).expect("the pattern is valid, as every test shows");
        Patterns {
            angled: pattern(r"[<\[][^>\]]*[>\]]"),
            round: pattern(r"\([^)]+?\)"),
            before_apostrophe: pattern(r"[\s\x1C-\x1F]+'"),
            digit_comma: pattern(r"(\d),(\d)"),
            stop: pattern(r"\.([^0-9]|$)"),
            sign: pattern(r"(^|[\s\x1C-\x1F])[-−]([0-9])"),
            stray_symbol: pattern(r"[.$¢€£]([^0-9])"),
            stray_percent: pattern(r"([^0-9])%"),
        }
    })
}

/// The American spelling of British words.
fn american(word: &str) -> &str {
    static SPELLINGS: OnceLock<HashMap<&'static str, &'static str>> = OnceLock::new();
    let spellings = SPELLINGS.get_or_init(|| {
        let lines = include_str!("../../data/english_spelling.tsv").lines();
        lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t')).collect()
    });
    spellings.get(word).copied().unwrap_or(word)
}

/// Normalises English text as Whisper's evaluation does.
pub(super) fn normalise(text: &str, symbols: Symbols) -> String {
    let patterns = patterns();
    let text = text.to_lowercase();
    let text = replace_if(text, &['<', '['], &patterns.angled, "");
    let text = replace_if(text, &['('], &patterns.round, "");
    let text = HESITATIONS.iter().fold(text, |text, word| replace(text, word, Border::Both, ""));
    let text = replace_if(text, &['\''], &patterns.before_apostrophe, "'");
    let text = expand(text);
    let text = replace_if(text, &[','], &patterns.digit_comma, "$1$2");
    let text = replace_if(text, &['.'], &patterns.stop, " $1");
    let text = match symbols {
        Symbols::Removed => without_symbols(text.nfkd()),
        Symbols::RemovedButSigns => {
            let signed = replace_if(text, &['-', '−'], &patterns.sign, "${1}minus $2");
            without_symbols(signed.nfkd())
        }
        Symbols::Kept => text,
    };
    let text = spell_numbers(&text);
    let text = split(&text).map(american).collect::<Vec<_>>().join(" ");
    let text = replace_if(text, &KEPT, &patterns.stray_symbol, " $1");
    let text = replace_if(text, &['%'], &patterns.stray_percent, "$1 ");
    collapse(&text)
}

/// Contractions, titles and endings in full.
fn expand(text: String) -> String {
    let whole = CONTRACTIONS.iter().chain(&TITLES);
    let text = whole.fold(text, |text, (short, full)| replace(text, short, Border::Both, full));
    if !text.contains('\'') {
        return text;
    }
    ENDINGS.iter().fold(text, |text, (short, full)| replace(text, short, Border::Behind, full))
}

/// Letters without accents, and blanks for symbols that are no part of numbers.
fn without_symbols(text: impl Iterator<Item = char>) -> String {
    let mut out = String::new();
    for c in text {
        match c {
            c if c.is_ascii_alphanumeric() || is_space(c) || KEPT.contains(&c) => out.push(c),
            'œ' => out.push_str("oe"),
            'Œ' => out.push_str("OE"),
            'ø' => out.push('o'),
            'Ø' => out.push('O'),
            'æ' => out.push_str("ae"),
            'Æ' => out.push_str("AE"),
            'ß' => out.push_str("ss"),
            'ẞ' => out.push_str("SS"),
            'đ' | 'ð' => out.push('d'),
            'Đ' | 'Ð' => out.push('D'),
            'þ' => out.push_str("th"),
            'Þ' => out.push_str("th"),
            'ł' => out.push('l'),
            'Ł' => out.push('L'),
            c if is_nonspacing(c) => {}
            c if is_mark_or_symbol(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
