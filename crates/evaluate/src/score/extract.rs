//! The answer in what a model wrote.

use audsem_core::answers::{ANSWER, TaggedAnswer};
use serde::{Deserialize, Serialize};

use super::predictions::RunRecord;

/// How the answer is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ExtractionRule {
    /// The last complete `<answer>`, else an unclosed one, else, where tags were asked for, none
    #[default]
    Last,
    /// As the scripts of AudSemThinker: the first `<answer>`, closed or not, else all that was written
    Reference,
}

/// Where an answer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerSource {
    /// Between both marks.
    Tag,
    /// Behind an opening mark that is never closed.
    Unclosed,
    /// All that was written, where no tags were asked for.
    Whole,
    /// Nowhere.
    None,
}

impl AnswerSource {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Unclosed => "unclosed",
            Self::Whole => "whole",
            Self::None => "none",
        }
    }
}

/// Whether the prompts of a run ask for an answer inside tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TagsAsked {
    /// As the record of the run says; imported predictions count as free text
    #[default]
    Auto,
    /// They do: an output without tags has no answer
    Yes,
    /// They do not: an output without tags is the answer
    No,
}

/// How answers are extracted, as a command line says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExtractionChoice {
    /// The rule.
    pub rule: ExtractionRule,
    /// Whether tags were asked for.
    pub tags: TagsAsked,
}

impl ExtractionChoice {
    /// What that means for the predictions of a run.
    #[must_use]
    pub fn of(&self, run: &RunRecord) -> Extraction {
        let tags_asked = match self.tags {
            TagsAsked::Auto => run.asks_for_tags(),
            TagsAsked::Yes => true,
            TagsAsked::No => false,
        };
        Extraction { rule: self.rule, tags_asked }
    }
}

/// How answers are extracted from the outputs of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Extraction {
    /// The rule.
    pub rule: ExtractionRule,
    /// Whether the prompt asks for an answer inside tags, so that an output without them has no answer.
    pub tags_asked: bool,
}

impl Extraction {
    /// The answer in an output, and where it was found. An empty answer is none.
    #[must_use]
    pub fn answer<'a>(&self, output: &'a str, tagged: &TaggedAnswer<'a>) -> (Option<&'a str>, AnswerSource) {
        let (answer, source) = match self.rule {
            ExtractionRule::Last => self.last(output, tagged),
            ExtractionRule::Reference => reference(output),
        };
        match answer.filter(|answer| !answer.is_empty()) {
            Some(answer) => (Some(answer), source),
            None => (None, AnswerSource::None),
        }
    }

    fn last<'a>(&self, output: &'a str, tagged: &TaggedAnswer<'a>) -> (Option<&'a str>, AnswerSource) {
        match tagged.answer {
            Some(answer) if tagged.has_complete_answer() => (Some(answer), AnswerSource::Tag),
            Some(answer) => (Some(answer), AnswerSource::Unclosed),
            None if self.tags_asked => (None, AnswerSource::None),
            None => (Some(output.trim()), AnswerSource::Whole),
        }
    }
}

/// What lies between the first opening mark and the next, up to the first closing mark in it; without a mark, everything.
fn reference(output: &str) -> (Option<&str>, AnswerSource) {
    let Some(after) = output.split(ANSWER.open).nth(1) else {
        return (Some(output.trim()), AnswerSource::Whole);
    };
    match after.split_once(ANSWER.close) {
        Some((inner, _)) => (Some(inner.trim()), AnswerSource::Tag),
        None => (Some(after.trim()), AnswerSource::Unclosed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: ExtractionRule, tags_asked: bool, output: &str) -> (Option<&str>, &'static str) {
        let (answer, source) = Extraction { rule, tags_asked }.answer(output, &TaggedAnswer::read(output));
        (answer, source.name())
    }

    #[test]
    fn the_last_complete_answer_counts() {
        for (output, asked, whole) in [
            ("<think>t</think><answer>A. x</answer>", (Some("A. x"), "tag"), (Some("A. x"), "tag")),
            ("<answer>x</answer> no: <answer> y </answer>", (Some("y"), "tag"), (Some("y"), "tag")),
            ("<think>t</think><answer>A. x", (Some("A. x"), "unclosed"), (Some("A. x"), "unclosed")),
            ("<think>a dog</think> a dog", (None, "none"), (Some("<think>a dog</think> a dog"), "whole")),
            (" a dog\n", (None, "none"), (Some("a dog"), "whole")),
            ("<answer> </answer>", (None, "none"), (None, "none")),
            ("", (None, "none"), (None, "none")),
        ] {
            assert_eq!(check(ExtractionRule::Last, true, output), asked, "{output}");
            assert_eq!(check(ExtractionRule::Last, false, output), whole, "{output}");
        }
    }

    /// The examples that were checked with the scripts themselves.
    #[test]
    fn the_reference_takes_the_first_mark_or_everything() {
        for (output, expected) in [
            ("<think>t</think><answer>A. x", (Some("A. x"), "unclosed")),
            ("<answer>x</answer> no: <answer>y</answer>", (Some("x"), "tag")),
            ("<answer>x <answer>y</answer>", (Some("x"), "unclosed")),
            ("<think>a</think> b ", (Some("<think>a</think> b"), "whole")),
        ] {
            assert_eq!(check(ExtractionRule::Reference, true, output), expected, "{output}");
        }
    }
}
