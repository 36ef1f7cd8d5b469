//! From an answer to a label and a score.
//!
//! The text decides first. Its probabilities count only if the tokens they belong to spell the answer in the text,
//! if *yes* and *no* together have at least [`MIN_MASS`] there, and if the likelier of the two is what the text says:
//! otherwise they belong to another position (such as reasoning that the server removed), and there is no score.

use audsem_llm::{FinishReason, Response, Token};

/// A language model's verdict on a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// 1 yes, 0 no, -1 neither.
    pub label: i8,
    /// P(yes) / (P(yes) + P(no)) at the word that answers, if the server gives probabilities that can be trusted.
    pub yes_prob: Option<f32>,
}

/// An answer that is neither yes nor no.
pub const UNKNOWN: Verdict = Verdict { label: -1, yes_prob: None };

/// The minimum P(yes) + P(no) at which their ratio is meaningful.
pub const MIN_MASS: f64 = 0.05;

/// Words that may stand before the answer: `The answer is: **Yes**`, `\boxed{\text{No}}`, `{"verdict": "yes"}`.
const LEAD: [&str; 23] = [
    "the",
    "my",
    "final",
    "answer",
    "verdict",
    "label",
    "decision",
    "conclusion",
    "judgement",
    "judgment",
    "result",
    "response",
    "output",
    "is",
    "would",
    "be",
    "say",
    "i",
    "so",
    "therefore",
    "boxed",
    "text",
    "a",
];

/// Words of that list that introduce an answer anywhere in the text.
const ANNOUNCE: [&str; 8] = ["answer", "verdict", "label", "decision", "conclusion", "judgement", "judgment", "boxed"];

/// Words after a *no* that change its meaning (`no doubt`).
const NOT_A_NO: [&str; 14] = [
    "idea",
    "clue",
    "doubt",
    "way",
    "answer",
    "comment",
    "opinion",
    "one",
    "matter",
    "problem",
    "need",
    "question",
    "information",
    "context",
];

/// Judges an answer; `threshold` is the minimum P(yes) of a yes. `None` if it is neither yes nor no.
pub fn judge(response: &Response, threshold: f32) -> Option<Verdict> {
    let said = answer(response.answer(), response.finish == FinishReason::Length)?;
    let yes_prob = response.token_at(said.offset).and_then(|token| yes_prob(token, said.yes));
    let yes = yes_prob.map_or(said.yes, |probability| probability >= threshold);
    Some(Verdict { label: i8::from(yes), yes_prob })
}

/// A yes or no in an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Said {
    yes: bool,
    /// Byte offset of the word.
    offset: usize,
}

/// A word and the text before it.
struct Word<'a> {
    text: String,
    offset: usize,
    gap: &'a str,
}

