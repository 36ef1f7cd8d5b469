//! Times as the published data set's scripts have them: read from a CSV file and printed again by pandas 3.
//!
//! A column of whole numbers alone is printed as it is (`10`), one with any other number as floats (`10.0`), also where the
//! other number is in a row that a filter leaves out. What means "not available" to pandas makes floats of a column too, and is
//! printed as nothing.

/// Texts that stand for no value, exactly as they are written here.
const NOT_AVAILABLE: [&str; 18] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan",
];

/// A value of a column of times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Time {
    /// A whole number, written as one; as a float it may be a negative zero.
    Whole { whole: i64, float: f64 },
    /// Any other number, also an infinite one.
    Float(f64),
    /// No value.
    Missing,
}

impl Time {
    /// Reads a value; `None` if it is a text, which would turn the whole column into texts.
    ///
    /// Numbers are correctly rounded, as in pandas since version 3. (Before, they could be off in the last place beyond 15
    /// digits; the times of captions have three to eight.)
    pub(super) fn parse(text: &str) -> Option<Self> {
        if NOT_AVAILABLE.contains(&text) || text == "null" {
            return Some(Self::Missing);
        }
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        let digits = text.trim_start_matches(['+', '-']);
        if text.len() - digits.len() > 1 {
            return None;
        }
        if !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
            && let Ok(whole) = text.parse()
        {
            return text.parse().ok().map(|float| Self::Whole { whole, float });
        }
        let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
        let infinite = ["inf", "infinity"].iter().any(|name| digits.eq_ignore_ascii_case(name));
        let is_number = infinite || digits.bytes().all(numeric);
        text.parse().ok().filter(|_| is_number).map(Self::Float)
    }

    /// The number that is compared; not one where it is missing, so that every comparison says no.
    pub(super) fn value(self) -> f64 {
        match self {
            Self::Whole { float, .. } | Self::Float(float) => float,
            Self::Missing => f64::NAN,
        }
    }

    /// As it is printed in a column that has whole numbers alone, or not.
    pub(super) fn print(self, all_whole: bool) -> String {
        match self {
            Self::Whole { whole, .. } if all_whole => whole.to_string(),
            Self::Missing => String::new(),
            number => python_float(number.value()),
        }
    }
}

/// Prints a number as Python's `repr` does.
pub(super) fn python_float(number: f64) -> String {
    if !number.is_finite() {
        return number.to_string().to_lowercase();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a whole number");
    match exponent {
        -4..16 => format!("{number:?}"),
        _ => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Value;

    use super::*;

    #[test]
    fn columns_are_printed_as_pandas_prints_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/captions/pandas_times.json");
        let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(cases.len() >= 15);
        for case in cases {
            let texts = |name: &str| -> Vec<String> { serde_json::from_value(case[name].clone()).unwrap() };
            let times: Vec<Time> = texts("read").iter().map(|text| Time::parse(text).unwrap()).collect();
            let all_whole = times.iter().all(|time| matches!(time, Time::Whole { .. }));
            let printed: Vec<String> = times.iter().map(|time| time.print(all_whole)).collect();
            assert_eq!(printed, texts("printed"), "{case}");
        }
        for text in ["1,5", "1_0", "0x10", "1d5", "--1", "+", "-", "1e", "1 2", "0:01", "- 5", "１", "True"] {
            assert_eq!(Time::parse(text), None, "{text:?}");
        }
    }
}
