//! The form of completions that rewards expect.

use audsem_core::instructions::InstructionProfile;

use crate::data::TargetStyle;

/// What completions look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnswerForm {
    /// Whether the answer stands inside `<answer>`, after reasoning; else the whole completion is the answer.
    pub is_tagged: bool,
    /// Whether semantic elements stand between reasoning and answer.
    pub is_semantic: bool,
    /// Number of words of reasoning that is asked for.
    pub target_words: Option<u32>,
}

impl AnswerForm {
    /// The form of completions of a model that has learned answers of this style, and is asked by this instruction.
    pub fn new(target: TargetStyle, instruction: InstructionProfile) -> Self {
        Self {
            is_tagged: target != TargetStyle::Answer || instruction.style.is_some(),
            is_semantic: target == TargetStyle::Semantic || instruction.is_semantic(),
            target_words: instruction.target_words,
        }
    }
}

impl From<InstructionProfile> for AnswerForm {
    /// The form that an instruction asks for by itself.
    fn from(instruction: InstructionProfile) -> Self {
        Self::new(TargetStyle::Answer, instruction)
    }
}
