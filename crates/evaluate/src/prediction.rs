//! What a model answered, one JSON line for each way to ask each question.

use serde::{Deserialize, Serialize};

use crate::item::EvaluationItem;

/// What a model hears with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeardSound {
    /// The sounds of the question.
    Sound,
    /// Silence of the same length.
    Silence,
    /// Nothing: the question is asked as text alone.
    Nothing,
}

impl HeardSound {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Silence => "silence",
            Self::Nothing => "nothing",
        }
    }
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PredictionStatus {
    /// The model ended its answer.
    Answered,
    /// The answer reached the bound on its tokens.
    CutOff,
    /// A sound is absent or cannot be decoded.
    NoSound,
    /// A sound is longer than the model hears, and the policy is to refuse it.
    TooLong,
    /// The server refused the question, or the model cannot read it.
    Refused,
    /// A file of predictions that was imported has none for this question.
    Absent,
}

impl PredictionStatus {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::CutOff => "cut-off",
            Self::NoSound => "no-sound",
            Self::TooLong => "too-long",
            Self::Refused => "refused",
            Self::Absent => "absent",
        }
    }
}

/// What was given of one sound, and how many tokens it took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoundAudit {
    /// Length of the sound, milliseconds.
    pub duration_ms: u64,
    /// What of it was given to the model, milliseconds.
    pub given_ms: u64,
    /// Tokens that the model's own processor makes of it, where that is known.
    pub expected_tokens: Option<u64>,
}

/// A question, how it was asked, and what the model wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// The question.
    pub item: EvaluationItem,
    /// Its place in the data set, from 0.
    pub index: u64,
    /// What the model heard.
    pub heard: HeardSound,
    /// Number of the order in which the options were shown; 0 is the published one.
    pub permutation: u32,
    /// The options in the order in which they were shown.
    pub shown_choices: Vec<String>,
    /// SHA-256 of all turns as text, hexadecimal.
    pub prompt_sha256: String,
    /// What became of it.
    pub status: PredictionStatus,
    /// What went wrong, in words.
    pub problem: Option<String>,
    /// All that the model wrote.
    pub output: Option<String>,
    /// Tokens of the question that whoever ran the model counted.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the text around the sounds, as counted for the same question without them.
    pub text_tokens: Option<u64>,
    /// Tokens of the answer.
    pub output_tokens: Option<u64>,
    /// The sounds, in the order of the question.
    pub sounds: Vec<SoundAudit>,
}
