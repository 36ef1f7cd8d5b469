//! The first question of a run, which is asked alone: a server that refuses its settings would refuse thousands alike.

use std::sync::{Mutex, PoisonError};

use audsem_core::run::{ShardError, ShardOutput};

use super::pending::send;
use super::{Request, Response, TextError, TextGenerator, Usage};

/// A question with the settings of all others about a harmless text, and what to change where it is refused.
#[derive(Debug, Clone)]
pub struct SettingsProbe {
    /// The question.
    pub request: Request,
    /// What to do.
    pub hint: &'static str,
}

/// Lets the first question of a run pass alone, and the others once it has an answer.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
}

/// What is known of the settings.
#[derive(Default)]
enum State {
    #[default]
    Untried,
    Passed,
    /// Address, status and words of the server.
    Refused(String, u16, String),
}

impl Gate {
    /// Sends requests; of the first ones of a run, one alone. If that is refused, the probe tells whether its text is at
    /// fault or what all questions have in common. `is_first` as in [`send`].
    pub(super) fn send(
        &self,
        generator: &dyn TextGenerator,
        requests: &[Request],
        probe: Option<SettingsProbe>,
        (progress, is_first): (&ShardOutput, bool),
        usage: &mut Vec<Usage>,
    ) -> Result<Vec<Result<Response, TextError>>, ShardError> {
        let (Some(probe), [first, rest @ ..]) = (probe, requests) else {
            return send(generator, requests, progress, is_first, usage);
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = |url: &str, status, body: &str| {
            let (url, body) = (url.to_owned(), body.to_owned());
            ShardError::fatal(TextError::Settings { url, status, body, hint: probe.hint })
        };
        match &*state {
            State::Untried => {}
            State::Refused(url, status, body) => return Err(refused(url, *status, body)),
            State::Passed => {
                drop(state);
                return send(generator, requests, progress, is_first, usage);
            }
        }
        let mut answers = send(generator, std::slice::from_ref(first), progress, is_first, usage)?;
        if let Some(Err(TextError::Rejected { .. })) = answers.first() {
            let tried = send(generator, std::slice::from_ref(&probe.request), progress, false, usage)?;
            if let Some(Err(TextError::Rejected { url, status, body })) = tried.into_iter().next() {
                let error = refused(&url, status, &body);
                *state = State::Refused(url, status, body);
                return Err(error);
            }
        }
        *state = State::Passed;
        drop(state);
        answers.extend(send(generator, rest, progress, is_first, usage)?);
        Ok(answers)
    }
}
