//! Conversations about sounds as token ids, as the processors of Qwen2-Audio and Qwen2.5-Omni make them; and where in them
//! the turns of the assistant are.
//!
//! Numbers agree with `Qwen2AudioProcessor` and `Qwen2_5OmniProcessor` of Hugging Face transformers
//! (`fixtures/regen/processors.py`).

mod template;
mod turn;

use std::ops::Range;
use std::path::PathBuf;

use audsem_core::hub::ModelDir;
use audsem_core::terminal::counted;
use audsem_llm::Role;
use serde_json::Value;
use tokenizers::{PostProcessorWrapper, Tokenizer};

pub use turn::{ChatTurn, TurnPart};

use super::SoundLengths;
use super::audio_language::AudioLanguageConfig;
use crate::chat::ChatTemplate;
use crate::error::{Error, Result};
use crate::language::untruncated;

/// Stands for a sound in a text.
pub(crate) const AUDIO: &str = "<|AUDIO|>";

/// Turns conversations into token ids.
#[derive(Debug, Clone)]
pub struct AudioProcessor {
    tokenizer: Tokenizer,
    template: ChatTemplate,
    audio_token: u32,
    longest_sound: usize,
}

/// The tokens of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizedChat {
    /// The tokens, with as many audio tokens for each sound as it has vectors.
    pub tokens: Vec<u32>,
    /// The turns of the assistant, in order.
    pub answers: Vec<AnswerSpan>,
}

/// Where a turn of the assistant stands among the tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerSpan {
    /// Its tokens: what is said, the end of the turn, and the line break behind that.
    pub tokens: Range<usize>,
    /// How many of these, at the end, are the line break.
    pub line_break: usize,
}

impl TokenizedChat {
    /// The indices of the tokens that training predicts: those of the assistant's turns, with the line break behind each or
    /// without.
    ///
    /// # Errors
    /// The assistant says nothing.
    pub fn targets(&self, line_breaks: bool) -> Result<Vec<usize>> {
        let spoken = |answer: &AnswerSpan| {
            let left_out = if line_breaks { 0 } else { answer.line_break };
            answer.tokens.start..answer.tokens.end.saturating_sub(left_out)
        };
        let targets: Vec<usize> = self.answers.iter().flat_map(spoken).collect();
        match targets.is_empty() {
            true => Err(Error::ChatTemplate { reason: "the assistant says nothing that could be learned".to_owned() }),
            false => Ok(targets),
        }
    }
}

impl AudioProcessor {
    /// Opens the tokenizer and the chat template of a folder for a network. The default of its family is used, and told in
    /// `notes`, where there is no template of a processor.
    ///
    /// # Errors
    /// A file cannot be read, or the tokenizer is that of another network.
    pub fn open(dir: &ModelDir, config: &AudioLanguageConfig, notes: &mut Vec<String>) -> Result<Self> {
        let mut tokenizer = untruncated(crate::tokenizer::Tokenizer::load(dir, usize::MAX, None)?.inner())?;
        // Templates write their own special tokens, and the offsets of tokens stay those of the text.
        tokenizer.with_post_processor(None::<PostProcessorWrapper>);
        let audio_token = config.audio_token();
        let refuse = |message: String| Err(Error::Tokenizer { path: dir.root().to_owned(), message });
        if tokenizer.token_to_id(AUDIO) != Some(audio_token) {
            return refuse(format!("{AUDIO} is not token {audio_token}, as config.json has it"));
        }
        let atomic = tokenizer.encode(format!("a{AUDIO}b"), false).map_err(refused)?;
        if !atomic.get_ids().contains(&audio_token) {
            return refuse(format!("{AUDIO} is no token that is kept whole among others"));
        }
        let template = template::open(dir, config.family(), notes)?;
        Ok(Self { tokenizer, template, audio_token, longest_sound: config.longest_sound() })
    }

    /// The tokenizer, which adds no tokens of its own.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The text of a conversation, with one mark for each sound; with the beginning of an answer behind it if `prompt` is
    /// set.
    ///
    /// # Errors
    /// The template refuses the conversation.
    pub fn render(&self, turns: &[ChatTurn], prompt: bool) -> Result<String> {
        self.template.fill(turns.iter().map(ChatTurn::to_json).collect::<Vec<Value>>(), prompt)
    }

