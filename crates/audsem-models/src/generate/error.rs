//! What text generation can fail on.

/// Why a prompt cannot be continued.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GenerationError {
    /// `generation_config.json`, or settings in its form.
    #[error("generation config: {problem}")]
    Config {
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A prompt without tokens.
    #[error("a prompt has no token\nhint: give at least the start token")]
    EmptyPrompt,
    /// Groups of continuations that cannot be sampled together.
    #[error("groups are sampled together, one token at a time: each has as many seeds, at least one, and no beams")]
    UnequalGroups,
    /// A prompt as long as a whole sequence may be.
    #[error(
        "a prompt of {prompt_length} tokens leaves no room within max_length {max_length}\nhint: set max_new_tokens"
    )]
    NoRoom {
        /// Tokens of the prompt.
        prompt_length: usize,
        /// Most tokens of prompt and continuation.
        max_length: usize,
    },
    /// The network gave a score that is not a number, or infinite.
    #[error("the network's score of token {token} is {score}\nhint: try --dtype f32; the weights may be damaged")]
    Score {
        /// The token's id.
        token: usize,
        /// Its score.
        score: f32,
    },
    /// An answer cannot be held to a schema.
    #[error("guided decoding: {problem}")]
    Guide {
        /// What is wrong with the schema, the tokenizer or the answer.
        problem: String,
    },
    /// The rules leave no token to choose.
    #[error("every token is ruled out\nhint: generation settings contradict each other")]
    NoTokenLeft,
}

impl GenerationError {
    pub(super) fn config(problem: impl Into<String>) -> Self {
        Self::Config { problem: problem.into() }
    }
}
