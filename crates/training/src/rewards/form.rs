//! Is the completion written in the form that was asked for?

use audsem_core::answers::{ANSWER, SEMANTIC_ELEMENTS, THINK, Tag, is_well_formed};

use super::{Reward, RewardItem, RewardProgramError, RewardValue, each};

/// What a completion in the right form gets.
const WELL_FORMED: f64 = 0.5;

/// What each complete pair of tags gets.
const COMPLETE_TAG: f64 = 0.125;

/// What the right order of the tags gets.
const RIGHT_ORDER: f64 = 0.25;

/// What each character after the answer costs.
const TAIL_CHARACTER: f64 = 0.001;

/// Rewards completions that are a reasoning, with `is_semantic` a list of semantic elements, and an answer, and nothing
/// else, with 0.5.
#[derive(Debug, Clone, Copy)]
pub struct FormatReward {
    /// Whether semantic elements must stand between reasoning and answer.
    pub is_semantic: bool,
}

impl Reward for FormatReward {
    fn name(&self) -> &str {
        "format"
    }

    fn score(&mut self, items: &[RewardItem<'_>]) -> Result<Vec<RewardValue>, RewardProgramError> {
        let value = |item: &RewardItem<'_>| match is_well_formed(item.completion, self.is_semantic) {
            true => Ok(Some(WELL_FORMED)),
            false => Ok(Some(0.0)),
        };
        Ok(each(items, value))
    }
}

/// Rewards each step towards the right form, so that a model that never gets there learns something: 0.125 for each
/// complete pair of tags, 0.25 for their order, less 0.001 for each character after the answer.
#[derive(Debug, Clone, Copy)]
pub struct TagReward {
    /// Whether semantic elements belong to the form.
    pub is_semantic: bool,
}

impl TagReward {
    fn value(self, text: &str) -> f64 {
        let semantic = self.is_semantic.then_some(SEMANTIC_ELEMENTS);
        let tags: Vec<Tag> = [Some(THINK), semantic, Some(ANSWER)].into_iter().flatten().collect();
        let places: Vec<Option<(usize, usize)>> = tags.iter().map(|tag| pair(text, *tag)).collect();
        let complete: Vec<(usize, usize)> = places.iter().copied().flatten().collect();
        let is_ordered = complete.len() == tags.len() && complete.windows(2).all(|two| two[0].1 <= two[1].0);
        let order = if is_ordered { RIGHT_ORDER } else { 0.0 };
        let tail = text.rfind(ANSWER.close).map_or("", |at| text[at + ANSWER.close.len()..].trim());
        (COMPLETE_TAG * complete.len() as f64 + order - TAIL_CHARACTER * tail.chars().count() as f64).max(0.0)
    }
}

/// Where the first complete pair of a tag begins and ends.
fn pair(text: &str, tag: Tag) -> Option<(usize, usize)> {
    let start = text.find(tag.open)?;
    let inner = start + tag.open.len();
    Some((start, inner + text[inner..].find(tag.close)? + tag.close.len()))
}

impl Reward for TagReward {
    fn name(&self) -> &str {
        "tags"
    }

    fn score(&mut self, items: &[RewardItem<'_>]) -> Result<Vec<RewardValue>, RewardProgramError> {
        Ok(each(items, |item| Ok(Some(self.value(item.completion)))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn format(completion: &str, is_semantic: bool) -> f64 {
        let item = RewardItem { completion, ..RewardItem::default() };
        FormatReward { is_semantic }.score(&[item]).unwrap().remove(0).unwrap().unwrap()
    }

    /// The vectors of the published scripts, with the pattern that they mean.
    #[test]
    fn the_form_is_all_or_nothing() {
        for (completion, plain) in [
            ("<think>a b</think>\n<answer>B. dog barking</answer>", 0.5),
            ("<think>a b</think>\n<answer>B. cat</answer>", 0.5),
            ("<think>a</think><answer>C. dog barking</answer>", 0.5),
            ("B. dog barking", 0.0),
            ("<think>a</think>\n<answer>B. dog\nbarking</answer>", 0.5),
            ("<think>a</think>\n<answer>B. dog barking</answer>\n", 0.0),
            ("x<think>a</think><answer>B. dog barking</answer>", 0.0),
        ] {
            assert_eq!((format(completion, false), format(completion, true)), (plain, 0.0), "{completion}");
        }
        let semantic = "<think>a</think>\n<semantic_elements>b</semantic_elements>\n<answer>c</answer>";
        assert_eq!((format(semantic, false), format(semantic, true)), (0.0, 0.5));
    }

    #[test]
    fn each_tag_counts_for_itself() {
        for (text, plain, semantic) in [
            ("<think>a</think><answer>b</answer>", 0.5, 0.25),
            ("<think>a</think><semantic_elements>s</semantic_elements><answer>b</answer>", 0.5, 0.625),
            ("<answer>b</answer><think>a</think>", 0.25 - 0.016, 0.25 - 0.016),
            ("<think>a</think>", 0.125, 0.125),
            ("<think>a<answer>b</answer>", 0.125, 0.125),
            ("<think>a</think><answer>b</answer> x y \n", 0.497, 0.247),
            ("b", 0.0, 0.0),
        ] {
            for (is_semantic, expected) in [(false, plain), (true, semantic)] {
                let value = TagReward { is_semantic }.value(text);
                assert!((value - expected).abs() < 1e-12, "{text} {is_semantic}: {value}");
            }
        }
        let long = format!("<answer>b</answer>{}", "x".repeat(900));
        assert_eq!(TagReward { is_semantic: false }.value(&long), 0.0, "never below zero");
    }
}
