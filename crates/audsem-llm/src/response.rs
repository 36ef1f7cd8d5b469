//! Answers of a language model.

use serde::{Deserialize, Serialize};

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// End of turn or a stop text.
    Stop,
    /// The token bound was reached: the text may be cut.
    Length,
    /// Anything else a server reports (content filter, tool call …), or nothing at all.
    Other,
}

/// A token the model could have produced at a position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// Text of the token.
    pub text: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
}

/// One token of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Text of the token.
    pub text: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The most probable tokens at this position, most probable first; usually contains the token.
    pub alternatives: Vec<Alternative>,
}

/// Tokens a request cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt; 0 where the server does not say.
    pub prompt_tokens: u64,
    /// Tokens of the answer; 0 where the server does not say.
    pub completion_tokens: u64,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The answer, without the prompt; see [`Response::answer`].
    pub text: String,
    /// The model's reasoning before the answer, if the server separates the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Why it ended.
    pub finish: FinishReason,
    /// Its tokens with log-probabilities; empty where none were asked for or the server gives none.
    pub tokens: Vec<Token>,
    /// Tokens used.
    pub usage: Usage,
    /// The model as the server names it.
    pub model: String,
}
