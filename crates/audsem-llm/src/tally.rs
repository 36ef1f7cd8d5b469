//! Answers, counted until the first valid one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Refusal, Request, Response};

/// What is known of the answers of a run.
#[derive(Default)]
pub(super) struct Tally {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accepted: u64,
    refused: u64,
    /// Requests whose answers are discarded if no valid one follows.
    requests: Vec<Request>,
    last: Option<(Refusal, Response)>,
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a valid answer.
    pub(super) fn accepted(&self) {
        let mut state = self.lock();
        state.accepted += 1;
        state.requests = Vec::new();
    }

    /// Counts a rejected answer, and keeps its request until there is a valid one.
    pub(super) fn refused(&self, request: &Request, refusal: &Refusal, response: &Response) {
        let mut state = self.lock();
        state.refused += 1;
        if state.accepted == 0 {
            state.requests.push(request.clone());
            state.last = Some((refusal.clone(), response.clone()));
        }
    }

    /// The number of rejected answers, if it is at least `n` and no answer was valid.
    pub(super) fn hopeless(&self, n: u64) -> Option<u64> {
        let state = self.lock();
        (state.accepted == 0 && state.refused >= n).then_some(state.refused)
    }

    /// The requests of all rejected answers, once, and the last one.
    pub(super) fn take(&self) -> (Vec<Request>, Option<(Refusal, Response)>) {
        let mut state = self.lock();
        (std::mem::take(&mut state.requests), state.last.clone())
    }
}
