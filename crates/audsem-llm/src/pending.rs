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

/// Records in parts of at most `most`. The first part of each lane is longer than that of the lane before, so that they do not
/// all come to their last questions at the same time.
pub(super) fn parts<T>(mut records: &[T], most: usize, lanes: usize) -> Vec<&[T]> {
    let mut parts = Vec::new();
    while !records.is_empty() {
        let length = most * (parts.len() + 1).min(lanes) / lanes;
        let (part, rest) = records.split_at(length.clamp(1, records.len()));
        parts.push(part);
        records = rest;
    }
    parts
}

/// Sends requests; tokens are reported as they come, and with `first` also that a record is through: repeated questions
/// are few. A lost server ends the run.
pub(super) fn send(
    generator: &dyn TextGenerator,
    requests: &[Request],
    progress: &ShardOutput,
    first: bool,
    usage: &mut Vec<Usage>,
) -> Result<Vec<Result<Response, TextError>>, ShardError> {
    let arrived = |_: usize, response: &Response| {
        progress.work((response.usage.prompt_tokens + response.usage.completion_tokens) as f64);
        progress.through(u64::from(first));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_every_record_once_in_order() {
        let lengths = |n: usize, most, lanes| {
            let records: Vec<usize> = (0..n).collect();
            let parts = parts(&records, most, lanes);
            assert_eq!(parts.concat(), records);
            parts.iter().map(|part| part.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(300, 64, 4), [16, 32, 48, 64, 64, 64, 12]);
        assert_eq!(lengths(5, 2, 1), [2, 2, 1]);
        assert_eq!(lengths(3, 1, 4), [1, 1, 1]);
        assert!(lengths(0, 64, 4).is_empty());
    }
}
