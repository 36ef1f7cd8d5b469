//! Reads numbers word by word.

use num_bigint::BigUint;

use super::vocabulary::{NumberWord, Vocabulary, vocabulary};

/// Signs that may stand in front of digits.
const SIGNS: [char; 6] = ['-', '+', '£', '€', '$', '¢'];

/// What has been read of a number.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// A whole number, which words can be added to.
    Whole(BigUint),
    /// Digits and points, which are appended to.
    Digits(String),
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Whole(value) => value.to_string(),
            Self::Digits(digits) => digits.clone(),
        }
    }
}

/// The number that is being read, and the words that are done.
pub(super) struct Machine<'a> {
    words: &'a [&'a str],
    value: Option<Value>,
    sign: Option<String>,
    out: Vec<String>,
    vocabulary: &'static Vocabulary,
}

/// A word between its neighbours.
#[derive(Clone, Copy)]
struct Place<'a> {
    before: &'a str,
    word: &'a str,
    after: &'a str,
}

impl<'a> Machine<'a> {
    /// The words with their numbers as digits, between single blanks.
    pub(super) fn read(words: &'a [&'a str]) -> String {
        let mut machine = Self { words, value: None, sign: None, out: Vec::new(), vocabulary: vocabulary() };
        let mut at = 0;
        while at < machine.words.len() {
            at += machine.step(at);
        }
        machine.flush();
        machine.out.join(" ")
    }

    /// Reads the word at a place, and tells how many words that were.
    fn step(&mut self, at: usize) -> usize {
        let word = |at: Option<usize>| at.and_then(|at| self.words.get(at)).copied().unwrap_or_default();
        let place = Place { before: word(at.checked_sub(1)), word: self.words[at], after: word(Some(at + 1)) };
        let (sign, digits) = match place.word.chars().next() {
            Some(first) if SIGNS.contains(&first) => (Some(first), &place.word[first.len_utf8()..]),
            _ => (None, place.word),
        };
        if let Some(number) = literal(digits) {
            self.literal(place.word, sign, number);
            return 1;
        }
        match self.vocabulary.get(place.word) {
            None => self.plain(place.word),
            Some(NumberWord::Zero) => self.append("0"),
            Some(NumberWord::Ones(n, ending)) => self.ones(place, *n, *ending),
            Some(NumberWord::Tens(n, ending)) => self.tens(*n, *ending),
            Some(NumberWord::Multiplier(n, ending)) => self.multiply(n, *ending),
            Some(NumberWord::Sign(sign)) => self.sign(place, sign),
            Some(NumberWord::Currency(sign)) => self.currency(place.word, sign),
            Some(NumberWord::Percent) => self.suffix(place.word, "%"),
            Some(NumberWord::Per) => return self.per(place),
            Some(NumberWord::And) => self.and(place),
            Some(NumberWord::Repeat(n)) => return self.repeat(place, *n),
            Some(NumberWord::Point) => self.point(place),
        }
        1
    }

    /// Whether a number may go on with this word.
    fn is_numeric(&self, word: &str) -> bool {
        self.vocabulary.get(word).is_some() || literal(word).is_some()
    }

    fn emit(&mut self, text: &str) {
        let sign = self.sign.take().unwrap_or_default();
        self.out.push(sign + text);
        self.value = None;
    }

    fn flush(&mut self) {
        if let Some(value) = self.value.take() {
            self.emit(&value.text());
        }
    }

    /// A word that is no part of a number.
    fn plain(&mut self, word: &str) {
        self.flush();
        self.emit(word);
    }

    /// What has been read, as text that is appended to; nothing where that is zero, as in the published code.
    fn begun(&mut self) -> String {
        match self.value.take() {
            Some(Value::Whole(value)) if value == BigUint::ZERO => String::new(),
            Some(value) => value.text(),
            None => String::new(),
        }
    }

    fn append(&mut self, digits: &str) {
        self.value = Some(Value::Digits(self.begun() + digits));
    }

    fn literal(&mut self, word: &str, sign: Option<char>, number: Value) {
        if let Some(Value::Digits(digits)) = &mut self.value
            && digits.ends_with('.')
        {
            digits.push_str(word);
            return;
        }
        self.flush();
        self.sign = sign.map(String::from).or(self.sign.take());
        self.value = Some(number);
    }

    /// Keeps a number that may go on, or ends it with its ending.
    fn put(&mut self, value: Value, ending: Option<&str>) {
        match ending {
            None => self.value = Some(value),
            Some(ending) => self.emit(&(value.text() + ending)),
        }
    }

    fn ones(&mut self, place: Place<'_>, n: u32, ending: Option<&'static str>) {
        let is_behind_ones = self.vocabulary.ones(place.before).is_some();
        let value = match self.value.take() {
            None => Value::Whole(n.into()),
            Some(Value::Digits(mut digits)) => {
                if self.vocabulary.is_tens(place.before) && n < 10 {
                    // Twenty and one are 21.
                    digits.pop();
                }
                Value::Digits(digits + &n.to_string())
            }
            Some(Value::Whole(value)) if is_behind_ones => Value::Digits(format!("{value}{n}")),
            Some(Value::Whole(value)) => added(value, n, if n < 10 { 10 } else { 100 }),
        };
        self.put(value, ending);
    }

    fn tens(&mut self, n: u32, ending: Option<&'static str>) {
        let value = match self.value.take() {
            None => Value::Whole(n.into()),
            Some(Value::Digits(digits)) => Value::Digits(format!("{digits}{n}")),
            Some(Value::Whole(value)) => added(value, n, 100),
        };
        self.put(value, ending);
    }

    fn multiply(&mut self, by: &BigUint, ending: Option<&'static str>) {
        let value = match self.value.take() {
            None => Value::Whole(by.clone()),
            Some(Value::Whole(value)) if value != BigUint::ZERO || ending.is_some() => {
                let rest = &value % 1000u32;
                Value::Whole(value - &rest + rest * by)
            }
            Some(value) => match product(&value.text(), by) {
                Some(product) => Value::Whole(product),
                None => {
                    self.emit(&value.text());
                    Value::Whole(by.clone())
                }
            },
        };
        self.put(value, ending);
    }

    fn sign(&mut self, place: Place<'_>, sign: &str) {
        self.flush();
        if self.is_numeric(place.after) {
            self.sign = Some(sign.to_owned());
        } else {
            self.emit(place.word);
        }
    }

    fn currency(&mut self, word: &str, sign: &str) {
        match self.value.take() {
            Some(value) => {
                self.sign = Some(sign.to_owned());
                self.emit(&value.text());
            }
            None => self.emit(word),
        }
    }

    fn suffix(&mut self, word: &str, suffix: &str) {
        match self.value.take() {
            Some(value) => self.emit(&(value.text() + suffix)),
            None => self.emit(word),
        }
    }

    fn per(&mut self, place: Place<'_>) -> usize {
        if self.value.is_some() && place.after == "cent" {
            self.suffix(place.word, "%");
            return 2;
        }
        self.plain(place.word);
        1
    }

    fn and(&mut self, place: Place<'_>) {
        let is_inside = self.is_numeric(place.after) && self.vocabulary.multiplier(place.before).is_some();
        if !is_inside {
            self.plain(place.word);
        }
    }

    fn repeat(&mut self, place: Place<'_>, times: usize) -> usize {
        let digits = match self.vocabulary.ones(place.after) {
            Some(n) => n.to_string(),
            None if self.vocabulary.is_zero(place.after) => "0".to_owned(),
            None => {
                self.plain(place.word);
                return 1;
            }
        };
        self.append(&digits.repeat(times));
        2
    }

    fn point(&mut self, place: Place<'_>) {
        if !self.is_numeric(place.after) {
            self.plain(place.word);
        } else if self.vocabulary.is_decimal(place.after) || literal(place.after).is_some() {
            self.append(".");
        }
        // Before any other word of a number the point vanishes, as in the published code.
    }
}

