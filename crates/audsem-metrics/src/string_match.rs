//! The rules by which benchmarks of multiple choice compare what a model wrote with the right option.
//!
//! ```
//! use audsem_metrics::string_match::{chosen_option, is_match};
//!
//! let choices = ["Dog".to_owned(), "A cat".to_owned()];
//! assert!(is_match("The dog.", "Dog", &choices));
//! // The letter of the option is a word of the other one: the published rule counts that as wrong.
//! assert!(!is_match("A. Dog", "Dog", &choices));
//! assert_eq!(chosen_option("A. Dog", &choices), Some(0));
//! ```

use std::collections::BTreeSet;
use std::sync::OnceLock;

use regex::Regex;

/// The words of a text: runs of letters, numbers and `_` in lower case, as Python's `\w` has them.
#[must_use]
pub fn words(text: &str) -> BTreeSet<String> {
    static WORD: OnceLock<Regex> = OnceLock::new();
    let word = WORD.get_or_init(|| Regex::new(r"[\p{L}\p{N}_]+").expect("the pattern is valid, as every test shows"));
    word.find_iter(&text.to_lowercase()).map(|found| found.as_str().to_owned()).collect()
}

/// Whether a prediction is right by the rule of MMAU and MMAR: it has all words of the answer, and none that only other options
/// have. A wrong option with the words of the answer contributes none.
#[must_use]
pub fn is_match(prediction: &str, answer: &str, choices: &[String]) -> bool {
    let (prediction, answer) = (words(prediction), words(answer));
    let of_others = || choices.iter().map(|choice| words(choice)).filter(|choice| *choice != answer);
    let is_wrong = |word: &String| !answer.contains(word) && prediction.contains(word);
    !prediction.is_empty() && answer.is_subset(&prediction) && !of_others().any(|choice| choice.iter().any(is_wrong))
}

/// The option that a prediction means, by place: one mark of an option in front (`B.`, `B)`, `(B)`, `B:`) is taken off; what
/// remains is nothing, so that the letter counts, or the text of an option but for case, blanks and a final stop. Else the
/// only option that the rule of [`is_match`] accepts. None where no option or several fit.
#[must_use]
pub fn chosen_option(prediction: &str, choices: &[String]) -> Option<usize> {
    let (letter, rest) = split_mark(prediction.trim());
    let rest = plain(rest);
    if rest.is_empty() {
        return letter.filter(|place| *place < choices.len());
    }
    let of_text = |text: &str| choices.iter().position(|choice| plain(choice) == text);
    // An option may itself look like a mark with a text: `C: minor`.
    let exact = of_text(&rest).or_else(|| of_text(&plain(prediction)));
    exact.or_else(|| {
        let mut accepted = (0..choices.len()).filter(|place| is_match(prediction, &choices[*place], choices));
        let first = accepted.next()?;
        let is_other = |place: usize| plain(&choices[place]) != plain(&choices[first]);
        if accepted.any(is_other) { None } else { Some(first) }
    })
}

/// Whether an option is the right one: options may repeat each other, so their texts are compared.
#[must_use]
pub fn is_same_option(choice: &str, answer: &str) -> bool {
    plain(choice) == plain(answer)
}

/// The place of the letter in front, and the text behind its mark. A letter counts alone or with a mark.
fn split_mark(text: &str) -> (Option<usize>, &str) {
    static MARK: OnceLock<Regex> = OnceLock::new();
    let pattern = r"^(?:\(([A-Za-z])\)|([A-Za-z])(?:[.):]|$))\s*";
    let mark = MARK.get_or_init(|| Regex::new(pattern).expect("the pattern is valid, as every test shows"));
    let Some(found) = mark.captures(text) else { return (None, text) };
    let letter = found.get(1).or_else(|| found.get(2)).and_then(|letter| letter.as_str().chars().next());
    let place = letter.and_then(|letter| ('A'..='Z').position(|known| known == letter.to_ascii_uppercase()));
    (place, &text[found.get(0).map_or(0, |all| all.end())..])
}

/// A text without what does not change its meaning.
fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    let joined = lower.split_whitespace().collect::<Vec<_>>().join(" ");
    joined.strip_suffix('.').unwrap_or(&joined).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn words_are_those_of_python() {
        let found = |text: &str| words(text).into_iter().collect::<Vec<_>>();
        assert_eq!(found("It's light_switch, C#/É ½ ²"), ["c", "it", "light_switch", "s", "²", "½", "é"]);
        // Marks that combine end a word, unlike in the `\w` of Rust.
        assert_eq!(found("e\u{301}a"), ["a", "e"]);
    }

    #[test]
    fn an_option_is_meant_by_letter_mark_or_text() {
        let choices = options(&["Dog", "A cat", "a big bird.", "C"]);
        for (prediction, expected) in [
            ("A", Some(0)),
            ("(b)", Some(1)),
            ("C.", Some(2)),
            ("b) a  CAT.", Some(1)),
            // The text decides where letter and text differ.
            ("A. a cat", Some(1)),
            ("E", None),
            ("", None),
            ("It is a big bird", Some(2)),
            ("a dog or a cat", None),
            ("zebra", None),
        ] {
            assert_eq!(chosen_option(prediction, &choices), expected, "{prediction}");
        }
        let keys = options(&["C: minor", "D: minor"]);
        assert_eq!(chosen_option("D: minor", &keys), Some(1));
        let twice = options(&["Dog", "dog.", "cat"]);
        assert_eq!(chosen_option("the dog", &twice), Some(0));
        assert!(is_same_option("dog.", "Dog"));
    }

    proptest::proptest! {
        /// What is accepted for an option holds its words and no word that only others have.
        #[test]
        fn the_rule_is_what_it_says(
            prediction in "[abc _.]{0,8}", answer in "[abc _]{0,4}", choices in proptest::collection::vec("[abc _]{0,4}", 0..4)
        ) {
            let (said, right) = (words(&prediction), words(&answer));
            let mut wrong = BTreeSet::new();
            for choice in choices.iter().map(|choice| words(choice)) {
                if choice != right {
                    wrong.extend(choice.difference(&right).cloned());
                }
            }
            let expected = !said.is_empty() && right.is_subset(&said) && said.is_disjoint(&wrong);
            proptest::prop_assert_eq!(is_match(&prediction, &answer, &choices), expected);
        }
    }
}
