//! Prompts about sounds, as the processor and the chat template of Qwen2-Audio write them.

use audsem_llm::{Media, Message, MessageContent, Part, Role};

use crate::error::{Error, Result};

/// Stands for a sound in a prompt.
pub(super) const AUDIO: &str = "<|AUDIO|>";

/// The system turn where none is given.
const SYSTEM: &str = "You are a helpful assistant.";

/// A conversation of one question about sounds, up to where the answer begins.
#[must_use]
pub fn chat_text(system: Option<&str>, sounds: usize, question: &str) -> String {
    let heard: String = (1..=sounds).map(mark).collect();
    let turns = [turn("system", system.unwrap_or(SYSTEM)), turn("user", &format!("{heard}{question}"))];
    turns.concat() + ANSWER
}

/// What an answer follows.
const ANSWER: &str = "<|im_start|>assistant\n";

/// The mark of a sound, which are numbered from 1.
fn mark(number: usize) -> String {
    format!("Audio {number}: <|audio_bos|>{AUDIO}<|audio_eos|>\n")
}

fn turn(role: &str, text: &str) -> String {
    format!("<|im_start|>{role}\n{text}<|im_end|>\n")
}

/// The text of a conversation up to where the next answer begins, and its sounds in their order.
///
/// # Errors
/// There is no turn, or a turn holds a picture.
pub(super) fn conversation(turns: &[Message]) -> Result<(String, Vec<&Media>)> {
    let refuse = |reason: &str| Err(Error::ChatTemplate { reason: reason.to_owned() });
    let Some(first) = turns.first() else { return refuse("a conversation without a turn") };
    let mut text = if first.role == Role::System { String::new() } else { turn("system", SYSTEM) };
    let mut sounds = Vec::new();
    for Message { role, content } in turns {
        let mut own = String::new();
        match content {
            MessageContent::Text(text) => own.push_str(text),
            MessageContent::Parts(parts) => {
                for part in parts {
                    match part {
                        Part::Text(text) => own.push_str(text),
                        Part::Audio(sound) => {
                            sounds.push(sound);
                            own.push_str(&mark(sounds.len()));
                        }
                        Part::Image(_) => return refuse("the model hears, and sees no pictures"),
                    }
                }
            }
        }
        let role = match role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        text.push_str(&turn(role, &own));
    }
    Ok((text + ANSWER, sounds))
}

/// Repeats the mark of each sound, so that there is one for each of its vectors.
///
/// # Errors
/// There are not as many marks as sounds.
pub fn expand_audio(text: &str, vectors: &[usize]) -> Result<String> {
    let parts: Vec<&str> = text.split(AUDIO).collect();
    if parts.len() != vectors.len() + 1 {
        return Err(Error::ChatTemplate { reason: format!("{} places for {} sounds", parts.len() - 1, vectors.len()) });
    }
    let marks = vectors.iter().map(|n| AUDIO.repeat(*n)).chain([String::new()]);
    Ok(parts.into_iter().zip(marks).map(|(part, marks)| format!("{part}{marks}")).collect())
}
