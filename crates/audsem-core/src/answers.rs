//! Answers with tags: `<think>`, `<semantic_elements>` and `<answer>`. Rewards and evaluation share this parser.
//!
//! A text inside tags may hold line breaks. Nothing is guessed: what is absent, left open or there several times is reported.
//!
//! ```
//! use audsem_core::answers::{TagProblem, TaggedAnswer, THINK};
//!
//! let read = TaggedAnswer::read("<think>It is\nalive.</think>\n<answer>A. A dog</answer>");
//! assert_eq!((read.thinking, read.answer), (Some("It is\nalive."), Some("A. A dog")));
//! let read = TaggedAnswer::read("<think>It is alive, and");
//! assert_eq!(read.answer, None);
//! assert!(read.problems.contains(&TagProblem::Unclosed(THINK)));
//! ```

use std::fmt;

/// Both ends of a marked text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: &'static str,
    /// The mark before the text.
    pub open: &'static str,
    /// The mark behind the text.
    pub close: &'static str,
}

/// Marks the reasoning.
pub const THINK: Tag = Tag { name: "think", open: "<think>", close: "</think>" };
/// Marks the semantic elements heard.
pub const SEMANTIC_ELEMENTS: Tag =
    Tag { name: "semantic_elements", open: "<semantic_elements>", close: "</semantic_elements>" };
/// Marks the final answer.
pub const ANSWER: Tag = Tag { name: "answer", open: "<answer>", close: "</answer>" };

/// All tags, in the order in which they are written.
pub const TAGS: [Tag; 3] = [THINK, SEMANTIC_ELEMENTS, ANSWER];

/// What is wrong with the tags of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagProblem {
    /// The opening mark is absent.
    Missing(Tag),
    /// The opening mark is there, and no closing mark behind it.
    Unclosed(Tag),
    /// There are several texts with this mark.
    Repeated(Tag),
}

impl fmt::Display for TagProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(tag) => write!(f, "{} is missing", tag.open),
            Self::Unclosed(tag) => write!(f, "{} is not closed", tag.open),
            Self::Repeated(tag) => write!(f, "{} occurs several times", tag.open),
        }
    }
}

/// The texts inside the tags of what a model wrote, without blanks at their ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedAnswer<'a> {
    /// The first reasoning.
    pub thinking: Option<&'a str>,
    /// The first list of semantic elements.
    pub semantic_elements: Option<&'a str>,
    /// The last complete answer, else the text after an opening mark that is never closed.
    pub answer: Option<&'a str>,
    /// What is wrong, in the order of the tags.
    pub problems: Vec<TagProblem>,
}

impl<'a> TaggedAnswer<'a> {
    /// Reads a text.
    pub fn read(text: &'a str) -> Self {
        let thinking = complete(text, THINK);
        let semantic_elements = complete(text, SEMANTIC_ELEMENTS);
        let answers = complete(text, ANSWER);
        let problems = [(THINK, &thinking), (SEMANTIC_ELEMENTS, &semantic_elements), (ANSWER, &answers)];
        let problems = problems.into_iter().filter_map(|(tag, found)| problem(text, tag, found.len())).collect();
        let unclosed = || text.rfind(ANSWER.open).map(|at| text[at + ANSWER.open.len()..].trim());
        Self {
            thinking: thinking.first().copied(),
            semantic_elements: semantic_elements.first().copied(),
            answer: answers.last().copied().or_else(unclosed),
            problems,
        }
    }

    /// Whether the answer stands between both marks.
    pub fn has_complete_answer(&self) -> bool {
        self.answer.is_some() && !self.problems.contains(&TagProblem::Unclosed(ANSWER))
    }

    /// Number of words of the reasoning; none where there is no complete reasoning.
    pub fn thinking_words(&self) -> usize {
        self.thinking.map_or(0, |text| text.split_whitespace().count())
    }
}

/// The texts between an opening mark and the next closing one, trimmed.
fn complete(text: &str, tag: Tag) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((_, after)) = rest.split_once(tag.open) {
        let Some((inner, behind)) = after.split_once(tag.close) else { break };
        found.push(inner.trim());
        rest = behind;
    }
    found
}

fn problem(text: &str, tag: Tag, complete: usize) -> Option<TagProblem> {
    match (complete, text.contains(tag.open)) {
        (0, false) => Some(TagProblem::Missing(tag)),
        (0, true) => Some(TagProblem::Unclosed(tag)),
        (1, _) => None,
        _ => Some(TagProblem::Repeated(tag)),
    }
}

/// Whether a text is exactly a reasoning, with `semantic` a list of semantic elements, and an answer, with nothing but white
/// space between them and nothing at all around them.
pub fn is_well_formed(text: &str, semantic: bool) -> bool {
    let inner = text.strip_prefix(THINK.open).and_then(|rest| rest.strip_suffix(ANSWER.close));
    let Some(inner) = inner else { return false };
    match semantic {
        false => after_joint(inner, THINK, ANSWER).is_some(),
        true => after_joint(inner, THINK, SEMANTIC_ELEMENTS)
            .is_some_and(|rest| after_joint(rest, SEMANTIC_ELEMENTS, ANSWER).is_some()),
    }
}

