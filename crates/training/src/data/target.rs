//! What a model learns to say.

use audsem_core::answers::{ANSWER, SEMANTIC_ELEMENTS, THINK, Tag};
use serde::{Deserialize, Serialize};

use crate::manifest::ExampleText;

/// Form of the assistant's turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TargetStyle {
    /// `<think>…</think>`, a line break, `<answer>…</answer>`
    #[default]
    Think,
    /// The same with `<semantic_elements>…</semantic_elements>` on a line between them
    Semantic,
    /// The answer alone, without tags
    Answer,
}

impl TargetStyle {
    /// The text of the assistant's turn; nothing if semantic elements are asked for and the example has none.
    ///
    /// ```
    /// use audsem_training::data::TargetStyle;
    /// use audsem_training::manifest::ExampleText;
    ///
    /// let text = ExampleText { thinking: "A bark.".into(), answer: "A dog.".into(), ..ExampleText::default() };
    /// assert_eq!(TargetStyle::Think.render(&text).as_deref(), Some("<think>A bark.</think>\n<answer>A dog.</answer>"));
    /// assert_eq!(TargetStyle::Semantic.render(&text), None);
    /// ```
    #[must_use]
    pub fn render(self, text: &ExampleText) -> Option<String> {
        let tagged = |tag: Tag, text: &str| format!("{}{text}{}", tag.open, tag.close);
        let (think, answer) = (tagged(THINK, &text.thinking), tagged(ANSWER, &text.answer));
        match self {
            Self::Answer => Some(text.answer.clone()),
            Self::Think => Some(format!("{think}\n{answer}")),
            Self::Semantic if text.semantic_elements.is_empty() => None,
            Self::Semantic => {
                let elements = tagged(SEMANTIC_ELEMENTS, &text.semantic_elements);
                Some(format!("{think}\n{elements}\n{answer}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_texts_in_their_tags() {
        let text = ExampleText {
            thinking: "t".to_owned(),
            semantic_elements: "s".to_owned(),
            answer: "A. a".to_owned(),
            ..ExampleText::default()
        };
        for (style, expected) in [
            (TargetStyle::Think, "<think>t</think>\n<answer>A. a</answer>"),
            (
                TargetStyle::Semantic,
                "<think>t</think>\n<semantic_elements>s</semantic_elements>\n<answer>A. a</answer>",
            ),
            (TargetStyle::Answer, "A. a"),
        ] {
            assert_eq!(style.render(&text).as_deref(), Some(expected));
        }
    }
}
