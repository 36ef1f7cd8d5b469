//! From an answer to a label and a score.

use audsem_llm::{Response, Token};

/// What a language model says about a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// 1 yes, 0 no, -1 neither.
    pub label: i8,
    /// P(yes) / (P(yes) + P(no)) at the first word, where the server gives probabilities.
    pub yes_prob: Option<f32>,
}

/// Neither yes nor no.
pub const UNKNOWN: Verdict = Verdict { label: -1, yes_prob: None };

/// Judges an answer: by the probabilities of its first word where there are any, else by that word.
/// `threshold` is the least P(yes) of a yes.
pub fn judge(response: &Response, threshold: f32) -> Verdict {
    if let Some(yes_prob) = response.tokens.iter().find(|token| is_word(&token.text)).and_then(yes_prob) {
        return Verdict { label: i8::from(yes_prob >= threshold), yes_prob: Some(yes_prob) };
    }
    match answer(leading_word(&response.text)) {
        Some(yes) => Verdict { label: i8::from(yes), yes_prob: None },
        None => UNKNOWN,
    }
}

/// P(yes) / (P(yes) + P(no)), each summed over all spellings among the alternatives; `None` where
/// neither is among them.
fn yes_prob(token: &Token) -> Option<f32> {
    let mut mass = [0.0f64; 2];
    let mut add = |text: &str, logprob: f32| {
        if let Some(yes) = answer(bare(text)) {
            mass[usize::from(yes)] += f64::from(logprob).exp();
        }
    };
    token.alternatives.iter().for_each(|alternative| add(&alternative.text, alternative.logprob));
    // Some servers leave the chosen token out of the list.
    if token.alternatives.iter().all(|alternative| alternative.text != token.text) {
        add(&token.text, token.logprob);
    }
    let total = mass[0] + mass[1];
    (total > 0.0).then(|| (mass[1] / total) as f32)
}

fn is_word(text: &str) -> bool {
    text.contains(char::is_alphanumeric)
}

/// A token without blanks, quotes and the marks some tokenizers put for a blank (`Ġ`, `▁`).
fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| !c.is_alphanumeric() || c == 'Ġ')
}

fn leading_word(text: &str) -> &str {
    let start = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    start.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}

fn answer(word: &str) -> Option<bool> {
    match () {
        () if word.eq_ignore_ascii_case("yes") => Some(true),
        () if word.eq_ignore_ascii_case("no") => Some(false),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use audsem_llm::{Alternative, Finish, Usage};

    use super::*;

    fn response(text: &str, tokens: Vec<Token>) -> Response {
        Response { text: text.into(), finish: Finish::Stop, tokens, usage: Usage::default(), model: "m".into() }
    }

    fn token(text: &str, probability: f32, alternatives: &[(&str, f32)]) -> Token {
        let alternative = |(text, p): &(&str, f32)| Alternative { text: (*text).into(), logprob: p.ln() };
        Token {
            text: text.into(),
            logprob: probability.ln(),
            alternatives: alternatives.iter().map(alternative).collect(),
        }
    }

    #[test]
    fn probabilities_of_all_spellings_are_summed() {
        let check = |tokens: Vec<Token>, label: i8, expected: f32| {
            let verdict = judge(&response("", tokens), 0.5);
            let yes_prob = verdict.yes_prob.unwrap_or(f32::NAN);
            assert!(verdict.label == label && (yes_prob - expected).abs() < 1e-6, "{verdict:?}, expected {expected}");
        };
        check(vec![token("Yes", 0.6, &[("Yes", 0.6), ("No", 0.2)])], 1, 0.75);
        let spellings = [("Yes", 0.1), (" yes", 0.1), ("▁YES", 0.1), ("ĠYes", 0.1), ("\"yes", 0.1), ("no", 0.5)];
        check(vec![token("no", 0.5, &spellings)], 1, 0.5);
        check(vec![token("no", 0.6, &[("no", 0.6), ("yes.", 0.2), ("nothing", 0.1), ("yesterday", 0.1)])], 0, 0.25);
        check(vec![token("The", 0.9, &[("The", 0.9), ("yes", 0.03), ("no", 0.01)])], 1, 0.75);
        check(vec![token("no", 0.2, &[("yes", 0.6)])], 1, 0.75);
        check(vec![token("yes", 0.2, &[])], 1, 1.0);
        check(vec![token("\n", 0.9, &[("yes", 0.1), ("no", 0.0)]), token("No", 0.8, &[("No", 0.8)])], 0, 0.0);
    }

    #[test]
    fn leading_word_decides_where_there_are_no_probabilities() {
        let check = |text: &str, label: i8| {
            assert_eq!(judge(&response(text, Vec::new()), 0.5), Verdict { label, yes_prob: None }, "{text}");
        };
        check("Yes", 1);
        check(" yes.", 1);
        check("\n**YES**, it is", 1);
        check("No, this is speech.", 0);
        check("\"no\"", 0);
        check("Nothing is heard", -1);
        check("It is not. No", -1);
        check("yes-ish", 1);
        check("", -1);
        check("…", -1);
    }

    #[test]
    fn threshold_moves_the_label_and_not_the_score() {
        let tokens = || vec![token("Yes", 0.6, &[("Yes", 0.6), ("No", 0.4)])];
        assert_eq!(judge(&response("", tokens()), 0.7).label, 0);
        assert_eq!(judge(&response("", tokens()), 0.7).yes_prob, judge(&response("", tokens()), 0.5).yes_prob);
    }

    /// Probabilities for other words only say nothing about yes and no; the text still may.
    #[test]
    fn neither_answer_among_the_alternatives_falls_back_to_the_text() {
        let tokens = vec![token("Well", 0.6, &[("Well", 0.6), ("The", 0.4)])];
        assert_eq!(judge(&response("Well, yes", tokens.clone()), 0.5), UNKNOWN);
    }
}