/// What follows the first place where `before` closes and, after white space, `next` opens.
fn after_joint(text: &str, before: Tag, next: Tag) -> Option<&str> {
    let closings = text.match_indices(before.close);
    closings.filter_map(|(at, mark)| text[at + mark.len()..].trim_start().strip_prefix(next.open)).next()
}

/// The first complete answer, trimmed, else the whole text, trimmed: how the published data set's rewards look for answers.
/// With `one_line` an answer that holds a line break is not found.
pub fn reference_answer(text: &str, one_line: bool) -> &str {
    let mut found = None;
    for (at, mark) in text.match_indices(ANSWER.open) {
        let after = &text[at + mark.len()..];
        if let Some((inner, _)) = after.split_once(ANSWER.close)
            && !(one_line && inner.contains('\n'))
        {
            found = Some(inner);
            break;
        }
    }
    found.unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_inside_tags_are_found_and_what_is_wrong_is_told() {
        use TagProblem::{Missing, Repeated, Unclosed};
        let absent = Missing(SEMANTIC_ELEMENTS);
        let check = |text: &str, thinking: Option<&str>, answer: Option<&str>, problems: &[TagProblem]| {
            let read = TaggedAnswer::read(text);
            assert_eq!((read.thinking, read.answer), (thinking, answer), "{text}");
            assert_eq!(read.problems, problems, "{text}");
        };
        check("<think> a\nb </think>\n<answer>x</answer>", Some("a\nb"), Some("x"), &[absent]);
        check("<answer>x</answer>", None, Some("x"), &[Missing(THINK), absent]);
        check("<think>a</think><answer>x", Some("a"), Some("x"), &[absent, Unclosed(ANSWER)]);
        check("<think>a <answer>x</answer>", None, Some("x"), &[Unclosed(THINK), absent]);
        check("B. dog", None, None, &[Missing(THINK), absent, Missing(ANSWER)]);
        // A draft may precede the final answer.
        check(
            "<answer>x</answer> no: <answer>y</answer>",
            None,
            Some("y"),
            &[Missing(THINK), absent, Repeated(ANSWER)],
        );
        check("<answer>x</answer><answer>y", None, Some("x"), &[Missing(THINK), absent]);
        check("</answer><answer>é</answer>", None, Some("é"), &[Missing(THINK), absent]);
        check("", None, None, &[Missing(THINK), absent, Missing(ANSWER)]);
        let semantic = TaggedAnswer::read("<semantic_elements>a: dog</semantic_elements>");
        assert_eq!(semantic.semantic_elements, Some("a: dog"));
    }

    #[test]
    fn words_of_the_reasoning_are_counted_across_lines() {
        assert_eq!(TaggedAnswer::read("<think>one two\nthree\tfour </think>").thinking_words(), 4);
        assert_eq!(TaggedAnswer::read("<think></think>").thinking_words(), 0);
        assert_eq!(TaggedAnswer::read("one two <answer>x</answer>").thinking_words(), 0);
        assert_eq!(TaggedAnswer::read("<think>one two").thinking_words(), 0);
    }

    #[test]
    fn the_form_is_exact() {
        for (text, plain, semantic) in [
            ("<think>a</think>\n<answer>b</answer>", true, false),
            ("<think>a</think><answer></answer>", true, false),
            ("<think>a\nb</think> \n\t<answer>b\nc</answer>", true, false),
            ("<think>a</think>\n<answer>b</answer>\n", false, false),
            ("x<think>a</think><answer>b</answer>", false, false),
            ("<think>a</think>x<answer>b</answer>", false, false),
            ("<think>a<answer>b</answer>", false, false),
            ("<think>a</think><answer>b", false, false),
            ("<think>a</answer>", false, false),
            ("<think></think>", false, false),
            ("<think>a</think><semantic_elements>s</semantic_elements>\n<answer>b</answer>", false, true),
            ("<think>a</think><answer>s</answer><semantic_elements>s</semantic_elements>", false, false),
            // As a pattern matches it: the reasoning may hold closing marks.
            ("<think>a</think>x</think><answer>b</answer>", true, false),
        ] {
            assert_eq!((is_well_formed(text, false), is_well_formed(text, true)), (plain, semantic), "{text:?}");
        }
    }

    #[test]
    fn the_reference_takes_the_first_answer_or_everything() {
        for (text, any, one_line) in [
            ("<think>t</think><answer> A </answer><answer>B</answer>", "A", "A"),
            (" B. dog ", "B. dog", "B. dog"),
            ("<answer>A\nx</answer>", "A\nx", "<answer>A\nx</answer>"),
            ("<answer>A", "<answer>A", "<answer>A"),
        ] {
            assert_eq!((reference_answer(text, false), reference_answer(text, true)), (any, one_line), "{text}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_text_is_read(text in "(<think>|</think>|<answer>|</answer>|<semantic_elements>|</semantic_elements>|\\PC|\n){0,12}") {
            let read = TaggedAnswer::read(&text);
            proptest::prop_assert!(read.answer.is_some() == text.contains(ANSWER.open));
            if is_well_formed(&text, false) {
                proptest::prop_assert!(read.thinking.is_some() && read.has_complete_answer());
            }
            let _ = reference_answer(&text, true);
        }
    }
}
