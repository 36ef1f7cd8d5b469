//! Prompts about sounds, as the processor and the chat template of Qwen2-Audio write them.

use crate::error::{Error, Result};

/// Stands for a sound in a prompt.
const AUDIO: &str = "<|AUDIO|>";

/// The system turn where none is given.
const SYSTEM: &str = "You are a helpful assistant.";

/// A conversation of one question about sounds, up to where the answer begins.
#[must_use]
pub fn chat_text(system: Option<&str>, sounds: usize, question: &str) -> String {
    let system = system.unwrap_or(SYSTEM);
    let heard: String = (1..=sounds).map(|n| format!("Audio {n}: <|audio_bos|>{AUDIO}<|audio_eos|>\n")).collect();
    format!(
        "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{heard}{question}<|im_end|>\n<|im_start|>assistant\n"
    )
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
