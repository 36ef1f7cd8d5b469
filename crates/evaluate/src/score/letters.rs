//! Letters of options in answers, as other harnesses look for them.
//!
//! lmms-eval and evalscope know four letters, and take the same ones out of an answer; they differ in what an answer
//! without a letter is. MMSU and AIR-Bench look at two places of the answer alone.

/// The letters that these harnesses know.
const LETTERS: [char; 4] = ['A', 'B', 'C', 'D'];

/// Marks that are cut from both ends of an answer, one after the other.
const MARKS: [char; 7] = [',', '.', '!', '?', ';', ':', '\''];

/// The option, from 0, whose letter an answer names: `(A)`, else `A` between blanks, else `A.`. Of several letters the one
/// that stands last between blanks counts; where none does, the first of the alphabet.
#[must_use]
pub fn named_letter(answer: &str) -> Option<usize> {
    let cut = MARKS.iter().fold(answer, |text, mark| text.trim_matches(*mark));
    let text = format!(" {cut} ");
    let forms: [fn(char) -> String; 3] =
        [|letter| format!("({letter})"), |letter| format!(" {letter} "), |letter| format!("{letter}.")];
    let named = |form: &fn(char) -> String| -> Vec<usize> {
        (0..LETTERS.len()).filter(|&option| text.contains(&form(LETTERS[option]))).collect()
    };
    let candidates = forms.iter().map(named).find(|candidates| !candidates.is_empty())?;
    let place = |option: usize| text.rfind(&format!(" {} ", LETTERS[option]));
    // Of equal places the first letter counts, and `None` lies before every place.
    candidates.into_iter().reduce(|best, option| if place(option) > place(best) { option } else { best })
}

/// The option that evalscope takes: that of a letter behind `ANSWER:` in any case, else [`named_letter`], else the first.
#[must_use]
pub fn evalscope_letter(answer: &str) -> usize {
    labelled_letter(answer).or_else(|| named_letter(answer)).unwrap_or(0)
}

/// The letter behind the first `ANSWER:` that is followed by one.
fn labelled_letter(answer: &str) -> Option<usize> {
    let upper = answer.to_ascii_uppercase();
    upper.match_indices("ANSWER").find_map(|(at, label)| {
        let behind = upper[at + label.len()..].trim_start().strip_prefix(':')?.trim_start();
        LETTERS.iter().position(|letter| behind.starts_with(*letter))
    })
}

/// The option by the rule of MMSU and AIR-Bench: the first character of an answer if it is A to D, else its last but one.
#[must_use]
pub fn edge_letter(answer: &str) -> Option<usize> {
    let option = |letter: char| LETTERS.iter().position(|known| *known == letter);
    let answer = answer.trim();
    answer.chars().next().and_then(option).or_else(|| answer.chars().rev().nth(1).and_then(option))
}

/// Whether two options are the same for these harnesses.
fn is_same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// The score by lmms-eval: whether the named option is the right one. Without a letter it draws one of the four, whose
/// expected value this is; a letter beyond the options is wrong.
#[must_use]
pub fn lmms_eval(answer: Option<&str>, shown: &[String], right: &str) -> f64 {
    let is_right = |option: usize| f64::from(shown.get(option).is_some_and(|choice| is_same(choice, right)));
    match answer.and_then(named_letter) {
        Some(option) => is_right(option),
        None => (0..LETTERS.len()).map(is_right).sum::<f64>() / LETTERS.len() as f64,
    }
}

/// The score by evalscope: whether its letter is that of the first option that equals the right answer, else A.
#[must_use]
pub fn evalscope(answer: Option<&str>, shown: &[String], right: &str) -> f64 {
    let expected = shown.iter().position(|choice| is_same(choice, right)).unwrap_or(0);
    f64::from(answer.map_or(0, evalscope_letter) == expected)
}

/// The score by MMSU and AIR-Bench; `None` where they find no letter.
#[must_use]
pub fn edge_letter_rule(answer: Option<&str>, shown: &[String], right: &str) -> Option<f64> {
    let option = edge_letter(answer?)?;
    Some(f64::from(shown.get(option).is_some_and(|choice| choice == right)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// Expected values are by hand, from the rules of both harnesses as their code had them in November 2026.
    #[test]
    fn letters_are_found_as_the_harnesses_find_them() {
        for (answer, named, evalscope) in [
            ("(B) dog", Some(1), 1),
            ("B", Some(1), 1),
            ("B.", Some(1), 1),
            ("B. dog", Some(1), 1),
            ("the dog", None, 0),
            ("A dog barks, so B", Some(1), 1),
            ("(C) or (D)", Some(2), 2),
            ("A. or C.", Some(2), 2),
            ("answer : d", None, 3),
            ("ANSWER: [LETTER], answer: c", None, 2),
            ("E. dog", None, 0),
            ("b. dog", None, 0),
            ("", None, 0),
        ] {
            assert_eq!((named_letter(answer), evalscope_letter(answer)), (named, evalscope), "{answer:?}");
        }
        for (answer, edge) in [
            ("B. dog", Some(1)),
            ("Dog", Some(3)),
            ("it is (C)", Some(2)),
            ("it is C.", Some(2)),
            ("dog", None),
            ("", None),
        ] {
            assert_eq!(edge_letter(answer), edge, "{answer:?}");
        }
    }

    #[test]
    fn an_answer_without_a_letter_is_a_random_one_an_a_or_skipped() {
        let shown = options(&["cat", "dog", "cow", "rain"]);
        assert_eq!(lmms_eval(Some("the dog"), &shown, "dog"), 0.25);
        assert_eq!(lmms_eval(None, &shown, "no option"), 0.0);
        assert_eq!(lmms_eval(Some("B"), &options(&["cat", " Dog"]), "dog"), 1.0);
        assert_eq!(lmms_eval(Some("D"), &options(&["cat", "dog"]), "dog"), 0.0);
        assert_eq!((evalscope(Some("x"), &shown, "cat"), evalscope(Some("x"), &shown, "dog")), (1.0, 0.0));
        assert_eq!(evalscope(Some("A. cat"), &shown, "gone"), 1.0, "a right answer that is no option counts as A");
        assert_eq!(edge_letter_rule(Some("the dog"), &shown, "dog"), None);
        assert_eq!(edge_letter_rule(Some("B"), &shown, "dog"), Some(1.0));
        assert_eq!(edge_letter_rule(Some("A"), &shown, "dog"), Some(0.0));
    }
}
