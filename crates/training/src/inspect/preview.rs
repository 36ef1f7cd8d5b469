//! An example as people see it: its text, and what of it is learned.

use std::fmt;

use audsem_core::terminal::{counted, plain};
use audsem_models::Error as NetworkError;
use audsem_models::multimodal::SAMPLE_RATE_HZ;
use audsem_models::multimodal::processor::AudioProcessor;
use serde::Serialize;

use crate::data::Prepared;
use crate::error::Result;

/// An example as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExamplePreview {
    /// Its key.
    pub key: String,
    /// Seconds of sound.
    pub sound_s: f64,
    /// Whether the end of the sound was cut off.
    pub cropped: bool,
    /// Tokens.
    pub tokens: usize,
    /// Tokens that are learned.
    pub learned: usize,
    /// Its text, by what is learned.
    pub parts: Vec<PreviewPart>,
}

/// A run of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewPart {
    /// Their text, special tokens included; audio tokens are counted.
    pub text: String,
    /// Whether they are learned.
    pub learned: bool,
}

impl ExamplePreview {
    /// Decodes an example.
    ///
    /// # Errors
    /// The tokenizer fails.
    pub fn of(example: &Prepared, processor: &AudioProcessor, audio_token: u32) -> Result<Self> {
        let sequence = &example.sequence;
        let mut marked: Vec<(u32, bool)> = sequence.tokens.iter().map(|token| (*token, false)).collect();
        sequence.targets.iter().for_each(|target| marked[*target].1 = true);
        let mut parts: Vec<PreviewPart> = Vec::new();
        for run in marked.chunk_by(|a, b| a.1 == b.1 && (a.0 == audio_token) == (b.0 == audio_token)) {
            let ids: Vec<u32> = run.iter().map(|(id, _)| *id).collect();
            let text = if ids[0] == audio_token {
                format!("({})", counted(ids.len(), "audio tokens"))
            } else {
                let failed = |error: &dyn fmt::Display| NetworkError::Tokenizer {
                    path: example.key.clone().into(),
                    message: error.to_string(),
                };
                processor.tokenizer().decode(&ids, false).map_err(|error| failed(&error))?
            };
            match parts.last_mut() {
                Some(last) if last.learned == run[0].1 => last.text.push_str(&text),
                _ => parts.push(PreviewPart { text, learned: run[0].1 }),
            }
        }
        let samples: usize = sequence.sounds.iter().map(|sound| sound.len()).sum();
        Ok(Self {
            key: example.key.clone(),
            sound_s: samples as f64 / f64::from(SAMPLE_RATE_HZ),
            cropped: example.cropped,
            tokens: sequence.tokens.len(),
            learned: sequence.targets.len(),
            parts,
        })
    }
}

impl fmt::Display for ExamplePreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, sound_s, tokens, learned, .. } = self;
        let cropped = if self.cropped { ", cropped" } else { "" };
        writeln!(f, "--- {}: {sound_s:.2} s of sound{cropped}, {tokens} tokens, {learned} learned", plain(key))?;
        self.parts.iter().try_for_each(|part| match part.learned {
            true => write!(f, "[[{}]]", lines(&part.text)),
            false => write!(f, "{}", lines(&part.text)),
        })
    }
}

/// A text whose control characters are visible, apart from the ends of its lines.
fn lines(text: &str) -> String {
    text.split('\n').map(|line| plain(line).to_string()).collect::<Vec<_>>().join("\n")
}
