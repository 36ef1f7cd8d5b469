//! Records that a step is asking about, and the sending of their requests.

use audsem_core::run::{ShardError, ShardOutput};

use super::{Answered, RejectedAnswer, Request, Response, TextError, TextGenerator, Usage};

/// A record being asked about.
pub(super) struct Pending<T> {
    pub(super) request: Option<Request>,
    pub(super) answered: Option<Answered<T>>,
    /// A valid answer that the reviewer has not judged yet.
    pub(super) candidate: Option<(T, Request, Response)>,
    pub(super) rejected: Vec<RejectedAnswer>,
    /// Why the question is still open.
    pub(super) open: Option<TextError>,
}

impl<T> Pending<T> {
    pub(super) fn new(request: Option<Request>, answered: Option<Answered<T>>) -> Self {
        Self { request, answered, candidate: None, rejected: Vec::new(), open: None }
    }
}

/// Records that were asked about together, and the tokens that it took.
pub(super) struct Asked<T> {
    pub(super) records: Vec<Pending<T>>,
    /// Of each answer.
    pub(super) usage: Vec<Usage>,
}

/// Sends requests; tokens are reported as they come. A lost server ends the run.
pub(super) fn send(
    generator: &dyn TextGenerator,
    requests: &[Request],
    progress: &ShardOutput,
    usage: &mut Vec<Usage>,
) -> Result<Vec<Result<Response, TextError>>, ShardError> {
    let arrived = |_: usize, response: &Response| {
        progress.work((response.usage.prompt_tokens + response.usage.completion_tokens) as f64);
        Ok(())
    };
    let mut answers = Vec::with_capacity(requests.len());
    let mut stopped = false;
    for result in generator.generate_batch_with(requests, &arrived) {
        match result {
            Err(TextError::NotSent) => stopped = true,
            Err(error) if error.is_systemic() => return Err(ShardError::fatal(error)),
            result => answers.push(result),
        }
    }
    // Answers are stored already; waiting for the rest could exceed the grace period of the scheduler.
    if stopped {
        return Err(ShardError::Stopped);
    }
    usage.extend(answers.iter().flatten().map(|response| response.usage));
    Ok(answers)
}
