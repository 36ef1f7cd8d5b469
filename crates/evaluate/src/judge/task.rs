//! The questions to a judge.

use std::borrow::Cow;

use audsem_core::run::ShardError;
use audsem_llm::{GenerateTask, Refusal, Request, Response, TextError};
use serde::Serialize;

use super::rating::rating;
use super::rubric::Rubric;

/// One question to a judge: an answer, what it is compared with, and the number of the run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct JudgeQuestion {
    /// Names it in rejects: data set, question and number of the run.
    #[serde(skip)]
    pub(super) key: String,
    /// Number of the run, from 0.
    #[serde(skip)]
    pub(super) run: u32,
    /// The question, with its options.
    pub(super) question: String,
    /// The right answers, one a line.
    pub(super) reference: String,
    /// The answer of the model.
    pub(super) answer: String,
    /// The reasoning of the model, which may be empty.
    pub(super) thinking: String,
    /// The field of the published record that the rubric names, which may be empty.
    pub(super) published: String,
}

/// What a judge has said about an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GivenRating {
    pub(super) rating: f64,
    pub(super) response: String,
}

/// Asks a judge by a rubric.
pub(super) struct Judging<'a> {
    pub(super) rubric: &'a Rubric,
    pub(super) max_tokens: u32,
    pub(super) seed: u64,
}

impl Judging<'_> {
    /// Fails before anything is asked if the prompt uses a slot that does not exist.
    pub(super) fn check(&self) -> Result<(), TextError> {
        self.request(&harmless()).map(drop)
    }
}

/// A question about nothing.
fn harmless() -> JudgeQuestion {
    let text = || "x".to_owned();
    JudgeQuestion {
        key: text(),
        run: 0,
        question: text(),
        reference: text(),
        answer: text(),
        thinking: text(),
        published: text(),
    }
}

impl GenerateTask for Judging<'_> {
    type Record = JudgeQuestion;
    type Row = GivenRating;

    fn key<'a>(&self, question: &'a JudgeQuestion) -> Cow<'a, str> {
        Cow::Borrowed(&question.key)
    }

    fn request(&self, question: &JudgeQuestion) -> Result<Request, TextError> {
        let mut request = Request::greedy(self.rubric.prompt.render(question)?, self.max_tokens);
        // Several servers read the seed as a signed 32-bit number.
        request.seed = Some((self.seed + u64::from(question.run)) & 0x3fff_ffff);
        Ok(request)
    }

    fn harmless(&self) -> Option<JudgeQuestion> {
        Some(harmless())
    }

    fn settings_hint(&self) -> &'static str {
        "change --max-tokens"
    }

    fn validate(&self, _: &JudgeQuestion, answer: &Response) -> Result<GivenRating, Refusal> {
        let refuse = |reason: String| {
            let scale = &self.rubric.scale;
            let number = if scale.whole { "a whole number" } else { "a number" };
            let form = format!("`Rating:` and {number} from {} to {}", scale.lowest, scale.highest);
            Refusal::new(reason).with_reply(format!("Answer again, with a last line of {form}."))
        };
        let rating = rating(answer.answer(), &self.rubric.scale).map_err(refuse)?;
        Ok(GivenRating { rating, response: answer.answer().to_owned() })
    }
}

/// A fault of the disk or of the program, which no other question would survive either.
pub(super) fn fatal(error: crate::error::Error) -> ShardError {
    ShardError::fatal(error)
}
