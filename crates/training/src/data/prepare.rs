//! From a row of a manifest to a sequence of tokens.

use std::ops::Range;
use std::sync::Arc;

use audsem_core::instructions::{InstructionProfile, QuestionForm, Wordings};
use audsem_core::run::Outcome;
use audsem_media::audio::Decoder;
use audsem_models::train::TrainingSequence;

use super::sound::SoundConfig;
use super::{DataFault, TargetStyle};
use crate::error::Result;
use crate::manifest::{ExampleText, ShardFiles, example_key, read_example};
use crate::tables::ManifestRow;

/// Which turns of a conversation are made into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// All of them; the answer is what is learned.
    Answered(TargetStyle),
    /// Those before the answer, which the model is to write itself.
    Prompt,
}

/// How questions are asked.
#[derive(Debug, Clone)]
pub struct PromptConfig {
    /// Which turns.
    pub turns: Turns,
    /// Instruction in front of the question.
    pub instruction: InstructionProfile,
    /// Its wordings.
    pub wordings: Wordings,
    /// System turn, where it is not that of the chat template.
    pub system: Option<String>,
    /// Most tokens of a sequence.
    pub max_tokens: usize,
    /// Whether the line break behind the end of the answer is learned, as the reference does.
    pub trailing_newline: bool,
}

impl PromptConfig {
    /// The question of an example as the model is asked it, with the instruction in front.
    #[must_use]
    pub fn ask(&self, text: &ExampleText) -> String {
        let form = if text.choices.is_some() { QuestionForm::Options } else { QuestionForm::Open };
        self.wordings.ask(self.instruction, form, &text.question)
    }
}

/// A conversation about one sound: system turn, sound and question, and the answer if it is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundConversation<'a> {
    /// The system turn, where it is not that of the chat template.
    pub system: Option<&'a str>,
    /// The question, with its instruction.
    pub question: &'a str,
    /// The answer; without one the tokens end where it would begin.
    pub answer: Option<&'a str>,
    /// Samples of the sound at 16 kHz.
    pub samples: usize,
}

/// The tokens of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationTokens {
    /// Token ids, with as many audio tokens as the model makes vectors of the sound.
    pub tokens: Vec<u32>,
    /// Places of the answer, of the token that ends it and of the line break behind that; empty without an answer.
    pub answer: Range<usize>,
    /// How many of these places, at their end, are the line break.
    pub line_break: usize,
}

/// What turns conversations into tokens: the processor of a model.
pub trait TokenizeConversation: Send + Sync {
    /// The tokens of a conversation.
    ///
    /// # Errors
    /// The chat template refuses the conversation, or the sound is too short for the model.
    fn tokenize(&self, conversation: SoundConversation<'_>) -> audsem_models::Result<ConversationTokens>;
}

/// An example as a trainer takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Number of its row in the data set.
    pub row: usize,
    /// Key of the example.
    pub key: String,
    /// Its texts, for rewards and previews.
    pub text: ExampleText,
    /// Tokens, sound, and the places that are learned.
    pub sequence: TrainingSequence,
    /// Whether the end of the sound was cut off.
    pub cropped: bool,
}

/// Makes examples of rows: reads, decodes, resamples and tokenises. Shared by threads.
pub struct Preparer {
    files: ShardFiles,
    decoder: Decoder,
    sound: SoundConfig,
    prompt: PromptConfig,
    tokenizer: Arc<dyn TokenizeConversation>,
}

impl std::fmt::Debug for Preparer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preparer").field("sound", &self.sound).field("prompt", &self.prompt).finish_non_exhaustive()
    }
}

impl Preparer {
    /// A preparer for the model that `tokenizer` belongs to.
    #[must_use]
    pub fn new(
        tokenizer: Arc<dyn TokenizeConversation>,
        decoder: Decoder,
        sound: SoundConfig,
        prompt: PromptConfig,
    ) -> Self {
        Self { files: ShardFiles::default(), decoder, sound, prompt, tokenizer }
    }

    /// Makes the example of row number `row`.
    ///
    /// # Errors
    /// The shard has changed or cannot be read: that says nothing about the example.
    pub fn prepare(&self, row: usize, place: &ManifestRow) -> Result<Outcome<Prepared>> {
        let bytes = self.files.read(place)?;
        let text = match read_example(&bytes.json, place.pair) {
            Ok(text) => text,
            Err(left_out) => {
                let detail = format!("{}: {}", left_out.reason(), left_out.detail());
                return Ok(Err(DataFault::BadText.left_out(detail)));
            }
        };
        let sound = match self.sound.hear(&self.decoder, &bytes.sound, &place.audio_suffix)? {
            Ok(sound) => sound,
            Err(left_out) => return Ok(Err(left_out)),
        };
        let key = example_key(&place.key, place.pair);
        let cropped = sound.cropped;
        Ok(self.sequence(&text, sound.samples).map(|sequence| Prepared { row, key, text, sequence, cropped }))
    }

    fn sequence(&self, text: &ExampleText, samples: Vec<f32>) -> Outcome<TrainingSequence> {
        let question = self.prompt.ask(text);
        let answer = match self.prompt.turns {
            Turns::Prompt => None,
            Turns::Answered(style) => Some(style.render(text).ok_or_else(|| DataFault::NoSemantic.left_out(""))?),
        };
        let conversation = SoundConversation {
            system: self.prompt.system.as_deref(),
            question: &question,
            answer: answer.as_deref(),
            samples: samples.len(),
        };
        let chat = self.tokenizer.tokenize(conversation).map_err(|error| DataFault::NoTokens.left_out(error))?;
        let n = chat.tokens.len();
        if n > self.prompt.max_tokens {
            return Err(DataFault::LongText.left_out(format_args!("{n} tokens")));
        }
        let unlearned = if self.prompt.trailing_newline { 0 } else { chat.line_break };
        let targets: Vec<usize> = (chat.answer.start..chat.answer.end.saturating_sub(unlearned)).collect();
        if answer.is_some() && targets.is_empty() {
            return Err(DataFault::NoTokens.left_out("the conversation has no turn of the assistant"));
        }
        Ok(TrainingSequence { tokens: chat.tokens, sounds: vec![samples.into()], targets })
    }
}