    /// The tokens of a conversation about sounds of so many samples at 16 kHz; with the beginning of an answer behind them if
    /// `prompt` is set.
    ///
    /// # Errors
    /// The template refuses the conversation, or writes a turn of the assistant in another way when something follows it;
    /// there are not as many marks as sounds, or a sound is too short.
    pub fn tokens(&self, turns: &[ChatTurn], sounds: &[usize], prompt: bool) -> Result<TokenizedChat> {
        let text = self.render(turns, prompt)?;
        let spans = self.spans(turns, &text)?;
        let encoding = self.tokenizer.encode(text.as_str(), false).map_err(refused)?;
        let (ids, offsets) = (encoding.get_ids(), encoding.get_offsets());
        let mut answers: Vec<AnswerSpan> = spans.iter().map(|span| span.answer(offsets)).collect();
        let places = self.places(ids, sounds)?;
        let moved = |at: usize| at + places.iter().filter(|(place, _)| *place < at).map(|(_, n)| n - 1).sum::<usize>();
        for AnswerSpan { tokens, .. } in &mut answers {
            *tokens = moved(tokens.start)..moved(tokens.end);
        }
        let mut places = places.iter().peekable();
        let mut tokens = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            let repeated = places.next_if(|(place, _)| *place == at).map_or(1, |(_, n)| *n);
            tokens.extend(std::iter::repeat_n(*id, repeated));
        }
        Ok(TokenizedChat { tokens, answers })
    }

    /// Where the audio tokens stand, and the number of vectors of the sound that each stands for.
    fn places(&self, ids: &[u32], sounds: &[usize]) -> Result<Vec<(usize, usize)>> {
        let places: Vec<usize> = (0..ids.len()).filter(|at| ids[*at] == self.audio_token).collect();
        if places.len() != sounds.len() {
            let reason = format!("{} for {}", counted(places.len(), "places"), counted(sounds.len(), "sounds"));
            return Err(Error::ChatTemplate { reason });
        }
        let vectors = sounds.iter().map(|samples| SoundLengths::of(*samples, self.longest_sound));
        places.into_iter().zip(vectors).map(|(place, vectors)| Ok((place, vectors?.vectors))).collect()
    }

    /// The turns of the assistant in a rendered conversation: each is what the text grows by when it is given.
    fn spans(&self, turns: &[ChatTurn], text: &str) -> Result<Vec<TextSpan>> {
        let mut spans = Vec::new();
        for (at, _) in turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::Assistant) {
            let (before, behind) = (self.render(&turns[..at], true)?, self.render(&turns[..=at], false)?);
            let said = behind.strip_prefix(before.as_str()).filter(|_| text.starts_with(behind.as_str()));
            let Some(said) = said else {
                let reason = format!("turn {} is written in another way when others follow it", at + 1);
                return Err(Error::ChatTemplate { reason });
            };
            let end = behind.len();
            spans.push(TextSpan {
                begin: before.len(),
                line_break: end - (said.len() - said.trim_end_matches('\n').len()),
                end,
            });
        }
        Ok(spans)
    }
}

/// A turn of the assistant in a text, by bytes.
struct TextSpan {
    begin: usize,
    /// Where the line break at its end begins.
    line_break: usize,
    end: usize,
}

impl TextSpan {
    /// The tokens that lie in the span, among tokens with these places in the text.
    fn answer(&self, offsets: &[(usize, usize)]) -> AnswerSpan {
        let first = |from: usize| offsets.partition_point(|(begin, _)| *begin < from);
        let tokens = first(self.begin)..first(self.end);
        AnswerSpan { line_break: tokens.end - first(self.line_break).clamp(tokens.start, tokens.end), tokens }
    }
}

/// What a tokenizer refuses.
pub(crate) fn refused(error: tokenizers::Error) -> Error {
    Error::Tokenizer { path: PathBuf::new(), message: error.to_string() }
}
