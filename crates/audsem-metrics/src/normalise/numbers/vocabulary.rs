//! The words of numbers.

use std::collections::HashMap;
use std::sync::OnceLock;

use num_bigint::BigUint;

const ONES: [&str; 19] = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
/// Hundred, and from thousand on each a thousand times the one before.
const MULTIPLIERS: [&str; 12] = [
    "hundred",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
];
/// Ordinals that are no number with an ending.
const ORDINALS: [(&str, u32, &str); 6] = [
    ("zeroth", 0, "th"),
    ("first", 1, "st"),
    ("second", 2, "nd"),
    ("third", 3, "rd"),
    ("fifth", 5, "th"),
    ("twelfth", 12, "th"),
];

/// What a word of a number means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NumberWord {
    /// Zero.
    Zero,
    /// 1 to 19, with an ending such as `th` where the number ends with it.
    Ones(u32, Option<&'static str>),
    /// 20, 30 … 90, with an ending.
    Tens(u32, Option<&'static str>),
    /// A hundred, a thousand …, with an ending.
    Multiplier(BigUint, Option<&'static str>),
    /// A sign in front of a number.
    Sign(&'static str),
    /// A currency behind a number.
    Currency(&'static str),
    /// `percent`.
    Percent,
    /// `per`, which `cent` may follow.
    Per,
    /// `and`.
    And,
    /// `double` or `triple`, as the number of repetitions.
    Repeat(usize),
    /// `point`.
    Point,
}

/// All words of numbers.
pub(super) struct Vocabulary(HashMap<String, NumberWord>);

pub(super) fn vocabulary() -> &'static Vocabulary {
    static WORDS: OnceLock<Vocabulary> = OnceLock::new();
    WORDS.get_or_init(|| {
        let mut words = HashMap::new();
        words.extend(["o", "oh", "zero"].map(|word| (word.to_owned(), NumberWord::Zero)));
        add_ones(&mut words);
        add_tens(&mut words);
        add_multipliers(&mut words);
        add_signs(&mut words);
        Vocabulary(words)
    })
}

fn add_ones(words: &mut HashMap<String, NumberWord>) {
    for (value, name) in (1..).zip(ONES) {
        words.insert(name.to_owned(), NumberWord::Ones(value, None));
        let plural = if name == "six" { "sixes".to_owned() } else { format!("{name}s") };
        words.insert(plural, NumberWord::Ones(value, Some("s")));
        if value > 3 && value != 5 && value != 12 {
            // The published list has `nineth`, and no `ninth`.
            let ending = if name.ends_with('t') { "h" } else { "th" };
            words.insert(format!("{name}{ending}"), NumberWord::Ones(value, Some("th")));
        }
    }
    for (name, value, ending) in ORDINALS {
        words.insert(name.to_owned(), NumberWord::Ones(value, Some(ending)));
    }
}

fn add_tens(words: &mut HashMap<String, NumberWord>) {
    for (value, name) in (20..).step_by(10).zip(TENS) {
        words.insert(name.to_owned(), NumberWord::Tens(value, None));
        words.insert(name.replace('y', "ies"), NumberWord::Tens(value, Some("s")));
        words.insert(name.replace('y', "ieth"), NumberWord::Tens(value, Some("th")));
    }
}

fn add_multipliers(words: &mut HashMap<String, NumberWord>) {
    for (n, name) in (0u32..).zip(MULTIPLIERS) {
        let value = if n == 0 { BigUint::from(100u32) } else { BigUint::from(1000u32).pow(n) };
        words.insert(name.to_owned(), NumberWord::Multiplier(value.clone(), None));
        words.insert(format!("{name}s"), NumberWord::Multiplier(value.clone(), Some("s")));
        words.insert(format!("{name}th"), NumberWord::Multiplier(value, Some("th")));
    }
}

fn add_signs(words: &mut HashMap<String, NumberWord>) {
    let signs = [("minus", "-"), ("negative", "-"), ("plus", "+"), ("positive", "+")];
    let currencies = [("pound", "£"), ("euro", "€"), ("dollar", "$"), ("cent", "¢")];
    for (word, sign) in signs {
        words.insert(word.to_owned(), NumberWord::Sign(sign));
    }
    for (word, sign) in currencies {
        words.insert(word.to_owned(), NumberWord::Currency(sign));
        words.insert(format!("{word}s"), NumberWord::Currency(sign));
    }
    for (word, meaning) in [
        ("percent", NumberWord::Percent),
        ("per", NumberWord::Per),
        ("and", NumberWord::And),
        ("double", NumberWord::Repeat(2)),
        ("triple", NumberWord::Repeat(3)),
        ("point", NumberWord::Point),
    ] {
        words.insert(word.to_owned(), meaning);
    }
}

impl Vocabulary {
    /// What a word means, if it is one of a number.
    pub(super) fn get(&self, word: &str) -> Option<&NumberWord> {
        self.0.get(word)
    }

    /// The value of a multiplier without an ending.
    pub(super) fn multiplier(&self, word: &str) -> Option<&BigUint> {
        match self.get(word) {
            Some(NumberWord::Multiplier(value, None)) => Some(value),
            _ => None,
        }
    }

    /// The value of 1 to 19 without an ending.
    pub(super) fn ones(&self, word: &str) -> Option<u32> {
        match self.get(word) {
            Some(NumberWord::Ones(value, None)) => Some(*value),
            _ => None,
        }
    }

    /// Whether a word is one of the tens without an ending.
    pub(super) fn is_tens(&self, word: &str) -> bool {
        matches!(self.get(word), Some(NumberWord::Tens(_, None)))
    }

    /// Whether a word is a zero.
    pub(super) fn is_zero(&self, word: &str) -> bool {
        matches!(self.get(word), Some(NumberWord::Zero))
    }

    /// Whether a word may follow `point`.
    pub(super) fn is_decimal(&self, word: &str) -> bool {
        self.ones(word).is_some() || self.is_tens(word) || self.is_zero(word)
    }
}
