//! Is the answer right?

use audsem_core::answers::{TaggedAnswer, reference_answer};
use audsem_core::records::plain;
use serde::{Deserialize, Serialize};

use super::{Reward, RewardItem, RewardProgramError, RewardValue, each};

/// How answers are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerRule {
    /// The answer means the right option by its letter, its text or both; without options, the texts are equal but for
    /// case, white space and a final full stop, and numbers are compared as numbers.
    #[default]
    Means,
    /// As the published audio script: half for the same text, a quarter for the same first three characters, a
    /// quarter for the same rest.
    ReferenceAudio,
    /// As the published omni script without its comparison of mathematical expressions: the same text, on one line.
    ReferenceOmni,
}

/// Rewards right answers, with 1 at most.
#[derive(Debug, Clone, Copy)]
pub struct Accuracy {
    /// How answers are compared.
    pub rule: AnswerRule,
    /// Whether an answer must stand inside `<answer>`; else the whole completion is the answer.
    pub is_tagged: bool,
}

impl Accuracy {
    fn value(self, item: &RewardItem<'_>) -> RewardValue {
        if item.answer.trim().is_empty() {
            return Err("the item has no right answer".to_owned());
        }
        match self.rule {
            AnswerRule::Means => self.means(item),
            AnswerRule::ReferenceAudio => Ok(Some(by_parts(reference_answer(item.completion, false), item.answer))),
            AnswerRule::ReferenceOmni => Ok(Some(f64::from(reference_answer(item.completion, true) == item.answer))),
        }
    }

    fn means(self, item: &RewardItem<'_>) -> RewardValue {
        let given = match self.is_tagged {
            true => TaggedAnswer::read(item.completion).answer,
            false => Some(item.completion),
        };
        let Some(given) = given else { return Ok(Some(0.0)) };
        let is_right = match item.choices {
            Some(choices) => {
                let right = choices.find(item.answer).map_err(|fault| format!("the right answer: {}", fault.detail))?;
                choices.find(given).is_ok_and(|choice| choice == right)
            }
            None => is_same(given, item.answer),
        };
        Ok(Some(f64::from(is_right)))
    }
}

/// Whether two free answers say the same.
fn is_same(given: &str, right: &str) -> bool {
    let (given, right) = (plain(given), plain(right));
    match (number(&given), number(&right)) {
        // Answers are written with few digits; this is their rounding and nothing more.
        (Some(given), Some(right)) => (given - right).abs() <= 1e-9 * right.abs().max(1.0),
        _ => given == right,
    }
}

/// The number that a text is, if it is nothing else.
fn number(text: &str) -> Option<f64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.,".contains(&byte));
    let digits = text.replace(',', "");
    is_number.then(|| digits.parse::<f64>().ok()).flatten()
}

/// The sum of the parts that agree, as the published audio script gives it.
fn by_parts(given: &str, right: &str) -> f64 {
    let split = |text: &str| -> (String, Option<String>) {
        let mut chars = text.chars();
        let head: String = chars.by_ref().take(3).collect();
        let rest: String = chars.collect();
        (head, (!rest.is_empty()).then_some(rest))
    };
    let ((given_head, given_rest), (right_head, right_rest)) = (split(given), split(right));
    let mut sum = if given == right { 0.5 } else { 0.0 };
    if given_head == right_head {
        sum += 0.25;
    }
    if given_rest.is_some() && given_rest == right_rest {
        sum += 0.25;
    }
    sum
}

impl Reward for Accuracy {
    fn name(&self) -> &str {
        "accuracy"
    }

    fn score(&mut self, items: &[RewardItem<'_>]) -> Result<Vec<RewardValue>, RewardProgramError> {
        Ok(each(items, |item| self.value(item)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_core::records::Choices;
    use serde_json::json;

    use super::*;

    fn score(
        rule: AnswerRule,
        is_tagged: bool,
        choices: Option<&Choices>,
        answer: &str,
        completion: &str,
    ) -> RewardValue {
        let item = RewardItem { choices, answer, completion, ..RewardItem::default() };
        Accuracy { rule, is_tagged }.value(&item)
    }

    /// The vectors of the published scripts, whose right answer is `B. dog barking`.
    #[test]
    fn the_rules_of_the_published_scripts_give_their_numbers() {
        for (completion, audio, omni) in [
            ("<think>a b</think>\n<answer>B. dog barking</answer>", 1.0, 1.0),
            ("<think>a b</think>\n<answer>B. cat</answer>", 0.25, 0.0),
            ("<think>a</think><answer>C. dog barking</answer>", 0.25, 0.0),
            ("B. dog barking", 1.0, 1.0),
            ("<think>a</think>\n<answer>B. dog\nbarking</answer>", 0.25, 0.0),
            ("<think>a</think>\n<answer>B. dog barking</answer>\n", 1.0, 1.0),
            ("x<think>a</think><answer>B. dog barking</answer>", 1.0, 1.0),
        ] {
            let of = |rule| score(rule, true, None, "B. dog barking", completion).unwrap().unwrap();
            let (of_audio, of_omni) = (of(AnswerRule::ReferenceAudio), of(AnswerRule::ReferenceOmni));
            assert_eq!((of_audio, of_omni), (audio, omni), "{completion}");
        }
    }

    #[test]
    fn an_answer_counts_by_the_option_that_it_means() {
        let choices = Choices::from_value(&json!(["cat", "dog barking", "car"])).unwrap();
        for (answer, expected) in [
            ("B. dog barking", 1.0),
            ("B", 1.0),
            ("(b)", 1.0),
            ("Dog barking.", 1.0),
            ("B. dog\nbarking", 1.0),
            ("B. cat", 0.0),
            ("C. dog barking", 0.0),
            ("dog", 0.0),
            ("", 0.0),
        ] {
            let completion = format!("<think>C. car</think><answer>{answer}</answer>");
            let value = score(AnswerRule::Means, true, Some(&choices), "B. dog barking", &completion);
            assert_eq!(value, Ok(Some(expected)), "{answer}");
        }
        // Outside the tags nothing counts, and the last of two answers does.
        let value = |text: &str| score(AnswerRule::Means, true, Some(&choices), "B", text).unwrap().unwrap();
        assert_eq!(value("B. dog barking"), 0.0);
        assert_eq!(value("<answer>A</answer> <answer>B</answer>"), 1.0);
        assert_eq!(value("<answer>B</answer> <answer>A</answer>"), 0.0);
        assert_eq!(score(AnswerRule::Means, false, Some(&choices), "B", "B. dog barking"), Ok(Some(1.0)));
    }

    #[test]
    fn free_answers_and_numbers_are_compared() {
        let value = |answer: &str, given: &str| score(AnswerRule::Means, false, None, answer, given).unwrap().unwrap();
        for (answer, given, expected) in [
            ("A heavy door.", "a  heavy door", 1.0),
            ("A heavy door.", "a door", 0.0),
            ("3", "3.0", 1.0),
            ("1,200", "1200.", 1.0),
            ("3", "4", 0.0),
            ("3", "three", 0.0),
            ("3 dogs", "3", 0.0),
        ] {
            assert_eq!(value(answer, given), expected, "{answer} {given}");
        }
    }

    #[test]
    fn an_item_that_cannot_be_judged_is_a_fault() {
        let choices = Choices::from_value(&json!(["cat", "dog"])).unwrap();
        assert!(score(AnswerRule::Means, false, None, " ", " ").is_err(), "nothing equals nothing");
        let fault = score(AnswerRule::Means, false, Some(&choices), "D. cow", "A").unwrap_err();
        assert!(fault.starts_with("the right answer: "), "{fault}");
    }
}
