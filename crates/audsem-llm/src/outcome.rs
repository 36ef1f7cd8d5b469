//! Outcomes of asking about a record.

use std::io::Write as _;

use audsem_core::run::{LeftOut, Outcome, ShardError, ShardOutput};
use serde::{Deserialize, Serialize};

use super::{FinishReason, TextError};

/// Why an answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, for people.
    pub reason: String,
    /// The reply to the model when it is asked again.
    pub reply: String,
}

impl Refusal {
    /// A rejection whose reply to the model is the reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let reply = format!("This answer cannot be used: {reason}. Answer again.");
        Self { reason, reply }
    }

    /// Replaces the reply to the model.
    #[must_use]
    pub fn with_reply(self, reply: impl Into<String>) -> Self {
        Self { reply: reply.into(), ..self }
    }
}

audsem_core::reasons! {
    /// What can be wrong with the answer to a record.
    pub enum Fault {
        NoAnswer = "no_answer": "the language model gave no usable answer to this record",
        AnswerRefused = "answer_refused": "no answer to this record could be used, however often it was asked again",
    }
}

/// The outcome of one record.
#[derive(Debug)]
pub enum Answered<T> {
    /// A valid answer.
    Accepted(T),
    /// All answers were rejected; this is the last one.
    Refused(Refusal),
    /// The request failed.
    Failed(TextError),
}

impl<T> Answered<T> {
    /// As the accounts of a shard count it: a record whose answers were all rejected fails.
    ///
    /// # Errors
    /// The record is left out.
    pub fn outcome(self) -> Outcome<T> {
        match self {
            Self::Accepted(row) => Ok(row),
            Self::Refused(refusal) => Err(LeftOut::fail(Fault::AnswerRefused, refusal.reason)),
            Self::Failed(error) => Err(LeftOut::fail(Fault::NoAnswer, error.to_string())),
        }
    }
}

/// One line of `refused-N.jsonl`: an answer that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedAnswer {
    /// The record.
    pub key: String,
    /// Which attempt this was, from 1.
    pub attempt: u32,
    /// What the model wrote.
    pub answer: String,
    /// Why it ended there.
    pub finish: FinishReason,
    /// What is wrong with it.
    pub reason: String,
}

/// What happens to a question that the server has not answered after all retries, although it answers others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Unanswered {
    /// Its shard stays open: the run ends with exit code 1, and the same command asks only these questions again
    #[default]
    Open,
    /// Its record counts as failed, for questions that the server never answers
    Fail,
}

/// Writes the rejected answers of a shard to `refused-N.jsonl`, if there are any.
pub(super) fn write_rejected(rejected: &[RejectedAnswer], out: &mut ShardOutput) -> Result<(), ShardError> {
    if rejected.is_empty() {
        return Ok(());
    }
    let mut file = out.create(format!("refused-{}.jsonl", out.name()))?;
    let path = file.path().to_owned();
    for answer in rejected {
        let line = serde_json::to_string(answer).map_err(ShardError::fatal)?;
        writeln!(file, "{line}").map_err(audsem_core::error::Error::write(&path))?;
    }
    Ok(out.close(file)?)
}
