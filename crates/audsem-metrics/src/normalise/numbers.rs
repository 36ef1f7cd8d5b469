//! Numbers in words as digits, as the normaliser of OpenAI's Whisper writes them (MIT licence, Copyright (c) 2022 OpenAI): with
//! its signs, currencies, ordinals and shares, and with what it gets wrong.

mod machine;
mod vocabulary;

use std::borrow::Cow;
use std::sync::OnceLock;

use fancy_regex::{Captures, Regex};

use machine::Machine;
use vocabulary::vocabulary;

/// The end of a word, behind a word character, as Python has it.
const END: &str = r"(?![\p{L}\p{N}_])";

/// Patterns that are compiled once.
struct Patterns {
    and_a_half: Regex,
    letter_digit: Regex,
    digit_letter: Regex,
    ordinal: Regex,
    cents: Regex,
    only_cents: Regex,
    one: Regex,
}

fn patterns() -> &'static Patterns {
    static PATTERNS: OnceLock<Patterns> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        let pattern = |text: &str| Regex::new(text).expect("the pattern is valid, as every test shows");
        Patterns {
            and_a_half: pattern(&format!(r"(?<![\p{{L}}\p{{N}}_])and[\s\x1C-\x1F]+a[\s\x1C-\x1F]+half{END}")),
            letter_digit: pattern("([a-z])([0-9])"),
            digit_letter: pattern("([0-9])([a-z])"),
            ordinal: pattern(&format!(r"([0-9])[\s\x1C-\x1F]+(st|nd|rd|th|s){END}")),
            cents: pattern(&format!("([€£$])([0-9]+) (?:and )?¢([0-9]{{1,2}}){END}")),
            only_cents: pattern(&format!("[€£$]0.([0-9]{{1,2}}){END}")),
            one: pattern(&format!(r"(?<![\p{{L}}\p{{N}}_])1(s?){END}")),
        }
    })
}

/// Writes numbers as digits. Words are joined by single blanks.
pub(super) fn spell_numbers(text: &str) -> String {
    let words = prepared(text);
    let words: Vec<&str> = super::python_text::split(&words).collect();
    finished(Machine::read(&words))
}

/// Halves as decimals, and digits apart from letters.
fn prepared(text: &str) -> Cow<'_, str> {
    let text = if text.contains("half") { Cow::Owned(with_decimals(text)) } else { Cow::Borrowed(text) };
    if !text.contains(|c: char| c.is_ascii_digit()) {
        return text;
    }
    let patterns = patterns();
    let text = patterns.letter_digit.replace_all(&text, "$1 $2");
    let text = patterns.digit_letter.replace_all(&text, "$1 $2");
    Cow::Owned(patterns.ordinal.replace_all(&text, "$1$2").into_owned())
}

/// Halves behind a number as decimals.
fn with_decimals(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut pieces = patterns().and_a_half.split(text).filter_map(Result::ok).peekable();
    while let Some(piece) = pieces.next() {
        let Some(last) = super::python_text::split(piece).last() else { continue };
        parts.push(piece);
        if pieces.peek().is_some() {
            let is_number = vocabulary().is_decimal(last) || vocabulary().multiplier(last).is_some();
            parts.push(if is_number { "point five" } else { "and a half" });
        }
    }
    parts.join(" ")
}

/// Cents behind their currency, and a lone 1 as a word.
fn finished(text: String) -> String {
    let text = if text.contains(['€', '£', '$']) { with_cents(&text) } else { text };
    if !text.contains('1') {
        return text;
    }
    patterns().one.replace_all(&text, "one$1").into_owned()
}

fn with_cents(text: &str) -> String {
    let patterns = patterns();
    let group = |found: &Captures<'_>, n: usize| found.get(n).map_or("", |group| group.as_str()).to_owned();
    let cents = |found: &Captures<'_>| format!("{}{}.{:0>2}", group(found, 1), group(found, 2), group(found, 3));
    let text = patterns.cents.replace_all(text, cents);
    let without_zero = |found: &Captures<'_>| {
        let digits = group(found, 1);
        let digits = digits.trim_start_matches('0');
        format!("¢{}", if digits.is_empty() { "0" } else { digits })
    };
    patterns.only_cents.replace_all(&text, without_zero).into_owned()
}