/// The verdict at the beginning or the end of an answer; `None` if the two contradict each other.
fn answer(text: &str, cut: bool) -> Option<Said> {
    let words = words(text);
    let opening = verdict_after(&words, 0);
    // The end of a truncated text is not its conclusion.
    let closing = if cut { None } else { announced(&words).or_else(|| last_line(text, &words)) };
    match (opening, closing) {
        (Some(opening), Some(closing)) if opening.yes != closing.yes => None,
        (opening, closing) => opening.or(closing),
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut end = 0;
    let mut rest = text.char_indices().peekable();
    while let Some((start, c)) = rest.next() {
        if !c.is_alphanumeric() {
            continue;
        }
        let mut stop = start + c.len_utf8();
        while let Some((i, c)) = rest.next_if(|(_, c)| c.is_alphanumeric() || *c == '\'' || *c == '’') {
            stop = i + c.len_utf8();
        }
        let word = text[start..stop].trim_end_matches(['\'', '’']);
        words.push(Word { text: word.to_lowercase(), offset: start, gap: &text[end..start] });
        end = start + word.len();
    }
    words
}

fn yes_or_no(word: &str) -> Option<bool> {
    match word {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// The yes or no that follows from word `start` on, behind words that lead to it.
fn verdict_after(words: &[Word<'_>], start: usize) -> Option<Said> {
    let at = (start..words.len()).find(|&i| !LEAD.contains(&words[i].text.as_str()))?;
    let yes = yes_or_no(&words[at].text)?;
    (!is_open(&words[at + 1..]) && (yes || !is_other(words.get(at + 1))))
        .then_some(Said { yes, offset: words[at].offset })
}

/// `yes or no`, `yes/no`, `no and yes`: a choice, no answer.
fn is_open(behind: &[Word<'_>]) -> bool {
    let both = |word: Option<&Word<'_>>| word.is_some_and(|word| yes_or_no(&word.text).is_some());
    match behind.first() {
        Some(next) if matches!(next.text.as_str(), "or" | "and") => both(behind.get(1)),
        Some(next) => next.gap.contains(['/', '|']) && both(Some(next)),
        None => false,
    }
}

/// `no idea`, `no-one`: not an answer.
fn is_other(next: Option<&Word<'_>>) -> bool {
    next.is_some_and(|next| next.gap == "-" || (next.gap.trim().is_empty() && NOT_A_NO.contains(&next.text.as_str())))
}

/// An announced answer that ends the text: `… so the answer is no.`
fn announced(words: &[Word<'_>]) -> Option<Said> {
    let last = words.last()?;
    let announcement = words.iter().rposition(|word| ANNOUNCE.contains(&word.text.as_str()))?;
    verdict_after(words, announcement).filter(|said| said.offset == last.offset)
}

/// A last line that is nothing but the answer.
fn last_line(text: &str, words: &[Word<'_>]) -> Option<Said> {
    let start = text.trim_end().rfind('\n')? + 1;
    match words.iter().filter(|word| word.offset >= start).collect::<Vec<_>>()[..] {
        [word] => yes_or_no(&word.text).map(|yes| Said { yes, offset: word.offset }),
        _ => None,
    }
}

/// P(yes) / (P(yes) + P(no)), each summed over all spellings among the alternatives; `None` if they are negligible or
/// do not agree with what the text says.
fn yes_prob(token: &Token, said_yes: bool) -> Option<f32> {
    let mut mass = [0.0f64; 2];
    let mut add = |text: &str, logprob: f32| {
        if let Some(yes) = yes_or_no(&bare(text).to_lowercase()) {
            mass[usize::from(yes)] += f64::from(logprob).exp();
        }
    };
    token.alternatives.iter().for_each(|alternative| add(&alternative.text, alternative.logprob));
    // Some servers leave the chosen token out of the list.
    if token.alternatives.iter().all(|alternative| alternative.text != token.text) {
        add(&token.text, token.logprob);
    }
    let [no, yes] = mass;
    let agrees = if said_yes { yes >= no } else { no >= yes };
    (no + yes >= MIN_MASS && agrees).then(|| (yes / (no + yes)) as f32)
}

/// A token without blanks, quotes and the marks that some tokenizers use for a blank (`Ġ`, `▁`).
fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| !c.is_alphanumeric() || c == 'Ġ')
}

#[cfg(test)]
mod tests {
    use audsem_llm::{Alternative, Usage};

    use super::*;

    fn response(text: &str, tokens: Vec<Token>) -> Response {
        Response {
            text: text.into(),
            reasoning: None,
            finish: FinishReason::Stop,
            tokens,
            usage: Usage::default(),
            model: "m".into(),
        }
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
    fn text_decides() {
        let check = |text: &str, expected: Option<bool>| {
            let label = judge(&response(text, Vec::new()), 0.5).map(|verdict| verdict.label == 1);
            assert_eq!(label, expected, "{text}");
        };
        for yes in [
            "Yes",
            " yes.",
            "YES!",
            "\n**YES**, it is",
            "yes-ish",
            "Yes it is a sound",
            "Yes, there is no speech in it.",
            "Answer: Yes",
            "**Answer:** yes",
            "The answer is: **Yes**",
            "Final Answer: \\boxed{\\text{Yes}}",
            "<answer>Yes</answer>",
            "{\"answer\": \"yes\"}",
            "```\nyes\n```",
            "I would say yes.",
            "Thunder can be heard, no doubt. Therefore the answer is yes.",
            "A door that slams is audible.\n\nYes",
            "Yes. A door slams.\n\nFinal answer: Yes.",
            "<think>no speech</think>Yes",
            "no speech, so</think>\n\nYes",
        ] {
            check(yes, Some(true));
        }
        for no in ["No, this is speech.", "\"no\"", "No this is speech", "Verdict - no", "It names a place.\n**No**"] {
            check(no, Some(false));
        }
        for neither in [
            "",
            "…",
            "Nothing is heard",
            "It is not. No",
            "Well, yes",
            "Yes or no?",
            "yes/no",
            "No and yes",
            "No idea",
            "No doubt it is a sound",
            "No-one speaks",
            "The answer is not yes",
            "No.\n\nOn second thoughts, the answer is yes",
            "<think>yes, because",
            "Yesterday",
            "Noise",
        ] {
            check(neither, None);
        }
    }

    #[test]
    fn cut_answer_has_no_conclusion() {
        let mut cut = response("A door slams, so the answer is no", Vec::new());
        assert_eq!(judge(&cut, 0.5).map(|verdict| verdict.label), Some(0));
        cut.finish = FinishReason::Length;
        assert_eq!(judge(&cut, 0.5), None, "`no` may be the beginning of `no doubt yes`");
        cut.text = "Yes, a door".into();
        assert_eq!(judge(&cut, 0.5).map(|verdict| verdict.label), Some(1));
    }

    #[test]
    fn probabilities_of_all_spellings_are_summed() {
        let check = |text: &str, tokens: Vec<Token>, label: i8, expected: Option<f32>| {
            let verdict = judge(&response(text, tokens), 0.5).unwrap_or(UNKNOWN);
            let near = match (verdict.yes_prob, expected) {
                (Some(got), Some(expected)) => (got - expected).abs() < 1e-6,
                (got, expected) => got == expected,
            };
            assert!(verdict.label == label && near, "{text}: {verdict:?}, expected {expected:?}");
        };
        check("Yes", vec![token("Yes", 0.6, &[("Yes", 0.6), ("No", 0.2)])], 1, Some(0.75));
        let spellings = [("Yes", 0.2), (" yes", 0.1), ("▁YES", 0.1), ("ĠYes", 0.1), ("\"yes", 0.1), ("no", 0.2)];
        check("Yes", vec![token("Yes", 0.2, &spellings)], 1, Some(0.75));
        check(
            "no",
            vec![token("no", 0.6, &[("no", 0.6), ("yes.", 0.2), ("nothing", 0.1), ("yesterday", 0.1)])],
            0,
            Some(0.25),
        );
        check("yes", vec![token("yes", 0.2, &[])], 1, Some(1.0));
        check("No", vec![token("\n", 0.9, &[("yes", 0.1)]), token("No", 0.8, &[("No", 0.8)])], 0, Some(0.0));
        let behind =
            vec![token("Answer", 1.0, &[]), token(":", 1.0, &[]), token(" No", 0.6, &[(" No", 0.6), (" Yes", 0.2)])];
        check("Answer: No", behind, 0, Some(0.25));
    }

    /// Each of these gave a label of the wrong position.
    #[test]
    fn probabilities_of_another_position_do_not_count() {
        let thought = || token("No", 0.9, &[("No", 0.9), ("Yes", 0.05)]);
        let check = |text: &str, tokens: Vec<Token>, label: i8| {
            assert_eq!(judge(&response(text, tokens), 0.5), Some(Verdict { label, yes_prob: None }), "{text}");
        };
        check("Yes", vec![thought(), token(" speech", 0.9, &[])], 1);
        check("Yes", vec![token("Yes", 0.04, &[("Yes", 0.03), ("No", 0.01)])], 1);
        check("Yes", vec![token("Yes", 0.3, &[("No", 0.6), ("Yes", 0.3)])], 1);
        let both = vec![
            token("<think>", 1.0, &[]),
            thought(),
            token("</think>", 1.0, &[]),
            token("Yes", 0.8, &[("Yes", 0.8)]),
        ];
        assert_eq!(judge(&response("Yes", both), 0.5), Some(Verdict { label: 1, yes_prob: Some(1.0) }));
    }

    #[test]
    fn threshold_moves_the_label_and_not_the_score() {
        let tokens = || vec![token("Yes", 0.6, &[("Yes", 0.6), ("No", 0.4)])];
        let verdict = |threshold| judge(&response("Yes", tokens()), threshold).unwrap_or(UNKNOWN);
        assert_eq!((verdict(0.5).label, verdict(0.7).label), (1, 0));
        assert_eq!(verdict(0.7).yes_prob, verdict(0.5).yes_prob);
    }
}