/// A number added to one that ends in zeros, else behind it.
fn added(value: BigUint, n: u32, zeros: u32) -> Value {
    if &value % zeros == BigUint::ZERO { Value::Whole(value + n) } else { Value::Digits(format!("{value}{n}")) }
}

/// A number in digits, with a fraction or without.
fn literal(word: &str) -> Option<Value> {
    let (whole, fraction) = word.split_once('.').map_or((word, None), |(whole, fraction)| (whole, Some(fraction)));
    let is_digits = |text: &str| !text.is_empty() && text.chars().all(|c| digit(c).is_some());
    if !is_digits(whole) || fraction.is_some_and(|fraction| !is_digits(fraction)) {
        return None;
    }
    let is_whole = fraction.is_none_or(|fraction| fraction.chars().all(|c| digit(c) == Some(0)));
    Some(if is_whole { Value::Whole(parse(whole)?) } else { Value::Digits(word.to_owned()) })
}

/// The value of a decimal digit of any script.
fn digit(c: char) -> Option<u32> {
    use unicode_general_category::{GeneralCategory, get_general_category};
    let is_digit = |c: char| get_general_category(c) == GeneralCategory::DecimalNumber;
    if c.is_ascii() {
        return c.to_digit(10);
    }
    // Digits of a script follow each other from zero on, and scripts lie apart or behind each other.
    is_digit(c).then(|| {
        let before = (1..10).take_while(|n| char::from_u32(c as u32 - n).is_some_and(is_digit)).count();
        before as u32 % 10
    })
}

fn parse(digits: &str) -> Option<BigUint> {
    let ascii: String =
        digits.chars().map(|c| digit(c).and_then(|n| char::from_digit(n, 10))).collect::<Option<_>>()?;
    ascii.parse().ok()
}

/// A decimal times a whole number, if that is a whole number.
fn product(decimal: &str, by: &BigUint) -> Option<BigUint> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let product = parse(&format!("0{whole}{fraction}"))? * by;
    let scale = BigUint::from(10u32).pow(u32::try_from(fraction.chars().count()).ok()?);
    (&product % &scale == BigUint::ZERO).then(|| product / scale)
}
