//! An answer as it is printed.

use std::fmt;
use std::path::PathBuf;

use audsem_core::answers::{TAGS, TaggedAnswer};
use audsem_core::terminal::plain;
use audsem_models::generate::StopReason;
use audsem_models::multimodal::audio_language::AudioAnswer;
use serde_json::{Value, json};

/// An answer, with what was asked.
#[derive(Debug, Clone)]
pub struct SoundAnswer {
    /// The sound files.
    pub audio: Vec<PathBuf>,
    /// The question, without instruction and options.
    pub question: String,
    /// The answer.
    pub answer: AudioAnswer,
}

impl SoundAnswer {
    /// The answer and the parts of it inside tags as one JSON object. `problems` is empty where there are no tags at all.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let AudioAnswer { text, tokens, finish, score, prompt_tokens } = &self.answer;
        let read = TaggedAnswer::read(text);
        let problems: Vec<String> = match self.is_tagged() {
            true => read.problems.iter().map(ToString::to_string).collect(),
            false => Vec::new(),
        };
        json!({
            "audio": self.audio,
            "question": self.question,
            "text": text,
            "thinking": read.thinking,
            "semantic_elements": read.semantic_elements,
            "answer": read.answer,
            "problems": problems,
            "finish": match finish {
                StopReason::EndOfSequence => "stop",
                StopReason::MaxLength => "length",
            },
            "score": score,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens.len(),
        })
    }

    /// Whether the answer has any tag.
    fn is_tagged(&self) -> bool {
        TAGS.iter().any(|tag| self.answer.text.contains(tag.open))
    }
}

impl fmt::Display for SoundAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.audio.iter().map(|path| path.display().to_string()).collect();
        write!(f, "{}:", plain(&names.join(", ")))?;
        let cut = if self.answer.finish == StopReason::MaxLength { " [cut off]" } else { "" };
        if !self.is_tagged() {
            return write!(f, " {}{cut}", plain(self.answer.text.trim()));
        }
        let read = TaggedAnswer::read(&self.answer.text);
        let parts =
            [("thinking", read.thinking), ("semantic elements", read.semantic_elements), ("answer", read.answer)];
        for (name, text) in parts.into_iter().filter_map(|(name, text)| Some((name, text?))) {
            write!(f, "\n  {name}: {}", plain(text))?;
        }
        for problem in &read.problems {
            write!(f, "\n  ({problem})")?;
        }
        f.write_str(cut)
    }
}
